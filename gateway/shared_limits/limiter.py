"""Limits for all workers together, and what becomes of them when they cannot be counted together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from gateway.auth import Principal
from gateway.clock import Clock
from gateway.limits import LIMITS, TierLimits, Usage
from gateway.shared_limits.breaker import Breaker
from gateway.shared_limits.day_counts import DayCounts, day_name
from gateway.shared_limits.gatherer import Gatherer
from gateway.shared_limits.shared_time import SharedTime
from gateway.shared_limits.shares import MINUTE_MS, MINUTES_PER_DAY, LocalShares, exceeded
from normalization.errors import RateLimited
from storage.ports import Charge, Correction, Counted, SharedCounters, StorageUnavailable, Tier, UsageStore

AT_ONCE: Final = 256
PROBE_EVERY_S: Final = 0.25
LEARN_WITHIN_S: Final = 0.25
NEAR_LIMIT: Final = 5
"""A request that leaves less than a fifth of a window is near the limit."""

Check = tuple[str, str]
"""Who checked (``shared`` or ``local``), and what came of it (``admitted``, ``near_limit`` or ``refused``)."""
SHARED: Final = (("shared", "admitted"), ("shared", "near_limit"), ("shared", "refused"))
LOCAL: Final = (("local", "admitted"), ("local", "near_limit"), ("local", "refused"))

_OTHERS_LEFT: Final = StorageUnavailable(
    "Other workers of this gateway lost Redis", "All return together, within minutes."
)

_log = structlog.get_logger(__name__)


class SharedLimiter:
    """Asks ``counters`` about every request: all that a worker has to ask at a time, in one round trip.

    When they fail three times within a second, or in a row, the worker admits its share of each limit by itself
    (``LocalShares``), and asks in the background until they answer. Then all workers return to them in one minute, and
    what they admitted meanwhile is counted there. Each day's counts are also in the usage store, at most ten seconds
    old: counters that forgot them take them from there.

    ``workers`` is how many workers there are. ``checks`` counts requests.
    """

    def __init__(
        self,
        counters: SharedCounters,
        usage_store: UsageStore,
        clock: Clock,
        *,
        workers: Callable[[], int],
        limits: Mapping[Tier, TierLimits] = LIMITS,
    ) -> None:
        self._counters = counters
        self._usage = usage_store
        self._clock = clock
        self._limits = limits
        self.checks: dict[Check, int] = dict.fromkeys((*SHARED, *LOCAL), 0)
        self._time = SharedTime(clock)
        self._shares = LocalShares(workers)
        self._days = DayCounts(usage_store, clock)
        self._charges: Gatherer[Principal, Counted | None] = Gatherer(self._charge_all, at_most=AT_ONCE)
        self._memories: Gatherer[str, int] = Gatherer(self._used_today, at_most=AT_ONCE)
        self._reminders: Gatherer[str, None] = Gatherer(self._remind, at_most=AT_ONCE)
        self._paying = asyncio.Lock()
        self._breaker = Breaker(clock.monotonic)
        self._recovery: asyncio.Task[None] | None = None
        self._left_in = 0
        self.problem: StorageUnavailable | None = None
        """Why requests are not counted together now; None when they are."""

    @property
    def is_away(self) -> bool:
        """Whether this worker admits by its own shares."""
        return self._breaker.is_open

    @property
    def times_lost(self) -> int:
        return self._breaker.times_opened

    @property
    def failures(self) -> int:
        """How many checks failed: each kept those who waited for it for as long as a call may take."""
        return self._breaker.failures

    async def start(self) -> None:
        """Find out whether the counters answer, before the first request has to."""
        try:
            await self._leave_with_others()
        except StorageUnavailable as problem:
            self._leave(problem)

    async def charge(self, principal: Principal) -> Usage:
        limits = self._limits[principal.tier]
        if self._is_back():
            counted = await self._charges.get(principal)
            if counted is not None and not counted.is_known:
                await self._reminders.get(principal.account_id)
                counted = await self._charges.get(principal)
            if counted is not None and counted.is_known:
                return self._told(counted, limits, principal.account_id)
        return await self._admit_by_share(principal.account_id, limits)

    async def flush(self) -> None:
        """Store what was admitted since the last time."""
        await self._days.flush()

    async def close(self) -> None:
        """Store what is left, and let go of the counters."""
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.wait({self._recovery})
        await self._charges.idle()
        await self._days.close()
        await self._counters.close()

    # Counted together.

    def _told(self, counted: Counted, limits: TierLimits, account_id: str) -> Usage:
        admitted, near_limit, refused = SHARED
        minute_left = limits.per_minute - counted.in_minute
        day_left = limits.per_day - counted.in_day
        if not counted.admitted:
            self.checks[refused] += 1
            raise exceeded(limits, counted.minute, counted.now_ms, minute_left, day_left)
        self._days.add(counted.minute // MINUTES_PER_DAY, account_id, 1)
        is_near = minute_left * NEAR_LIMIT < limits.per_minute or day_left * NEAR_LIMIT < limits.per_day
        self.checks[near_limit if is_near else admitted] += 1
        return Usage(limits.per_minute, minute_left, limits.per_day, day_left)

    async def _charge_all(self, principals: Sequence[Principal]) -> Sequence[Counted | None]:
        """One answer for each. Those of one account are counted as one."""
        places: dict[tuple[str, Tier], list[int]] = {}
        for place, principal in enumerate(principals):
            places.setdefault((principal.account_id, principal.tier), []).append(place)
        charges = [
            Charge(account_id, self._limits[tier].per_minute, self._limits[tier].per_day, len(where))
            for (account_id, tier), where in places.items()
        ]
        answers: list[Counted | None] = [None] * len(principals)
        try:
            if self.is_away or (self._breaker.is_wary and await self._leave_with_others()):
                return answers
            if self._shares.has_debts:
                await self._pay([charge.account_id for charge in charges])
            rows = await self._counters.charge(charges)
        except StorageUnavailable as problem:
            self._failed(problem)
            raise
        self._breaker.succeeded()
        self._time.heard(rows[0].now_ms)
        for charge, where, row in zip(charges, places.values(), rows, strict=True):
            if row.is_known:
                self._shares.saw(charge.account_id, row)
            if len(where) == 1:
                answers[where[0]] = row
                continue
            for place, answer in zip(where, _one_by_one(row, len(where)), strict=True):
                answers[place] = answer
        return answers

    async def _leave_with_others(self) -> bool:
        """Whether other workers are away until some minute, and so this one, too.

        :raises StorageUnavailable: nobody answers.
        """
        now_ms, minute = await self._counters.reopening(None)
        self._time.heard(now_ms)
        if minute * MINUTE_MS <= now_ms:
            return False
        self._leave(_OTHERS_LEFT, returns_at=minute)
        return True

    async def _remind(self, account_ids: Sequence[str]) -> Sequence[None]:
        """Tell the counters what they do not remember of these accounts.

        :raises StorageUnavailable: it is not known, or they do not take it.
        """
        used = await self._used_today(account_ids)
        minute = self._time.now_ms() // MINUTE_MS
        await self._counters.correct(
            [
                Correction(
                    account_id=account_id,
                    minute=minute,
                    least_in_minute=self._shares.in_minute(account_id, minute),
                    least_in_day=requests,
                    create=True,
                )
                for account_id, requests in zip(account_ids, used, strict=True)
            ]
        )
        return [None] * len(account_ids)

    async def _used_today(self, account_ids: Sequence[str]) -> Sequence[int]:
        """:raises StorageUnavailable: the usage store does not answer."""
        day = self._time.now_ms() // MINUTE_MS // MINUTES_PER_DAY
        # Before it is asked what is stored: what is being stored just now is better counted twice than not at all.
        own = [self._days.unstored(day, account_id) for account_id in account_ids]
        stored = await self._usage.counts(day_name(day), set(account_ids))
        return [stored.get(account_id, 0) + unstored for account_id, unstored in zip(account_ids, own, strict=True)]

    # By shares.

    async def _admit_by_share(self, account_id: str, limits: TierLimits) -> Usage:
        now_ms = self._time.now_ms()
        if not self._shares.knows_day(account_id, now_ms):
            await self._learn_day(account_id, now_ms // MINUTE_MS // MINUTES_PER_DAY)
            now_ms = self._time.now_ms()
        admitted, near_limit, refused = LOCAL
        try:
            usage = self._shares.admit(account_id, limits, now_ms)
        except RateLimited:
            self.checks[refused] += 1
            raise
        self._days.add(now_ms // MINUTE_MS // MINUTES_PER_DAY, account_id, 1)
        is_near = (
            usage.remaining_minute * NEAR_LIMIT < limits.per_minute or usage.remaining_day * NEAR_LIMIT < limits.per_day
        )
        self.checks[near_limit if is_near else admitted] += 1
        return usage

    async def _learn_day(self, account_id: str, day: int) -> None:
        """What the database knows of the account's day, if it answers at once."""
        used = None
        try:
            async with asyncio.timeout(LEARN_WITHIN_S):
                used = await self._memories.get(account_id)
        except TimeoutError:
            _log.warning("usage could not be had in time: the account gets its share of a whole day")
        self._shares.learn_day(account_id, day, used)

    async def _pay(self, account_ids: Sequence[str] | None = None) -> None:
        """Have what was admitted here counted for all.

        :raises StorageUnavailable: it is still owed. Perhaps it was counted: better twice than not at all.
        """
        async with self._paying:
            debts = self._shares.debts(account_ids, at_most=AT_ONCE)
            if debts:
                await self._counters.correct(
                    [
                        Correction(
                            account_id=debt.account_id,
                            minute=debt.minute,
                            more_in_minute=debt.in_minute,
                            more_in_day=debt.in_day,
                        )
                        for debt in debts
                    ]
                )
                self._shares.paid(debts)

    # Leaving and returning.

    def _failed(self, problem: StorageUnavailable) -> None:
        if self._breaker.failed() or self.is_away:
            self._leave(problem)

    def _leave(self, problem: StorageUnavailable, *, returns_at: int | None = None) -> None:
        if not self.is_away:
            self._left_in = self._time.now_ms() // MINUTE_MS
            _log.warning(
                "limits are counted by shares",
                problem=problem.problem,
                advice=problem.advice,
                times=self.times_lost + 1,
            )
        self.problem = problem
        self._breaker.open(returns_at)
        if self._recovery is None:
            self._recovery = asyncio.create_task(self._recover())

    def _is_back(self) -> bool:
        """Whether requests are counted together: as ever, or from now on."""
        if not self._breaker.is_open:
            return True
        minute = self._breaker.returns_at
        if minute is None or self._time.now_ms() < minute * MINUTE_MS:
            return False
        self._breaker.close()
        self._shares.came_back()
        self.problem = None
        _log.info("limits are counted together again")
        return True

    async def _recover(self) -> None:
        """Ask until there is an answer, agree on the minute to return in, and then pay what is owed."""
        try:
            while self.is_away:
                await self._clock.sleep(PROBE_EVERY_S)
                if self._is_back():
                    await self._pay_all()
                else:
                    await self._probe()
        finally:
            self._recovery = None

    async def _probe(self) -> None:
        try:
            now_ms, self._breaker.returns_at = await self._counters.reopening(self._left_in)
        except StorageUnavailable as problem:
            self.problem = problem
            self._breaker.returns_at = None
        else:
            self._time.heard(now_ms)

    async def _pay_all(self) -> None:
        try:
            while self._shares.has_debts and not self.is_away:
                await self._pay()
        except StorageUnavailable:
            _log.info("what was admitted by shares is counted when its account comes again")


def _one_by_one(row: Counted, requests: int) -> Sequence[Counted]:
    """What each of ``requests`` would have been told, had they been counted one after the other."""
    if not row.is_known:
        return [row] * requests
    admitted = [
        Counted(row.now_ms, 1, row.minute, row.in_minute - later, row.in_day - later)
        for later in range(row.admitted - 1, -1, -1)
    ]
    return [*admitted, *[Counted(row.now_ms, 0, row.minute, row.in_minute, row.in_day)] * (requests - row.admitted)]
