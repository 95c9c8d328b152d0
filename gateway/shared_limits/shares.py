"""What one worker admits by itself while requests cannot be counted for all workers together.

Its share of a window is what was left of it when the account was last seen, divided by the number of workers; of one
in which it was not seen, the limit divided by their number, at least 1. Pure: it reads no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final

import msgspec

from gateway.limits import LimitExceeded, TierLimits, Usage
from storage.ports import Counted

MINUTE_MS: Final = 60_000
MINUTES_PER_DAY: Final = 1_440


class Debt(msgspec.Struct, frozen=True):
    """Requests of an account that were admitted here, ``in_minute`` of them in ``minute``, ``in_day`` in its day."""

    account_id: str
    minute: int
    in_minute: int
    in_day: int


class _Admitted:
    """What was admitted of an account here, and is not counted for all workers yet."""

    __slots__ = ("in_day", "in_minute", "minute")

    def __init__(self, minute: int) -> None:
        self.minute = minute
        self.in_minute = 0
        self.in_day = 0

    def turn_to(self, minute: int) -> None:
        if minute > self.minute:
            if _day(minute) > _day(self.minute):
                self.in_day = 0
            self.in_minute = 0
            self.minute = minute


class LocalShares:
    """``workers`` is how many there are now. Their number falls for us only when a minute begins.

    Of a worker that dies, the others take over its share with the next window: this one may have been used already.
    """

    def __init__(self, workers: Callable[[], int]) -> None:
        self._workers = workers
        self._divisor = 1
        self._divided = -1
        # Accounts seen in the present minute, as they stood.
        self._seen: dict[str, Counted] = {}
        self._seen_in = -1
        # Day and requests by account: what was used of the day before; None where nobody knows.
        self._days: dict[str, tuple[int, int | None]] = {}
        self._admitted: dict[str, _Admitted] = {}

    def saw(self, account_id: str, counted: Counted) -> None:
        """How an account stands, as it was told just now."""
        if counted.minute > self._seen_in:
            self._seen_in = counted.minute
            self._seen = {}
        self._seen[account_id] = counted

    def in_minute(self, account_id: str, minute: int) -> int:
        """How many requests of ``minute`` were seen."""
        seen = self._seen.get(account_id)
        return seen.in_minute if seen is not None and seen.minute == minute else 0

    def knows_day(self, account_id: str, now_ms: int) -> bool:
        """Whether it is known how much of the present day was used, or known that nobody can tell."""
        day = _day(now_ms // MINUTE_MS)
        known = self._days.get(account_id)
        return (known is not None and known[0] >= day) or self._used_of_day(account_id, day) is not None

    def learn_day(self, account_id: str, day: int, used: int | None) -> None:
        """``used`` of ``day`` by an account that was not seen in its present minute; None where nobody can tell."""
        self._days[account_id] = (day, used)

    def admit(self, account_id: str, limits: TierLimits, now_ms: int) -> Usage:
        """Admit one request.

        :raises LimitExceeded: the share of a window is used up.
        """
        seen = self._seen.get(account_id)
        admitted = self._admitted.get(account_id)
        minute = now_ms // MINUTE_MS
        # A clock that goes back opens no window again.
        if seen is not None:
            minute = max(minute, seen.minute)
        if admitted is not None:
            admitted.turn_to(minute)
            minute = admitted.minute
        divisor = self._divisor_in(minute)
        if seen is not None and seen.minute == minute:
            minute_share = max(0, limits.per_minute - seen.in_minute) // divisor
        else:
            minute_share = max(1, limits.per_minute // divisor)
        used = self._used_of_day(account_id, _day(minute))
        left_of_day = limits.per_day - (used or 0)
        day_share = max(1, left_of_day // divisor) if left_of_day > 0 else 0
        minute_left = minute_share - (admitted.in_minute if admitted else 0)
        day_left = day_share - (admitted.in_day if admitted else 0)
        if minute_left <= 0 or day_left <= 0:
            raise exceeded(limits, minute, now_ms, minute_left, day_left)
        if admitted is None:
            admitted = self._admitted[account_id] = _Admitted(minute)
        admitted.in_minute += 1
        admitted.in_day += 1
        if used is not None:
            # Kept for as long as it is needed: the minute in which the account was seen ends sooner.
            self._days.setdefault(account_id, (_day(minute), used))
        return Usage(limits.per_minute, minute_left - 1, limits.per_day, day_left - 1)

    @property
    def has_debts(self) -> bool:
        return bool(self._admitted)

    def debts(self, account_ids: Iterable[str] | None = None, *, at_most: int | None = None) -> list[Debt]:
        """What was admitted here and has to be counted for all: of these accounts, or of any."""
        names: Collection[str] = self._admitted if account_ids is None else self._admitted.keys() & set(account_ids)
        return [
            Debt(name, one.minute, one.in_minute, one.in_day)
            for name, one in ((name, self._admitted[name]) for name in list(names)[:at_most])
        ]

    def paid(self, debts: Iterable[Debt]) -> None:
        """They are counted for all now. What was admitted since then is still owed."""
        for debt in debts:
            admitted = self._admitted[debt.account_id]
            same_minute = admitted.minute == debt.minute
            if same_minute:
                admitted.in_minute -= debt.in_minute
            if _day(admitted.minute) == _day(debt.minute):
                admitted.in_day -= debt.in_day
            if admitted.in_day <= 0:
                del self._admitted[debt.account_id]
            self._days.pop(debt.account_id, None)
            self._counted(debt)

    def came_back(self) -> None:
        """Requests are counted for all workers again."""
        self._days.clear()

    def _counted(self, debt: Debt) -> None:
        seen = self._seen.get(debt.account_id)
        if seen is not None and _day(seen.minute) == _day(debt.minute):
            in_minute = seen.in_minute + (debt.in_minute if seen.minute == debt.minute else 0)
            self._seen[debt.account_id] = msgspec.structs.replace(
                seen, in_minute=in_minute, in_day=seen.in_day + debt.in_day
            )

    def _used_of_day(self, account_id: str, day: int) -> int | None:
        known = self._days.get(account_id)
        if known is not None and known[0] >= day:
            return known[1]
        seen = self._seen.get(account_id)
        return seen.in_day if seen is not None and _day(seen.minute) == day else None

    def _divisor_in(self, minute: int) -> int:
        workers = max(1, self._workers())
        if minute > self._divided:
            self._divided, self._divisor = minute, workers
        else:
            self._divisor = max(self._divisor, workers)
        return self._divisor


def exceeded(limits: TierLimits, minute: int, now_ms: int, minute_left: int, day_left: int) -> LimitExceeded:
    """What to raise in ``minute``, of which ``minute_left`` is left, and of its day ``day_left``."""
    ends_at = (_day(minute) + 1) * MINUTES_PER_DAY if day_left <= 0 else minute + 1
    # Negated floor division rounds up.
    wait_s = -((now_ms - ends_at * MINUTE_MS) // 1000)
    usage = Usage(limits.per_minute, max(0, minute_left), limits.per_day, max(0, day_left))
    return LimitExceeded(max(1, wait_s), usage)


def _day(minute: int) -> int:
    return minute // MINUTES_PER_DAY
