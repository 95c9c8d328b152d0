"""However requests, time and failures fall, no window admits more than it may: several workers, one real Redis."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.shared_limits.shares import MINUTE_MS
from storage.ports import Tier
from tests.support.limiter_nodes import SMALL, Nodes, Way
from tests.support.memory_directory import MemoryUsage
from tests.support.redis_server import RedisProcess

WORKERS: Final = 3
EVENING: Final = 20_000 * 86_400_000 + 23 * 3_600_000 + 57 * 60_000 + 20_000
LIMITS: Final = SMALL[Tier.FREE]

workers = st.integers(0, WORKERS - 1)
requests = st.tuples(st.just("ask"), workers, st.integers(1, 16))
times = st.tuples(st.just("wait"), st.just(0), st.sampled_from([1, 5, 20, 40, 61]))
together = st.lists(st.one_of(requests, times), min_size=8, max_size=40)
apart = st.lists(
    st.one_of(
        requests,
        requests,
        times,
        st.tuples(st.sampled_from([*Way]), workers, st.just(0)),
        st.tuples(st.sampled_from([*Way]), st.just(WORKERS), st.just(0)),
    ),
    min_size=8,
    max_size=30,
)
Steps = list[tuple[str, int, int]]


class Windows:
    """What was asked for and admitted, by minute of Redis's clock and by day; and the minutes in which all was well."""

    def __init__(self) -> None:
        self.minutes: Counter[int] = Counter()
        self.days: Counter[int] = Counter()
        self.asked: Counter[int] = Counter()
        self.touched: set[int] = set()

    async def take(self, nodes: Nodes, steps: Steps) -> None:
        for kind, number, amount in steps:
            minute = nodes.clock.redis_ms // MINUTE_MS
            was_well = _is_well(nodes)
            if kind == "wait":
                # In steps short enough for whoever is away to come back as it would.
                await nodes.advance(amount, step_s=1.0)
            elif kind == "ask":
                admitted = await nodes[number].ask(amount)
                self.minutes[minute] += admitted
                self.days[minute // 1440] += admitted
                self.asked[minute] += amount
            elif number == WORKERS:
                nodes.cut(Way(kind))
            else:
                nodes[number].redis.way = Way(kind)
            if not (was_well and _is_well(nodes)):
                self.touched.update(range(minute, nodes.clock.redis_ms // MINUTE_MS + 1))


def _is_well(nodes: Nodes) -> bool:
    return not any(node.limiter.is_away or node.redis.way is not Way.OPEN for node in nodes.nodes)


def bound(limit: int) -> float:
    """In the window of a break (`reliability`): one worker's share less than the limit over it."""
    return limit * (1 + (WORKERS - 1) / WORKERS)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(together)
async def test_with_redis_up_exactly_the_limit_is_admitted(redis_process: RedisProcess, steps: Steps) -> None:
    nodes, windows = Nodes(redis_process, MemoryUsage(), WORKERS, EVENING), Windows()
    nodes.wipe()
    await windows.take(nodes, steps)
    left = dict.fromkeys(windows.days, LIMITS.per_day)
    for minute in sorted(windows.asked):
        expected = min(windows.asked[minute], LIMITS.per_minute, left[minute // 1440])
        assert windows.minutes[minute] == expected
        left[minute // 1440] -= expected
    await nodes.close()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(apart)
async def test_whatever_fails_no_window_passes_its_bound(redis_process: RedisProcess, steps: Steps) -> None:
    nodes, windows = Nodes(redis_process, MemoryUsage(), WORKERS, EVENING), Windows()
    nodes.wipe()
    await windows.take(nodes, steps)
    assert all(admitted <= bound(LIMITS.per_minute) for admitted in windows.minutes.values())
    assert all(
        admitted <= LIMITS.per_minute for minute, admitted in windows.minutes.items() if minute not in windows.touched
    )
    assert all(admitted <= bound(LIMITS.per_day) for admitted in windows.days.values())

    # When everything is well again, and the minute is over that saw it come back, it is exact again.
    nodes.cut(Way.OPEN)
    await nodes.advance(130, step_s=1.0)
    assert not any(node.limiter.is_away for node in nodes.nodes)
    admitted = sum(await asyncio.gather(*(node.ask(10) for node in nodes.nodes)))
    assert admitted <= LIMITS.per_minute
    await nodes.close()


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(1, 20), min_size=WORKERS, max_size=WORKERS), min_size=2, max_size=4))
async def test_while_all_are_away_every_whole_window_keeps_its_limit(
    redis_process: RedisProcess, asked: list[list[int]]
) -> None:
    nodes = Nodes(redis_process, MemoryUsage(), WORKERS, EVENING)
    nodes.wipe()
    nodes.cut()
    for node in nodes.nodes:
        await node.limiter.start()
    for of_each in asked:
        await nodes.advance(60, step_s=60)
        admitted = sum([await node.ask(count) for node, count in zip(nodes.nodes, of_each, strict=True)])
        assert admitted <= LIMITS.per_minute
        assert admitted >= min(LIMITS.per_minute // WORKERS, *of_each)
    await nodes.close()
