"""Limits that several workers keep together, against a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import pytest

from gateway.limits import LimitExceeded, Usage
from storage.ports import Tier
from tests.support.limiter_nodes import Nodes, Way, principal
from tests.support.memory_directory import MemoryUsage
from tests.support.redis_server import RedisProcess

DAY_MS: Final = 86_400_000
NOON: Final = 20_000 * DAY_MS + DAY_MS // 2
TODAY: Final = "2024-10-04"


@pytest.fixture
def usage() -> MemoryUsage:
    return MemoryUsage()


@pytest.fixture
async def nodes(redis_process: RedisProcess, usage: MemoryUsage) -> AsyncIterator[Nodes]:
    """Three workers at noon. A free account has 12 a minute and 60 a day."""
    nodes = Nodes(redis_process, usage, 3, NOON)
    yield nodes
    await nodes.close()


async def lose(nodes: Nodes, number: int) -> None:
    """Cut a worker off, and let it notice with requests of somebody else."""
    nodes[number].redis.way = Way.CUT
    for _ in range(3):
        await nodes[number].ask(1, "other")
    assert nodes[number].limiter.is_away


# Together.


async def test_workers_share_the_minute_and_the_day(nodes: Nodes) -> None:
    admitted = [await node.ask(7) for node in nodes.nodes]
    assert admitted == [7, 5, 0]
    for _ in range(4):
        await nodes.advance(60, step_s=60)
        assert sum([await node.ask(7) for node in nodes.nodes]) == 12
    await nodes.advance(60, step_s=60)
    assert sum([await node.ask(7) for node in nodes.nodes]) == 0


async def test_an_answer_tells_what_is_left(nodes: Nodes) -> None:
    assert await nodes[0].outcome() == Usage(12, 11, 60, 59)
    assert await nodes[1].outcome() == Usage(12, 10, 60, 58)


async def test_a_refusal_tells_when_to_come_back_by_the_clock_of_redis(nodes: Nodes) -> None:
    await nodes[0].ask(12)
    await nodes.advance(17.5, step_s=17.5)
    nodes.clock.jump(3_600)
    refusal = await nodes[1].outcome()
    assert isinstance(refusal, LimitExceeded)
    assert refusal.retry_after_s == 43
    assert refusal.usage == Usage(12, 0, 60, 48)


async def test_concurrent_requests_are_asked_about_at_once(nodes: Nodes) -> None:
    await nodes[0].ask(1, "a")
    await nodes[0].ask(1, "b")
    nodes[0].redis.charges.clear()
    outcomes = await asyncio.gather(*(nodes[0].outcome(name) for name in "abababab"))
    assert [[charge.requests for charge in charges] for charges in nodes[0].redis.charges] == [[4, 4]]
    assert [one.remaining_minute for one in outcomes if isinstance(one, Usage)] == [10, 10, 9, 9, 8, 8, 7, 7]


async def test_of_concurrent_requests_the_first_are_admitted(nodes: Nodes) -> None:
    await nodes[0].ask(9)
    outcomes = await asyncio.gather(*(nodes[0].outcome() for _ in range(5)))
    assert [isinstance(one, Usage) for one in outcomes] == [True, True, True, False, False]


async def test_each_tier_has_its_own_limits(nodes: Nodes) -> None:
    assert [await nodes[0].ask(100, tier, tier) for tier in Tier] == [12, 24, 48]


async def test_wall_clocks_of_workers_do_not_matter(nodes: Nodes) -> None:
    assert await nodes[0].ask(12) == 12
    nodes.clock.jump(-7_200)
    assert await nodes[0].ask(1) == 0
    nodes.clock.jump(14_400)
    assert await nodes[1].ask(1) == 0


async def test_a_clock_of_redis_that_goes_back_reopens_no_window(nodes: Nodes) -> None:
    assert await nodes[0].ask(12) == 12
    nodes.clock.set_redis(NOON - 60_000)
    assert await nodes[1].ask(12) == 0
    nodes.clock.set_redis(NOON + 1_000)
    assert await nodes[2].ask(12) == 0


# The day outlives Redis.


async def test_usage_is_stored_every_ten_seconds(nodes: Nodes, usage: MemoryUsage) -> None:
    await nodes[0].ask(5)
    await nodes[1].ask(4, "b")
    assert usage.days == {}
    await nodes.advance(10, step_s=10)
    assert usage.days == {TODAY: {"a": 5, "b": 4}}


async def test_a_wiped_redis_hands_out_no_second_day(nodes: Nodes, usage: MemoryUsage) -> None:
    usage.days[TODAY] = {"a": 50}
    assert await nodes[0].ask(3) == 3
    assert await nodes[1].ask(4) == 4
    await nodes.advance(60, step_s=10)
    nodes.wipe()
    assert await nodes[2].ask(9) == 3


async def test_what_a_worker_has_not_stored_yet_is_remembered_all_the_same(nodes: Nodes, usage: MemoryUsage) -> None:
    usage.days[TODAY] = {"a": 50}
    assert await nodes[0].ask(7) == 7
    nodes.wipe()
    await nodes.advance(60, step_s=60)
    assert await nodes[0].ask(9) == 3


async def test_a_wiped_redis_hands_out_no_second_minute_to_a_worker_that_saw_it(nodes: Nodes) -> None:
    assert await nodes[0].ask(10) == 10
    nodes.wipe()
    assert await nodes[0].ask(10) == 2


async def test_an_account_is_looked_up_once_a_day_at_most(nodes: Nodes, usage: MemoryUsage) -> None:
    for _ in range(3):
        await nodes[0].ask(2)
        await nodes[1].ask(2)
        await nodes.advance(60, step_s=60)
    await nodes.advance(86_400, step_s=86_400)
    await nodes[2].ask(2)
    assert usage.reads == 1


# Away.


async def test_three_failures_make_a_worker_leave_and_requests_are_served_all_the_same(nodes: Nodes) -> None:
    await nodes[0].ask(1)
    nodes[0].redis.way = Way.CUT
    for _ in range(3):
        assert not nodes[0].limiter.is_away
        assert await nodes[0].ask(1) == 1
    assert nodes[0].limiter.is_away
    asked = len(nodes[0].redis.charges)
    assert await nodes[0].ask(5) == 0
    assert len(nodes[0].redis.charges) == asked


async def test_those_who_wait_behind_a_failure_do_not_wait_for_another(nodes: Nodes) -> None:
    await nodes[0].ask(1)
    await nodes[0].ask(1, "b")
    nodes[0].redis.charges.clear()
    nodes[0].redis.way = Way.ANSWER_LOST
    nodes[0].redis.asked.clear()
    first = asyncio.create_task(nodes[0].ask(1))
    await nodes[0].redis.asked.wait()
    assert await nodes[0].ask(3, "b") == 3
    assert await first == 1
    assert len(nodes[0].redis.charges) == 1


async def test_a_share_is_what_was_left_divided_by_the_workers(nodes: Nodes) -> None:
    await nodes[0].ask(2)
    await lose(nodes, 0)
    # (12 - 2) // 3
    assert await nodes[0].ask(20) == 3
    await nodes.advance(60, step_s=60)
    # 12 // 3
    assert await nodes[0].ask(20) == 4


async def test_nothing_is_left_of_what_was_used_up(nodes: Nodes) -> None:
    await nodes[0].ask(12)
    await lose(nodes, 0)
    refusal = await nodes[0].outcome()
    assert isinstance(refusal, LimitExceeded)
    assert refusal.retry_after_s == 60


async def test_a_share_is_one_at_least(nodes: Nodes) -> None:
    nodes.workers = 20
    await lose(nodes, 0)
    assert await nodes[0].ask(20) == 1
    await nodes.advance(60, step_s=60)
    assert await nodes[0].ask(20) == 1


async def test_the_share_of_the_day_is_of_what_the_database_says_is_left(nodes: Nodes, usage: MemoryUsage) -> None:
    usage.days[TODAY] = {"a": 54}
    await lose(nodes, 0)
    # (60 - 54) // 3
    assert await nodes[0].ask(20) == 2
    await nodes.advance(60, step_s=60)
    refusal = await nodes[0].outcome()
    assert isinstance(refusal, LimitExceeded)
    assert refusal.retry_after_s == 43_200 - 60


async def test_without_redis_and_database_there_is_a_share_of_a_whole_day(nodes: Nodes, usage: MemoryUsage) -> None:
    usage.unavailable = True
    await lose(nodes, 0)
    admitted = 0
    for _ in range(10):
        admitted += await nodes[0].ask(20)
        await nodes.advance(60, step_s=60)
    assert admitted == 20


async def test_a_worker_that_joins_lessens_the_others_shares_at_once_and_one_that_leaves_does_with_the_next_minute(
    nodes: Nodes,
) -> None:
    await lose(nodes, 0)
    nodes.workers = 2
    assert await nodes[0].ask(20) == 4
    await nodes.advance(60, step_s=60)
    nodes.workers = 2
    assert await nodes[0].ask(5) == 5
    nodes.workers = 3
    assert await nodes[0].ask(5) == 0


async def test_a_worker_that_starts_without_redis_serves_at_once(nodes: Nodes) -> None:
    nodes[0].redis.way = Way.CUT
    await nodes[0].limiter.start()
    assert nodes[0].limiter.is_away
    assert await nodes[0].ask(20) == 4
    assert nodes[0].redis.charges == []


async def test_time_goes_on_for_a_worker_that_is_away_whatever_its_wall_clock_does(nodes: Nodes) -> None:
    await nodes[0].ask(1)
    await lose(nodes, 0)
    assert await nodes[0].ask(20) == 3
    nodes.clock.jump(60)
    assert await nodes[0].ask(1) == 0
    nodes.clock.jump(-3_600)
    await nodes.advance(60, step_s=60)
    assert await nodes[0].ask(20) == 4


# Back.


async def test_all_return_at_the_next_minute_and_not_before(nodes: Nodes) -> None:
    for number in range(3):
        await lose(nodes, number)
    nodes.cut(Way.OPEN)
    await nodes.advance(59.5)
    assert all(node.limiter.is_away for node in nodes.nodes)
    await nodes.advance(1)
    assert not any(node.limiter.is_away for node in nodes.nodes)
    assert sum([await node.ask(20) for node in nodes.nodes]) == 12


async def test_nobody_returns_in_a_minute_that_others_were_not_told_of(nodes: Nodes) -> None:
    for number in range(3):
        await lose(nodes, number)
    await nodes.advance(58.5)
    nodes.cut(Way.OPEN)
    await nodes.advance(2)
    assert all(node.limiter.is_away for node in nodes.nodes)
    await nodes.advance(60)
    assert not any(node.limiter.is_away for node in nodes.nodes)


async def test_one_that_comes_to_itself_last_returns_with_the_others(nodes: Nodes) -> None:
    for number in range(3):
        await lose(nodes, number)
    nodes[0].redis.way = Way.OPEN
    await nodes.advance(57)
    nodes.cut(Way.OPEN)
    await nodes.advance(3.5)
    assert not any(node.limiter.is_away for node in nodes.nodes)


async def test_one_that_fails_once_learns_that_the_others_are_away(nodes: Nodes) -> None:
    await nodes[2].ask(1, "b")
    for number in range(2):
        await lose(nodes, number)
    nodes.cut(Way.OPEN)
    await nodes.advance(1)
    nodes[2].redis.way = Way.CUT
    await nodes[2].ask(1, "b")
    nodes[2].redis.way = Way.OPEN
    await nodes[2].ask(1, "b")
    assert nodes[2].limiter.is_away
    await nodes.advance(60)
    assert not any(node.limiter.is_away for node in nodes.nodes)


async def test_the_day_that_was_admitted_by_shares_is_counted_afterwards(nodes: Nodes, usage: MemoryUsage) -> None:
    await nodes[0].ask(3)
    for number in range(3):
        await lose(nodes, number)
    assert [await node.ask(20) for node in nodes.nodes] == [3, 4, 4]
    nodes.cut(Way.OPEN)
    await nodes.advance(61)
    assert await nodes[1].outcome() == Usage(12, 11, 60, 60 - 14 - 1)
    await nodes.settle()
    await nodes.advance(11)
    assert usage.days[TODAY]["a"] == 15


async def test_what_was_admitted_by_shares_is_counted_although_its_account_never_comes_again(nodes: Nodes) -> None:
    await nodes[1].ask(1)
    await lose(nodes, 0)
    assert await nodes[0].ask(20) == 4
    nodes.cut(Way.OPEN)
    await nodes.advance(62)
    assert nodes.server.ask("HGET", "vg:limits:{a}", "in_day") == b"5"


async def test_shares_of_a_wiped_redis_are_counted_from_the_database(nodes: Nodes) -> None:
    await nodes[0].ask(3)
    await lose(nodes, 0)
    assert await nodes[0].ask(20) == 3
    nodes.wipe()
    nodes.cut(Way.OPEN)
    await nodes.advance(61)
    assert await nodes[1].outcome() == Usage(12, 11, 60, 60 - 6 - 1)


async def test_a_failure_too_few_to_leave_for_is_counted_before_the_next_request(nodes: Nodes) -> None:
    await nodes[0].ask(2)
    nodes[0].redis.way = Way.CUT
    # (12 - 2) // 3 by itself
    assert await nodes[0].ask(5) == 3
    nodes[0].redis.way = Way.OPEN
    assert await nodes[0].outcome() == Usage(12, 6, 60, 54)
    assert await nodes[1].ask(20) == 6


async def test_an_answer_that_was_lost_costs_the_account_and_never_the_limit(nodes: Nodes) -> None:
    await nodes[0].ask(1)
    nodes[0].redis.way = Way.ANSWER_LOST
    assert await nodes[0].ask(3) == 3
    nodes[0].redis.way = Way.OPEN
    # Counted by Redis, and again as a debt.
    assert await nodes[0].outcome() == Usage(12, 12 - 1 - 3 - 3 - 1, 60, 60 - 1 - 3 - 3 - 1)


async def test_leaving_again_right_after_the_return_waits_for_another_minute(nodes: Nodes) -> None:
    await lose(nodes, 0)
    nodes.cut(Way.OPEN)
    await nodes.advance(61)
    await lose(nodes, 0)
    nodes.cut(Way.OPEN)
    away = []
    for seconds in (5, 60):
        await nodes.advance(seconds)
        away.append(nodes[0].limiter.is_away)
    assert away == [True, False]
    assert nodes[0].limiter.times_lost == 2


async def test_a_worker_that_loses_redis_as_it_returns_comes_back_all_the_same(nodes: Nodes) -> None:
    await lose(nodes, 0)
    assert await nodes[0].ask(20) == 4
    nodes.cut(Way.OPEN)
    await nodes.advance(55)
    # It knows when, and finds nobody there.
    nodes.cut()
    nodes.clock.advance(5)
    for _ in range(3):
        await nodes[0].ask(1, "other")
    nodes.cut(Way.OPEN)
    away = [nodes[0].limiter.is_away]
    for _ in range(3):
        await nodes.advance(60)
        away.append(nodes[0].limiter.is_away)
    assert (away[0], away[-1]) == (True, False)
    assert nodes.server.ask("HGET", "vg:limits:{a}", "in_day") in (None, b"4")


# Told to others.


async def test_every_request_is_noted_and_those_near_the_limit_apart(nodes: Nodes) -> None:
    await nodes[0].ask(14)
    shared = [nodes[0].limiter.checks["shared", outcome] for outcome in ("admitted", "near_limit", "refused")]
    assert shared == [9, 3, 2]
    await lose(nodes, 0)
    await nodes[0].ask(5, "b")
    assert nodes[0].limiter.checks["local", "refused"] == 1


async def test_a_caller_who_goes_away_takes_nobody_with_him(nodes: Nodes) -> None:
    await nodes[0].ask(1)
    leaving = asyncio.create_task(nodes[0].limiter.charge(principal()))
    staying = asyncio.create_task(nodes[0].limiter.charge(principal()))
    await asyncio.sleep(0)
    leaving.cancel()
    usage = await staying
    assert usage.remaining_minute == 9
    assert leaving.cancelled()
