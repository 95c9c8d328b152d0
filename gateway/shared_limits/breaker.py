"""When to stop asking something that does not answer, and from which minute on to ask it again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

FAILURES: Final = 3
WITHIN_S: Final = 1.0


class Breaker:
    """To be opened after three failures within a second, or in a row.

    ``returns_at`` is the minute in which it may close, once that is known. ``is_wary`` is whether the last call failed.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._last: deque[float] = deque(maxlen=FAILURES)
        self._in_a_row = 0
        self.is_open = False
        self.returns_at: int | None = None
        self.times_opened = 0
        self.failures = 0

    @property
    def is_wary(self) -> bool:
        return self._in_a_row > 0

    def succeeded(self) -> None:
        self._in_a_row = 0

    def failed(self) -> bool:
        """Whether it was one too many."""
        now = self._monotonic()
        self.failures += 1
        self._in_a_row += 1
        self._last.append(now)
        within = len(self._last) == FAILURES and now - self._last[0] <= WITHIN_S
        return within or self._in_a_row >= FAILURES

    def open(self, returns_at: int | None = None) -> None:
        self.times_opened += not self.is_open
        self.is_open = True
        self.returns_at = returns_at

    def close(self) -> None:
        self.is_open = False
        self.returns_at = None
        self._in_a_row = 0
        self._last.clear()
