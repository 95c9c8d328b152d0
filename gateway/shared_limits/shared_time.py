"""The time by a clock elsewhere, as far as it was told."""

from __future__ import annotations

from gateway.clock import Clock


class SharedTime:
    """Goes on by the monotonic clock from what was last heard: it does not follow when this machine's clock is set.

    Until something is heard, this machine's clock has to do. What is heard was true a moment ago, so this is never
    ahead.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_ms = clock.now_ms() - clock.monotonic() * 1000

    def heard(self, now_ms: int) -> None:
        self._ahead_ms = now_ms - self._clock.monotonic() * 1000

    def now_ms(self) -> int:
        return int(self._ahead_ms + self._clock.monotonic() * 1000)
