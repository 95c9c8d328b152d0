"""Where the time of one request went: the ``Server-Timing`` header."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.clock import Clock


class Timings:
    """Seconds per part, in the order in which the parts were first met."""

    __slots__ = ("_clock", "parts")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.parts: dict[str, float] = {}

    def add(self, part: str, seconds: float) -> None:
        self.parts[part] = self.parts.get(part, 0.0) + seconds

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        started = self._clock.monotonic()
        try:
            yield
        finally:
            self.add(part, self._clock.monotonic() - started)

    def header(self) -> str:
        return ", ".join(f"{part};dur={seconds * 1000:.2f}" for part, seconds in self.parts.items())
