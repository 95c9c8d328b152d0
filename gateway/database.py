"""Which database a gateway keeps its state in, and whether this machine is fit to share it with other nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.clock import Clock
from gateway.settings import Settings
from storage.ports import StorageUnavailable
from storage.sql import Place, place_of

FILE: Final = "venuegate.db"
SUSPICIOUS_SKEW_S: Final = 1.0
MOST_SKEW_S: Final = 5.0
KEEP_TIME: Final = "Keep both right with NTP (`timedatectl set-ntp true`)."


def database_of(settings: Settings, *, unhurried: bool = False) -> Place:
    """The server that the settings name, else the file in the data directory.

    ``unhurried`` is for a person at a terminal, who asks for more than a request does and waits longer.

    :raises StorageUnavailable: what they name is not the URL of a PostgreSQL database.
    """
    url = settings.database_url
    return place_of(settings.data_dir / FILE, None if url is None else url.text, unhurried=unhurried)


async def concerns(place: Place, clock: Clock) -> Sequence[str]:
    """What an operator should know of the server, and of this machine beside it.

    :raises StorageUnavailable: the clocks are so far apart that two nodes would take each other for dead.
    """
    began_ms = clock.now_ms()
    server = await place.server()
    if server is None:
        return []
    found = []
    skew_s = ((began_ms + clock.now_ms()) / 2 - server.now_ms) / 1000
    skew = f"This machine's clock is {abs(skew_s):.1f} s {'ahead of' if skew_s > 0 else 'behind'} that of {place.name}"
    if abs(skew_s) > MOST_SKEW_S:
        raise StorageUnavailable(f"{skew}: nodes decide by it who is still at work on an order", KEEP_TIME)
    if abs(skew_s) > SUSPICIOUS_SKEW_S:
        found.append(f"{skew}. {KEEP_TIME}")
    if not server.flushes:
        found.append(f"{place.name} does not flush its commits (fsync = off): a power cut there forgets orders.")
    return found
