"""A clock that moves only when told to, or when somebody sleeps on it."""

from __future__ import annotations

import asyncio

START_MS = 1_800_000_000_000


class ManualClock:
    """``sleep`` moves the time by what was asked and yields once: nothing waits for real."""

    def __init__(self, start_ms: int = START_MS) -> None:
        self._now_ms = float(start_ms)
        self._monotonic = 1000.0

    def now_ms(self) -> int:
        return int(self._now_ms)

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        self._now_ms += seconds * 1000
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """The wall clock is set; no time passes."""
        self._now_ms += seconds * 1000
