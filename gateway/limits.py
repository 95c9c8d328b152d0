"""Tiers and their limits, and how requests are counted against them.

Windows are aligned to the UTC minute and the UTC day and belong to the account, over all its keys. Both are checked,
then both counted: a refused request consumes nothing. A clock that goes back never opens a window again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Final, Protocol

import msgspec
import structlog

from gateway.auth import Principal
from gateway.clock import Clock
from gateway.single_flight import SingleFlight
from normalization.errors import RateLimited, ServiceUnavailable
from storage.ports import StorageUnavailable, Tier, UsageStore

_log = structlog.get_logger(__name__)

FLUSH_EVERY_S: Final = 10.0

_ANSWER_WITHIN_S: Final = 0.9
_MINUTE_MS: Final = 60_000
_MINUTES_PER_DAY: Final = 1_440
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()


class TierLimits(msgspec.Struct, frozen=True):
    per_minute: int
    per_day: int
    keys: int


LIMITS: Final[Mapping[Tier, TierLimits]] = MappingProxyType(
    {
        Tier.FREE: TierLimits(per_minute=30, per_day=5_000, keys=3),
        Tier.BUILDER: TierLimits(per_minute=120, per_day=50_000, keys=10),
        Tier.PRO: TierLimits(per_minute=600, per_day=500_000, keys=25),
    }
)


class Usage(msgspec.Struct, frozen=True):
    """Where an account stands after a request: what the ``X-RateLimit-*`` headers say."""

    limit_minute: int
    remaining_minute: int
    limit_day: int
    remaining_day: int


class LimitExceeded(RateLimited):
    """An account has used up a window. ``retry_after_s`` is at least 1 and reaches the window's end."""

    def __init__(self, retry_after_s: int, usage: Usage) -> None:
        super().__init__(f"Rate limit exceeded. Retry after {retry_after_s}s.", retry_after_s=retry_after_s)
        self.usage = usage


class Limiter(Protocol):
    async def charge(self, principal: Principal) -> Usage:
        """Count one request of the principal's account.

        :raises LimitExceeded: a window is used up; nothing was counted.
        :raises ServiceUnavailable: it could not be found out; nothing was counted.
        """
        ...


class _Counter:
    """One account's present minute and day, and how many of the day's requests are not stored yet."""

    __slots__ = ("account_id", "in_day", "in_minute", "limits", "minute", "tier", "unstored")

    def __init__(self, account_id: str, minute: int, in_day: int) -> None:
        self.account_id = account_id
        self.minute = minute
        self.in_minute = 0
        self.in_day = in_day
        self.unstored = 0
        self.tier: Tier | None = None
        self.limits = LIMITS[Tier.FREE]


class InProcessLimiter:
    """Counts in this process, which must be the only one; the day's counts outlive it in the usage store.

    The first request of a day reads the store. Counts are stored every ten seconds while there are any: a process that
    is killed forgets at most that much. What is remembered is one counter per account seen on the present day.
    """

    def __init__(self, usage_store: UsageStore, clock: Clock) -> None:
        self._store = usage_store
        self._clock = clock
        self._now_ms = clock.now_ms
        # The latest day seen; it never goes back.
        self._day = -1
        self._before_us: dict[str, int] = {}
        self._counters: dict[str, _Counter] = {}
        self._changed: list[_Counter] = []
        self._left_over: dict[int, dict[str, int]] = {}
        self._days: SingleFlight[int, None] = SingleFlight()
        self._flush_lock = asyncio.Lock()
        self._flusher: asyncio.Task[None] | None = None

    async def charge(self, principal: Principal) -> Usage:
        now_ms = self._now_ms()
        minute = now_ms // _MINUTE_MS
        counter = self._counters.get(principal.account_id)
        if counter is None or minute > counter.minute:
            day = minute // _MINUTES_PER_DAY
            if day > self._day:
                await self._begin_day(day)
            counter = self._turned(principal.account_id, minute)
        if principal.tier is not counter.tier:
            counter.tier = principal.tier
            counter.limits = LIMITS[principal.tier]
        limits = counter.limits
        minute_left = limits.per_minute - counter.in_minute
        day_left = limits.per_day - counter.in_day
        if minute_left <= 0 or day_left <= 0:
            raise _exceeded(counter, now_ms, minute_left, day_left)
        counter.in_minute += 1
        counter.in_day += 1
        counter.unstored += 1
        if counter.unstored == 1:
            self._changed.append(counter)
            if self._flusher is None:
                self._flusher = asyncio.create_task(self._flush_while_needed())
        return Usage(limits.per_minute, minute_left - 1, limits.per_day, day_left - 1)

    async def flush(self) -> None:
        """Store what was counted since the last time. What could not be stored is kept for the next time."""
        async with self._flush_lock:
            self._collect()
            for day in sorted(self._left_over):
                # Taken out first: meanwhile a day may end, and then more is left over.
                counts = self._left_over.pop(day)
                try:
                    await self._store.add(_day_name(day), counts)
                except StorageUnavailable as error:
                    _log.warning("usage is kept for the next time: it could not be stored", problem=error.problem)
                    self._leave_over(day, counts)
                    return

    async def close(self) -> None:
        """Stop the background task and store what is left."""
        if self._flusher is not None:
            # With the lock in hand it is not in the middle of storing, where a cancellation would leave doubt.
            async with self._flush_lock:
                self._flusher.cancel()
            await asyncio.wait({self._flusher})
        await self.flush()

    async def _begin_day(self, day: int) -> None:
        try:
            await self._days.run(day, lambda: self._load_day(day), timeout_s=_ANSWER_WITHIN_S)
        except (StorageUnavailable, TimeoutError):
            raise ServiceUnavailable(
                "The gateway's store does not answer. Nothing was sent.", retry_after_s=1
            ) from None

    async def _load_day(self, day: int) -> None:
        before_us = await self._store.day(_day_name(day))
        if day > self._day:
            self._collect()
            self._counters.clear()
            self._before_us = before_us
            self._day = day

    def _turned(self, account_id: str, minute: int) -> _Counter:
        """The account's counter, turned to ``minute`` unless it stands at a later one."""
        minute = max(minute, self._day * _MINUTES_PER_DAY)
        counter = self._counters.get(account_id)
        if counter is None:
            counter = _Counter(account_id, minute, self._before_us.get(account_id, 0))
            self._counters[account_id] = counter
        elif minute > counter.minute:
            counter.minute = minute
            counter.in_minute = 0
        return counter

    def _collect(self) -> None:
        """Move what is not stored yet from the counters, all of the present day, to ``_left_over``."""
        if self._changed:
            self._leave_over(self._day, {counter.account_id: counter.unstored for counter in self._changed})
            for counter in self._changed:
                counter.unstored = 0
            self._changed.clear()

    def _leave_over(self, day: int, counts: Mapping[str, int]) -> None:
        left_over = self._left_over.setdefault(day, {})
        for account_id, count in counts.items():
            left_over[account_id] = left_over.get(account_id, 0) + count

    async def _flush_while_needed(self) -> None:
        try:
            while self._changed or self._left_over:
                await self._clock.sleep(FLUSH_EVERY_S)
                await self.flush()
        finally:
            self._flusher = None


def _exceeded(counter: _Counter, now_ms: int, minute_left: int, day_left: int) -> LimitExceeded:
    if day_left <= 0:
        window_ends_at = (counter.minute // _MINUTES_PER_DAY + 1) * _MINUTES_PER_DAY
    else:
        window_ends_at = counter.minute + 1
    # Negated floor division rounds up.
    wait_s = -((now_ms - window_ends_at * _MINUTE_MS) // 1000)
    limits = counter.limits
    usage = Usage(limits.per_minute, max(0, minute_left), limits.per_day, max(0, day_left))
    return LimitExceeded(max(1, wait_s), usage)


def _day_name(day: int) -> str:
    return date.fromordinal(_EPOCH_ORDINAL + day).isoformat()
