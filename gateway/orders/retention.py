"""Keeping the journal from growing for ever: what is long over is reduced to a tombstone, and later forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from gateway.clock import Clock
from storage.ports import Journal, StorageUnavailable

DAY_MS: Final = 24 * 3_600_000
AT_ONCE: Final = 25
"""Orders of one transaction: others that write wait for it."""
PAUSE_S: Final = 0.05
LOOK_AGAIN_S: Final = 600.0

_log = structlog.get_logger(__name__)


class Retention:
    """An order is kept whole for ``journal_days`` after it last moved, and its ids for ``tombstone_days``.

    ``on_retired(fate, count)`` is told of orders that were reduced (``tombstone``) or ``forgotten``.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        *,
        journal_days: int,
        tombstone_days: int,
        on_retired: Callable[[str, int], None] = lambda fate, count: None,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._journal_ms = journal_days * DAY_MS
        self._tombstone_ms = tombstone_days * DAY_MS
        self._on_retired = on_retired
        self._began_ms = clock.now_ms()
        self._began_s = clock.monotonic()

    async def run(self) -> None:
        """Work until cancelled, a little at a time: whoever places orders meanwhile must not notice."""
        while True:
            pause = LOOK_AGAIN_S
            try:
                if await self.run_once():
                    pause = PAUSE_S
            except StorageUnavailable as problem:
                _log.error("old orders stay where they are", problem=problem.problem)
            except Exception:
                _log.exception("old orders stay where they are; it is tried again")
            await self._clock.sleep(pause)

    async def run_once(self) -> bool:
        """One batch of each; whether there is more."""
        now_ms = self._now_ms()
        shed = await self._journal.shed(before_ms=now_ms - self._journal_ms, limit=AT_ONCE)
        self._on_retired("tombstone", shed)
        forgotten = await self._journal.forget(before_ms=now_ms - self._tombstone_ms, limit=AT_ONCE)
        self._on_retired("forgotten", forgotten)
        return AT_ONCE in (shed, forgotten)

    def _now_ms(self) -> int:
        """A clock that is set ahead must not make every order an old one: only time that passed counts."""
        passed_ms = int((self._clock.monotonic() - self._began_s) * 1000)
        return min(self._clock.now_ms(), self._began_ms + passed_ms)
