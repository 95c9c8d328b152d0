from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.auth import Principal
from gateway.limits import LIMITS, InProcessLimiter, LimitExceeded, Usage
from normalization.errors import RateLimited, ServiceUnavailable
from storage.ports import KeyEnvironment, Scopes, Tier
from tests.support.manual_clock import ManualClock
from tests.support.memory_directory import MemoryUsage

NOON_MS = int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp() * 1000)
LAST_MINUTE_MS = int(datetime(2026, 1, 31, 23, 59, tzinfo=UTC).timestamp() * 1000)
TODAY, TOMORROW = "2026-01-31", "2026-02-01"


class PacedClock(ManualClock):
    """Whoever sleeps on it waits until ``wake``."""

    def __init__(self, start_ms: int) -> None:
        super().__init__(start_ms)
        self._sleepers: list[asyncio.Future[None]] = []

    async def sleep(self, seconds: float) -> None:
        sleeper = asyncio.get_running_loop().create_future()
        self._sleepers.append(sleeper)
        await sleeper

    async def wake(self) -> None:
        sleepers, self._sleepers = self._sleepers, []
        for sleeper in sleepers:
            sleeper.set_result(None)
        for _ in range(5):
            await asyncio.sleep(0)

    @property
    def sleeping(self) -> int:
        return len(self._sleepers)


class Desk:
    def __init__(self, start_ms: int = NOON_MS, store: MemoryUsage | None = None) -> None:
        self.clock = PacedClock(start_ms)
        self.store = store or MemoryUsage()
        self.limiter = InProcessLimiter(self.store, self.clock)

    async def charge(self, account_id: str = "a1", tier: Tier = Tier.FREE) -> Usage:
        return await self.limiter.charge(principal(account_id, tier))

    async def charge_many(self, count: int, account_id: str = "a1", tier: Tier = Tier.FREE) -> int:
        """How many of ``count`` were admitted."""
        admitted = 0
        for _ in range(count):
            try:
                await self.charge(account_id, tier)
            except LimitExceeded:
                continue
            admitted += 1
        return admitted


def principal(account_id: str = "a1", tier: Tier = Tier.FREE, key_id: str = "k1") -> Principal:
    return Principal(
        key_id=key_id,
        account_id=account_id,
        account_name=account_id,
        tier=tier,
        environment=KeyEnvironment.TEST,
        scopes=Scopes(),
    )


def test_the_tiers_are_the_documented_ones() -> None:
    assert {tier: (limits.per_minute, limits.per_day, limits.keys) for tier, limits in LIMITS.items()} == {
        Tier.FREE: (30, 5_000, 3),
        Tier.BUILDER: (120, 50_000, 10),
        Tier.PRO: (600, 500_000, 25),
    }


async def test_each_request_counts_in_both_windows() -> None:
    desk = Desk()
    assert await desk.charge() == Usage(30, 29, 5_000, 4_999)
    assert await desk.charge() == Usage(30, 28, 5_000, 4_998)


async def test_the_31st_request_in_a_minute_is_refused() -> None:
    desk = Desk()
    assert await desk.charge_many(30) == 30
    desk.clock.advance(17.5)

    with pytest.raises(RateLimited, match=r"^Rate limit exceeded\. Retry after 43s\.$") as caught:
        await desk.charge()
    assert isinstance(caught.value, LimitExceeded)
    assert caught.value.retry_after_s == 43
    assert caught.value.usage == Usage(30, 0, 5_000, 4_970)


async def test_retry_after_is_at_least_one_second() -> None:
    desk = Desk()
    await desk.charge_many(30)
    desk.clock.advance(59.9995)
    with pytest.raises(LimitExceeded) as caught:
        await desk.charge()
    assert caught.value.retry_after_s == 1


@pytest.mark.parametrize("tier", list(Tier))
async def test_each_tier_has_its_own_minute(tier: Tier) -> None:
    desk = Desk()
    assert await desk.charge_many(700, tier=tier) == LIMITS[tier].per_minute


async def test_the_next_utc_minute_begins_anew() -> None:
    desk = Desk(NOON_MS + 59_999)
    assert await desk.charge_many(31) == 30
    desk.clock.advance(0.001)
    assert await desk.charge_many(31) == 30


async def test_all_keys_of_an_account_share_its_limits_and_other_accounts_have_their_own() -> None:
    desk = Desk()
    for number in range(30):
        await desk.limiter.charge(principal(key_id=f"k{number}"))
    with pytest.raises(LimitExceeded):
        await desk.limiter.charge(principal(key_id="k31"))
    assert await desk.charge_many(31, "a2") == 30


async def test_the_day_ends_at_utc_midnight() -> None:
    store = MemoryUsage()
    store.days[TODAY] = {"a1": 4_990}
    desk = Desk(LAST_MINUTE_MS + 10_000, store)
    assert await desk.charge_many(30) == 10

    with pytest.raises(LimitExceeded) as caught:
        await desk.charge()
    assert caught.value.retry_after_s == 50
    assert caught.value.usage == Usage(30, 20, 5_000, 0)

    desk.clock.advance(50)
    assert await desk.charge() == Usage(30, 29, 5_000, 4_999)


async def test_when_both_windows_are_used_up_the_days_end_is_told() -> None:
    store = MemoryUsage()
    store.days[TODAY] = {"a1": 4_970}
    desk = Desk(NOON_MS, store)
    assert await desk.charge_many(31) == 30
    with pytest.raises(LimitExceeded) as caught:
        await desk.charge()
    assert caught.value.retry_after_s == 12 * 3600


async def test_a_refused_request_consumes_nothing() -> None:
    desk = Desk()
    await desk.charge_many(500)
    await desk.limiter.flush()
    assert desk.store.days[TODAY] == {"a1": 30}
    desk.clock.advance(60)
    assert await desk.charge() == Usage(30, 29, 5_000, 4_969)


async def test_a_new_tier_counts_from_the_next_request() -> None:
    desk = Desk()
    await desk.charge_many(31)
    assert await desk.charge(tier=Tier.BUILDER) == Usage(120, 89, 50_000, 49_969)
    with pytest.raises(LimitExceeded) as caught:
        await desk.charge(tier=Tier.FREE)
    assert caught.value.usage.remaining_minute == 0


# The clock.


async def test_a_clock_that_goes_back_opens_no_minute_again() -> None:
    desk = Desk()
    await desk.charge_many(30)
    desk.clock.advance(60)
    await desk.charge_many(30)
    desk.clock.jump(-60)
    with pytest.raises(LimitExceeded) as caught:
        await desk.charge()
    assert caught.value.retry_after_s == 120
    desk.clock.jump(60)
    with pytest.raises(LimitExceeded):
        await desk.charge()


async def test_a_clock_that_goes_back_over_midnight_opens_no_day_again() -> None:
    desk = Desk(LAST_MINUTE_MS)
    await desk.charge_many(30)
    desk.clock.advance(60)
    await desk.charge_many(30)
    desk.clock.jump(-60)
    assert await desk.charge_many(5) == 0
    assert await desk.charge_many(31, "new") == 30
    desk.clock.jump(60)
    assert await desk.charge_many(5, "new") == 0


moves = st.one_of(
    st.tuples(st.just("charge"), st.sampled_from(["a1", "a2"]), st.integers(1, 40)),
    st.tuples(st.just("move"), st.just(""), st.sampled_from([-86_400, -61, -60, -1, 0, 1, 30, 59, 60, 61, 86_400])),
    st.tuples(st.just("flush"), st.just(""), st.just(0)),
)


@given(st.lists(moves, max_size=40))
@settings(max_examples=150, deadline=None)
def test_no_window_admits_more_than_its_limit_whatever_the_clock_does(
    steps: list[tuple[str, str, int]],
) -> None:
    async def run() -> None:
        store = MemoryUsage()
        store.days[TODAY] = {"a1": 4_960}
        desk = Desk(LAST_MINUTE_MS, store)
        minutes: Counter[tuple[str, int]] = Counter()
        days: Counter[tuple[str, int]] = Counter({("a1", LAST_MINUTE_MS // 86_400_000): 4_960})
        # What was admitted counts in the latest window that its account had been seen in.
        latest: dict[str, int] = {}
        latest_day = -1
        admitted_of: Counter[str] = Counter({"a1": 4_960})
        for kind, account_id, amount in steps:
            if kind == "move":
                desk.clock.jump(amount)
            elif kind == "flush":
                await desk.limiter.flush()
            else:
                now = desk.clock.now_ms()
                latest_day = max(latest_day, now // 86_400_000)
                latest[account_id] = max(latest.get(account_id, 0), now // 60_000, latest_day * 1_440)
                admitted = await desk.charge_many(amount, account_id)
                minutes[account_id, latest[account_id]] += admitted
                days[account_id, latest_day] += admitted
                admitted_of[account_id] += admitted
        assert max(minutes.values(), default=0) <= 30
        assert max(days.values()) <= 5_000
        await desk.limiter.close()
        stored = Counter[str]()
        for counts in store.days.values():
            stored.update(counts)
        assert stored == admitted_of

    asyncio.run(run())


@given(st.lists(st.sampled_from(["a1", "a2", "a3"]), max_size=150), st.integers(0, 10))
@settings(max_examples=50, deadline=None)
def test_concurrent_requests_are_admitted_exactly_up_to_the_limit(accounts: list[str], used: int) -> None:
    async def run() -> None:
        store = MemoryUsage()
        store.days[TODAY] = {"a1": 5_000 - used}
        desk = Desk(NOON_MS, store)
        outcomes = await asyncio.gather(
            *(desk.limiter.charge(principal(account_id)) for account_id in accounts), return_exceptions=True
        )
        asked = Counter(accounts)
        admitted = Counter(
            account_id for account_id, outcome in zip(accounts, outcomes, strict=True) if isinstance(outcome, Usage)
        )
        room = {"a1": used, "a2": 30, "a3": 30}
        assert admitted == Counter({account_id: min(asked[account_id], room[account_id]) for account_id in asked})
        assert store.reads <= 1
        await desk.limiter.close()

    asyncio.run(run())


# The store.


async def test_a_restart_hands_out_no_second_day() -> None:
    first = Desk()
    await first.charge_many(30)
    await first.limiter.close()

    second = Desk(NOON_MS + 60_000, first.store)
    assert await second.charge() == Usage(30, 29, 5_000, 4_969)


async def test_usage_is_stored_every_ten_seconds_while_there_is_any() -> None:
    desk = Desk()
    assert desk.clock.sleeping == 0
    await desk.charge_many(3)
    await desk.charge_many(2, "a2")
    await asyncio.sleep(0)
    assert desk.clock.sleeping == 1
    assert desk.store.adds == 0

    await desk.clock.wake()
    assert desk.store.days[TODAY] == {"a1": 3, "a2": 2}
    assert desk.store.adds == 1
    assert desk.clock.sleeping == 0

    await desk.charge()
    await asyncio.sleep(0)
    await desk.clock.wake()
    assert desk.store.days[TODAY] == {"a1": 4, "a2": 2}


async def test_what_was_counted_before_midnight_is_stored_under_its_day() -> None:
    desk = Desk(LAST_MINUTE_MS)
    await desk.charge_many(7)
    desk.clock.advance(60)
    await desk.charge_many(2)
    await desk.limiter.flush()
    assert desk.store.days == {TODAY: {"a1": 7}, TOMORROW: {"a1": 2}}


async def test_usage_that_could_not_be_stored_is_stored_later() -> None:
    desk = Desk()
    await desk.charge_many(3)
    await asyncio.sleep(0)
    desk.store.unavailable = True
    await desk.clock.wake()
    await desk.charge_many(4)
    assert desk.clock.sleeping == 1

    desk.store.unavailable = False
    await desk.clock.wake()
    assert desk.store.days == {TODAY: {"a1": 7}}


async def test_without_the_store_a_new_day_does_not_begin() -> None:
    desk = Desk()
    desk.store.unavailable = True
    with pytest.raises(ServiceUnavailable):
        await desk.charge()
    desk.store.unavailable = False
    assert await desk.charge() == Usage(30, 29, 5_000, 4_999)


async def test_a_running_day_needs_no_store() -> None:
    desk = Desk()
    await desk.charge()
    desk.store.unavailable = True
    assert await desk.charge_many(30) == 29
    desk.clock.advance(60)
    assert await desk.charge_many(31, "a2") == 30


async def test_counting_gives_way_to_nobody_once_the_day_has_begun() -> None:
    desk = Desk()
    await desk.charge()
    await asyncio.sleep(0)
    ran: list[str] = []
    asyncio.get_running_loop().call_soon(ran.append, "somebody else")

    await desk.charge_many(40)
    await desk.charge("a2")
    assert ran == []


async def test_closing_twice_and_without_use_is_harmless() -> None:
    desk = Desk()
    await desk.limiter.close()
    await desk.charge()
    await desk.limiter.close()
    await desk.limiter.close()
    assert desk.store.days == {TODAY: {"a1": 1}}
