"""Where the time of one request went: the ``Server-Timing`` header."""

from __future__ import annotations

from types import TracebackType
from typing import Final

from gateway.clock import Clock

NOTHING: Final = ""
# Nearly every figure is below ten milliseconds, and text that was made once costs a fraction of formatting a float.
_HUNDREDTHS: Final = tuple(f"{n / 100:.2f}" for n in range(1_000))


def milliseconds(seconds: float) -> str:
    """With two decimal places."""
    hundredths = int(seconds * 100_000 + 0.5)
    return _HUNDREDTHS[hundredths] if hundredths < 1_000 else f"{hundredths / 100:.2f}"


class Timings:
    """Seconds per part. At any time one part is under way, or nothing that is told."""

    __slots__ = ("_now", "_part", "_since", "parts")

    def __init__(self, clock: Clock) -> None:
        self._now = clock.monotonic
        self._part = NOTHING
        self._since = 0.0
        self.parts: dict[str, float] = {}

    def enter(self, part: str) -> str:
        """From now on it is ``part``; which one it was until now."""
        now = self._now()
        before = self._part
        if before:
            self.parts[before] = self.parts.get(before, 0.0) + now - self._since
        self._part = part
        self._since = now
        return before

    def measure(self, part: str) -> Measured:
        """``with timings.measure("journal"):`` what the block takes is that part's, and nobody else's."""
        return Measured(self, part)

    def header(self) -> str:
        """Never empty: a request that was refused before its first part shows a total of nothing."""
        if self._part:
            self.enter(NOTHING)
        return ", ".join([f"{part};dur={milliseconds(took)}" for part, took in self.parts.items()]) or "total;dur=0.00"


class Measured:
    """A part inside another one."""

    __slots__ = ("_before", "_part", "_timings")

    def __init__(self, timings: Timings, part: str) -> None:
        self._timings = timings
        self._part = part
        self._before = NOTHING

    def __enter__(self) -> None:
        self._before = self._timings.enter(self._part)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._timings.enter(self._before)
