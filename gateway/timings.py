"""Where the time of one request went: the ``Server-Timing`` header."""

from __future__ import annotations

from types import TracebackType

from gateway.clock import Clock


class Timings:
    """Seconds per part, in the order in which the parts were first met; ``total`` is their sum."""

    __slots__ = ("_clock", "parts", "total")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.parts: dict[str, float] = {}
        self.total = 0.0

    def add(self, part: str, seconds: float) -> None:
        self.parts[part] = self.parts.get(part, 0.0) + seconds
        self.total += seconds

    def measure(self, part: str) -> Measured:
        """``with timings.measure("auth"):`` adds what the block took, however it ended."""
        return Measured(self, self._clock, part)

    def header(self) -> str:
        """Never empty: a request that was refused before its first part shows a total of nothing."""
        return (
            ", ".join([f"{part};dur={seconds * 1000:.2f}" for part, seconds in self.parts.items()]) or "total;dur=0.00"
        )


class Measured:
    """A block whose time is taken. Every request has several: a class costs half of what a generator does."""

    __slots__ = ("_clock", "_part", "_started", "_timings")

    def __init__(self, timings: Timings, clock: Clock, part: str) -> None:
        self._timings = timings
        self._clock = clock
        self._part = part
        self._started = 0.0

    def __enter__(self) -> None:
        self._started = self._clock.monotonic()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._timings.add(self._part, self._clock.monotonic() - self._started)
