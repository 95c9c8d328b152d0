"""Each day's usage on its way to the database."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Final

import structlog

from gateway.clock import Clock
from storage.ports import StorageUnavailable, UsageStore

FLUSH_EVERY_S: Final = 10.0

_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()

_log = structlog.get_logger(__name__)


class DayCounts:
    """What was admitted and is not stored yet, by day (since the epoch) and account.

    Stored every ten seconds while there is any; what could not be stored is kept for the next time.
    """

    def __init__(self, store: UsageStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._counts: dict[int, dict[str, int]] = {}
        self._being_stored: dict[int, dict[str, int]] = {}
        self._lock = asyncio.Lock()
        self._flusher: asyncio.Task[None] | None = None

    def add(self, day: int, account_id: str, requests: int) -> None:
        counts = self._counts.get(day)
        if counts is None:
            counts = self._counts[day] = {}
            if self._flusher is None:
                self._flusher = asyncio.create_task(self._flush_while_needed())
        counts[account_id] = counts.get(account_id, 0) + requests

    def unstored(self, day: int, account_id: str) -> int:
        """How many requests of the day are perhaps not stored yet."""
        return sum(counts.get(day, {}).get(account_id, 0) for counts in (self._counts, self._being_stored))

    async def flush(self) -> None:
        async with self._lock:
            for day in sorted(self._counts):
                counts = self._being_stored[day] = self._counts.pop(day)
                try:
                    await self._store.add(day_name(day), counts)
                except StorageUnavailable as error:
                    _log.warning("usage is kept for the next time: it could not be stored", problem=error.problem)
                    for account_id, requests in counts.items():
                        self.add(day, account_id, requests)
                    return
                finally:
                    del self._being_stored[day]

    async def close(self) -> None:
        """Stop the background task and store what is left."""
        if self._flusher is not None:
            # With the lock in hand it is not in the middle of storing, where a cancellation would leave doubt.
            async with self._lock:
                self._flusher.cancel()
            await asyncio.wait({self._flusher})
        await self.flush()

    async def _flush_while_needed(self) -> None:
        try:
            while self._counts:
                await self._clock.sleep(FLUSH_EVERY_S)
                await self.flush()
        finally:
            self._flusher = None


def day_name(day: int) -> str:
    """``2026-01-31``."""
    return date.fromordinal(_EPOCH_ORDINAL + day).isoformat()
