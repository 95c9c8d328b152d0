"""Where one of several workers sits: what it has of its own, and how it reaches what there is only one of."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

LOOPBACK: Final = "127.0.0.1"
_BACKLOG: Final = 1_024


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """``slot`` of ``slots`` is this worker's. ``owner`` and ``metrics`` are sockets: the owner's, and its own.

    ``venue_urls`` is where the owner serves local venues, by exchange.
    """

    slot: int
    slots: int
    owner: Path
    metrics: Path
    venue_urls: Mapping[str, str] = {}


class Sockets:
    """Everything that the owner listens on. They outlive it: while it is started again, callers wait in line."""

    def __init__(self, directory: Path, exchanges: Iterable[str]) -> None:
        self.directory = directory
        self.owner_path = directory / "owner"
        self.owner = socket.socket(socket.AF_UNIX)
        self.owner.bind(str(self.owner_path))
        self.owner.listen(_BACKLOG)
        self.venues = {exchange: socket.create_server((LOOPBACK, 0), backlog=_BACKLOG) for exchange in exchanges}

    def seats(self, slots: int) -> list[Seat]:
        urls = {exchange: f"http://{LOOPBACK}:{at.getsockname()[1]}" for exchange, at in self.venues.items()}
        return [
            Seat(
                slot=slot,
                slots=slots,
                owner=self.owner_path,
                metrics=self.directory / f"metrics-{slot}",
                venue_urls=urls,
            )
            for slot in range(slots)
        ]

    def close(self) -> None:
        for listener in (self.owner, *self.venues.values()):
            listener.close()


Role = Seat | Sockets | None
"""What a process is to others of its gateway: a worker, the owner of what there is only one of, or all there is."""


@contextlib.contextmanager
def sockets_for(exchanges: Iterable[str]) -> Iterator[Sockets]:
    """In a directory that only this user can enter. A data directory's path may be too long for a socket."""
    directory = Path(tempfile.mkdtemp(prefix="venuegate-"))
    try:
        sockets = Sockets(directory, exchanges)
        try:
            yield sockets
        finally:
            sockets.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
