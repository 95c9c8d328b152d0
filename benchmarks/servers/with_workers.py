"""``venuegate serve --workers N`` with one venue: a real paper venue, or one that answers at once.

As a program: ``python -m benchmarks.servers.with_workers DIRECTORY WORKERS PORT paper|instant [REDIS_URL]``.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from adapters.base import Network
from adapters.registry import VENUES, Venue, VenueContext
from benchmarks.servers.callers import Registrar
from benchmarks.servers.do_nothing import DoNothingVenue
from benchmarks.servers.settings import DATABASE, MASTER_KEY, settings_for
from benchmarks.wire import Caller
from gateway import logs
from gateway.app import opened
from gateway.cli.serve_many import serve_many
from gateway.clock import SystemClock
from gateway.keyring import Keyring, MasterKeyRing
from gateway.settings import Settings
from gateway.vault import Vault
from storage.sql import open_sqlite

READY: Final = "Venuegate listens on"
_INSTRUMENTS: Final = 8


async def _instant(context: VenueContext) -> DoNothingVenue:
    return DoNothingVenue(_INSTRUMENTS)


INSTANT: Final = Venue(
    exchange="paper",
    networks=frozenset({Network.PAPER}),
    capabilities=DoNothingVenue.capabilities,
    credential_fields=(),
    open=_instant,
)
BY_NAME: Final[Mapping[str, Venue]] = {"paper": VENUES["paper"], "instant": INSTANT}


async def enrolled(directory: Path, count: int) -> list[Caller]:
    """New callers in the database of a gateway that is not running."""
    ring = MasterKeyRing([MASTER_KEY])
    stores = await open_sqlite(directory / DATABASE)
    try:
        keyring = await Keyring.open(stores.directory, ring)
        vault = Vault(ring, keyring.fingerprint_key)
        return await Registrar(stores.directory, keyring, vault, SystemClock(), {}).enrol(count)
    finally:
        await stores.close()


async def _alone(settings: Settings, venues: Mapping[str, Venue]) -> None:
    async with opened(settings, venues=venues) as gateway, gateway.running():
        print(READY, flush=True)
        await asyncio.Event().wait()


def main(directory: Path, workers: int, port: int, venue: str, redis_url: str | None) -> None:
    logs.configure("error", as_json=True)
    others = {} if redis_url is None else {"redis_url": redis_url}
    settings = msgspec.structs.replace(settings_for(directory, **others), workers=workers, port=port)
    venues = {"paper": BY_NAME[venue]}
    if workers > 1:
        sys.exit(serve_many(settings, venues))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_alone(settings, venues))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], next(iter(sys.argv[5:]), None))
