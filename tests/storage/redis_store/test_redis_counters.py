from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.ports import Charge, Correction, Counted
from storage.redis_store.counters import RedisCounters
from storage.redis_store.servers import server_at
from tests.support.redis_clock import TEST_TIME, RedisClock
from tests.support.redis_server import RedisProcess

DAY_MS: Final = 86_400_000
MINUTE_MS: Final = 60_000
NOON: Final = 20_000 * DAY_MS + DAY_MS // 2
MINUTE: Final = NOON // MINUTE_MS


class Desk:
    def __init__(self, server: RedisProcess) -> None:
        self.server = server
        self.clock = RedisClock(server, NOON)
        self.counters = RedisCounters(server_at(server.address, answer_within_s=5.0), clock=TEST_TIME)

    async def known(self, *account_ids: str, in_minute: int = 0, in_day: int = 0) -> None:
        minute = self.clock.redis_ms // MINUTE_MS
        await self.counters.correct(
            [
                Correction(
                    account_id=account_id,
                    minute=minute,
                    least_in_minute=in_minute,
                    least_in_day=in_day,
                    create=True,
                )
                for account_id in account_ids
            ]
        )

    async def charge(self, account_id: str, requests: int = 1, *, per_minute: int = 30, per_day: int = 100) -> Counted:
        return (await self.counters.charge([Charge(account_id, per_minute, per_day, requests)]))[0]


@pytest.fixture
async def desk(redis_process: RedisProcess) -> AsyncIterator[Desk]:
    desk = Desk(redis_process)
    yield desk
    await desk.counters.close()


async def test_both_windows_are_counted_in_one_call_for_many_accounts(desk: Desk) -> None:
    await desk.known("a", "b")
    rows = await desk.counters.charge([Charge("a", 30, 100, 2), Charge("b", 5, 100, 9), Charge("a", 30, 100, 1)])
    assert rows == [
        Counted(NOON, 2, MINUTE, 2, 2),
        Counted(NOON, 5, MINUTE, 5, 5),
        Counted(NOON, 1, MINUTE, 3, 3),
    ]


async def test_no_more_are_admitted_than_either_window_has_left(desk: Desk) -> None:
    await desk.known("a")
    await desk.known("b", in_day=95)
    assert (await desk.charge("a", 31)).admitted == 30
    assert (await desk.charge("a")).admitted == 0
    assert (await desk.charge("b", 31)).admitted == 5
    assert (await desk.charge("b")).admitted == 0


async def test_what_is_refused_consumes_nothing(desk: Desk) -> None:
    await desk.known("a")
    for _ in range(3):
        await desk.charge("a", 20)
    desk.clock.advance(60)
    assert await desk.charge("a") == Counted(NOON + MINUTE_MS, 1, MINUTE + 1, 1, 31)


async def test_an_account_that_is_not_remembered_is_not_counted(desk: Desk) -> None:
    row = await desk.charge("a")
    assert not row.is_known
    assert row.minute == MINUTE
    assert desk.server.ask("DBSIZE") == 1  # the test's clock
    await desk.known("a", in_minute=3, in_day=40)
    assert await desk.charge("a") == Counted(NOON, 1, MINUTE, 4, 41)


async def test_a_new_day_begins_at_utc_midnight(desk: Desk) -> None:
    desk.clock.set_redis(NOON + DAY_MS // 2 - 1)
    await desk.known("a", in_day=100)
    assert (await desk.charge("a")).admitted == 0
    desk.clock.set_redis(NOON + DAY_MS // 2)
    assert await desk.charge("a") == Counted(NOON + DAY_MS // 2, 1, MINUTE + 720, 1, 1)


async def test_a_clock_that_goes_back_reopens_no_window(desk: Desk) -> None:
    desk.clock.set_redis(NOON + DAY_MS)
    await desk.known("a")
    assert (await desk.charge("a", 30)).admitted == 30
    desk.clock.set_redis(NOON)
    row = await desk.charge("a")
    assert (row.admitted, row.minute, row.in_minute, row.in_day) == (0, MINUTE + 1440, 30, 30)
    desk.clock.set_redis(NOON + DAY_MS + MINUTE_MS)
    assert (await desk.charge("a")).in_day == 31


async def test_a_key_outlives_its_day_and_no_more(desk: Desk) -> None:
    await desk.known("a")
    key = "vg:limits:{a}"
    assert 0 < desk.server.ask("TTL", key) <= 2 * 86_400
    desk.server.ask("EXPIRE", key, 100)
    await desk.charge("a")
    assert desk.server.ask("TTL", key) <= 100
    desk.clock.advance(86_400)
    await desk.charge("a")
    assert desk.server.ask("TTL", key) > 86_400


async def test_what_was_counted_elsewhere_is_added_where_its_window_is_still_open(desk: Desk) -> None:
    await desk.known("same", "next_minute", "next_day")
    await desk.charge("same", 4)
    desk.clock.advance(60)
    await desk.charge("next_minute", 4)
    desk.clock.advance(86_400)
    await desk.charge("next_day", 4)
    await desk.counters.correct(
        [
            Correction(account_id=account_id, minute=MINUTE, more_in_minute=7, more_in_day=9)
            for account_id in ("same", "next_minute", "next_day")
        ]
    )
    desk.clock.set_redis(NOON)
    assert [(row.in_minute, row.in_day) for row in [await desk.charge(name) for name in ("same", "next_minute")]] == [
        (12, 14),
        (5, 14),
    ]
    assert (await desk.charge("next_day")).in_day == 5


async def test_a_later_correction_turns_the_window(desk: Desk) -> None:
    await desk.known("a")
    await desk.charge("a", 30)
    await desk.counters.correct([Correction(account_id="a", minute=MINUTE + 1, more_in_minute=2, more_in_day=2)])
    desk.clock.advance(60)
    assert await desk.charge("a") == Counted(NOON + MINUTE_MS, 1, MINUTE + 1, 3, 33)


async def test_a_correction_creates_nothing_unless_told_to(desk: Desk) -> None:
    await desk.counters.correct([Correction(account_id="a", minute=MINUTE, more_in_day=5, least_in_day=50)])
    assert not (await desk.charge("a")).is_known


async def test_reminding_twice_forgets_nothing(desk: Desk) -> None:
    await desk.known("a", in_day=10)
    await desk.charge("a", 5)
    await desk.known("a", in_day=12, in_minute=1)
    assert (await desk.charge("a")).in_day == 16


async def test_it_goes_on_when_redis_has_forgotten_the_script(desk: Desk) -> None:
    await desk.known("a")
    await desk.charge("a")
    desk.server.ask("SCRIPT", "FLUSH")
    assert (await desk.charge("a")).in_minute == 2


async def test_those_who_left_return_in_one_minute_with_notice(desk: Desk) -> None:
    assert await desk.counters.reopening(None) == (NOON, 0)
    assert await desk.counters.reopening(MINUTE) == (NOON, MINUTE + 1)
    desk.clock.advance(57.9)
    assert (await desk.counters.reopening(MINUTE))[1] == MINUTE + 1
    assert (await desk.counters.reopening(None))[1] == MINUTE + 1


async def test_nobody_is_told_a_minute_that_is_about_to_begin(desk: Desk) -> None:
    desk.clock.advance(58.5)
    assert (await desk.counters.reopening(MINUTE))[1] == MINUTE + 2


async def test_who_comes_late_to_the_agreed_minute_returns_at_once(desk: Desk) -> None:
    await desk.counters.reopening(MINUTE)
    desk.clock.advance(61)
    assert (await desk.counters.reopening(MINUTE))[1] == MINUTE + 1


async def test_who_left_after_the_agreed_minute_began_waits_for_another(desk: Desk) -> None:
    await desk.counters.reopening(MINUTE)
    desk.clock.advance(61)
    assert (await desk.counters.reopening(MINUTE + 1))[1] == MINUTE + 2


class Model:
    """The same in Python."""

    def __init__(self) -> None:
        self.accounts: dict[str, list[int]] = {}

    def charge(self, minute: int, account_id: str, requests: int) -> tuple[int, int, int, int]:
        if account_id not in self.accounts:
            return (-1, minute, 0, 0)
        at, in_minute, in_day = self.accounts[account_id]
        if minute > at:
            in_minute, in_day = 0, in_day if minute // 1440 == at // 1440 else 0
            at = minute
        admitted = max(0, min(requests, 30 - in_minute, 100 - in_day))
        if admitted:
            self.accounts[account_id] = [at, in_minute + admitted, in_day + admitted]
        return (admitted, at, in_minute + admitted, in_day + admitted)


steps = st.one_of(
    st.tuples(
        st.just("charge"), st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 40)), min_size=1, max_size=6)
    ),
    st.tuples(st.just("jump"), st.sampled_from([-90_000, -60_000, 1, 30_000, 60_000, 61_000, 43_200_000])),
    st.tuples(st.just("remember"), st.sampled_from("abc")),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, max_size=25))
async def test_redis_counts_as_the_model_does(desk: Desk, taken: list[tuple[str, object]]) -> None:
    desk.server.ask("FLUSHALL")
    desk.clock.set_redis(NOON)
    model = Model()
    for kind, value in taken:
        minute = desk.clock.redis_ms // MINUTE_MS
        if kind == "jump":
            assert isinstance(value, int)
            desk.clock.set_redis(desk.clock.redis_ms + value)
        elif kind == "remember":
            assert isinstance(value, str)
            await desk.known(value)
            at = model.accounts.setdefault(value, [minute, 0, 0])
            if minute > at[0]:
                model.accounts[value] = [minute, 0, at[2] if minute // 1440 == at[0] // 1440 else 0]
        else:
            assert isinstance(value, list)
            rows = await desk.counters.charge([Charge(name, 30, 100, requests) for name, requests in value])
            expected = [model.charge(minute, name, requests) for name, requests in value]
            assert [(row.admitted, row.minute, row.in_minute, row.in_day) for row in rows] == expected
