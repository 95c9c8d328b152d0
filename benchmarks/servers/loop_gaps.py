"""How long an event loop was kept from what it should have done: a ticker that asks to be called every millisecond.

How late a tick comes also depends on what else the machine does. How much CPU the loop's own thread used since the tick
before does not, but leaves out what it waited for another thread of the process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from benchmarks.wire import Gaps

TICK_S: Final = 0.001


class LoopGaps:
    def __init__(self) -> None:
        self._worst = Gaps()
        self._due = 0.0
        self._used = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def watched(self, watching: bool) -> AsyncIterator[None]:
        """Tick while the block lasts, where ``watching``: the ticks cost something themselves."""
        if watching:
            self._next(asyncio.get_running_loop())
        try:
            yield
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def take_worst(self) -> Gaps:
        """The worst since this was last asked."""
        worst, self._worst = self._worst, Gaps()
        return worst

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = time.monotonic() + TICK_S
        self._used = time.thread_time()
        self._timer = loop.call_later(TICK_S, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        late, busy = time.monotonic() - self._due, time.thread_time() - self._used
        self._worst = Gaps(late_ms=max(self._worst.late_ms, late * 1e3), busy_ms=max(self._worst.busy_ms, busy * 1e3))
        self._next(loop)
