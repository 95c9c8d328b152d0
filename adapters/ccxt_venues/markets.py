"""One list of a venue's markets per network: loaded once, shared by every session, renewed behind their backs.

What was loaded last is kept on disk, so that a restart serves at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

import structlog

from normalization.errors import ServiceUnavailable
from normalization.venue_failures import VenueFailure

T = TypeVar("T")

FRESH_FOR_S: Final = 300.0
_RETRY_AFTER_S: Final = 15.0
MAX_LIST: Final = 32 << 20

_log = structlog.get_logger(__name__)


class Listings(Generic[T]):
    """``fetch`` brings the venue's documents, ``parse`` makes of them what sessions share.

    A parsed list is replaced as a whole and never changed. Nothing runs while nobody asks.
    """

    def __init__(
        self,
        name: str,
        *,
        fetch: Callable[[], Awaitable[bytes]],
        parse: Callable[[bytes], T],
        store: Path | None,
        monotonic: Callable[[], float],
    ) -> None:
        self._name = name
        self._fetch = fetch
        self._parse = parse
        self._store = store
        self._monotonic = monotonic
        self._raw: bytes | None = None
        self._present: T | None = None
        self._due = monotonic()
        self._loading: asyncio.Task[T] | None = None

    @property
    def present(self) -> T | None:
        """The list as it is now, None where none was loaded yet."""
        return self._present

    async def get(self) -> T:
        """:raises ServiceUnavailable: there is no list yet and none can be had now; nothing was sent."""
        found = self._present
        if found is None:
            try:
                found = await asyncio.shield(self._loading or self._load(self._first))
            except (VenueFailure, ValueError) as problem:
                raise ServiceUnavailable(
                    f"{self._name}: the list of markets cannot be had now", retry_after_s=5
                ) from problem
        if self._monotonic() >= self._due and self._loading is None:
            self._load(self._renew)
        return found

    async def close(self) -> None:
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)

    def _load(self, loading: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        self._loading = asyncio.create_task(self._finally_idle(loading))
        self._loading.add_done_callback(_retrieve)
        return self._loading

    async def _finally_idle(self, loading: Callable[[], Awaitable[T]]) -> T:
        try:
            return await loading()
        finally:
            self._loading = None

    async def _first(self) -> T:
        """What is on disk, where there is something: it serves at once."""
        stored = await asyncio.to_thread(self._read_store)
        if stored is None:
            return await self._renew()
        self._raw, self._present = stored
        return self._present

    async def _renew(self) -> T:
        self._due = self._monotonic() + _RETRY_AFTER_S
        raw = await self._fetch()
        present = self._present
        if present is None or raw != self._raw:
            # A long list takes milliseconds to parse.
            present = await asyncio.to_thread(self._parse, raw)
            await asyncio.to_thread(self._write_store, raw)
        self._raw, self._present = raw, present
        self._due = self._monotonic() + FRESH_FOR_S
        return present

    def _read_store(self) -> tuple[bytes, T] | None:
        if self._store is None:
            return None
        try:
            raw = self._store.read_bytes()
            return raw, self._parse(raw)
        except FileNotFoundError:
            return None
        except Exception as problem:
            # Whatever is wrong with it: the venue has it too.
            _log.warning("a stored list of markets is not used", venue=self._name, problem=type(problem).__name__)
            return None

    def _write_store(self, raw: bytes) -> None:
        if self._store is None:
            return
        # A list that cannot be kept still serves.
        with contextlib.suppress(OSError):
            self._store.parent.mkdir(parents=True, exist_ok=True)
            # Workers beside this one may write theirs at the same time.
            fresh = self._store.with_suffix(f".{os.getpid()}.new")
            fresh.write_bytes(raw)
            fresh.replace(self._store)


def _retrieve(task: asyncio.Task[T]) -> None:
    if not task.cancelled() and (problem := task.exception()) is not None:
        _log.warning("the list of markets could not be renewed", problem=type(problem).__name__)
