"""Two nodes of two workers on one PostgreSQL and one Redis, and what must hold whichever of them dies or stalls.

Three ledgers are joined in the end: what the traders were told, what the journal has, and what the venue executed and
flushed to disk before it answered. The venue knows no duplicates: whatever is sent twice is executed twice.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import pytest
import pytest_asyncio

from normalization.venue_failures import Reason
from storage.ports import OrderState
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.fleet import Fleet, Process, Traders, any_process, callers_on, trading
from tests.support.ledger_venue import Fault
from tests.support.postgres_databases import PostgresDatabases
from tests.support.redis_server import RedisProcess

pytestmark = [pytest.mark.harness, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

ACCOUNTS: Final = 24
# For machines that cannot place so many orders so fast while everything is killed all the time.
SHORT_S, LONG_S = 60.0, 900.0
DECIDED_WITHIN_S: Final = 75.0
FAULTS: Final = {
    Fault.RESET_BEFORE: 0.01,
    Fault.REFUSED: 0.03,
    Fault.DEFERRED: 0.03,
    Fault.RESET_AFTER: 0.02,
    Fault.HANG_AFTER: 0.01,
    Fault.ERROR_AFTER: 0.02,
    Fault.HTML_AFTER: 0.02,
    Fault.CUT_SHORT: 0.02,
    Fault.SLOW: 0.05,
    Fault.NO_LOOKUP: 0.1,
}


class Scene(NamedTuple):
    """``proxy`` is the first node's way to the database."""

    fleet: Fleet
    traders: Traders
    proxy: FaultProxy


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresDatabases, shared_redis: RedisProcess
) -> AsyncIterator[Scene]:
    """One for all tests: starting it costs more than most of them."""
    url = await postgres.create()
    fleet = Fleet(tmp_path_factory.mktemp("fleet"), database_url=url, redis_url=shared_redis.url)
    async with fault_proxy("127.0.0.1", postgres.port) as proxy:
        fleet.add_node(workers=2, database_url=postgres.url(url.rpartition("/")[2], port=proxy.port))
        fleet.add_node(workers=2)
        callers = await callers_on(url, ACCOUNTS)
        try:
            await fleet.start()
            async with trading(fleet, callers) as traders:
                yield Scene(fleet, traders, proxy)
        finally:
            await asyncio.to_thread(fleet.close)


@asynccontextmanager
async def disturbed(
    action: Callable[[], Awaitable[None]], pauses_s: tuple[float, float], luck: random.Random
) -> AsyncIterator[None]:
    """``action`` again and again until the block ends."""
    ending = asyncio.Event()

    async def disturb() -> None:
        while not ending.is_set():
            await asyncio.sleep(luck.uniform(*pauses_s))
            await action()

    task = asyncio.create_task(disturb())
    try:
        yield
    finally:
        # Never in the middle of an action: what it stopped, it has to start again.
        ending.set()
        await task


async def test_no_order_is_doubled_or_forgotten_whatever_is_killed(scene: Scene, soak: bool) -> None:
    fleet, traders, _ = scene
    await fleet.let_the_venue_fail(FAULTS)
    luck = random.Random(1)
    victims: Counter[str] = Counter()

    async def kill_something() -> None:
        # Of ten, one is a whole node.
        if luck.random() < 0.1:
            node = luck.choice(fleet.nodes)
            await asyncio.to_thread(node.kill)
            await asyncio.to_thread(node.keep_up)
            victims["nodes"] += 1
        elif (process := any_process(fleet.nodes, luck)) is not None:
            process.kill()
            victims["processes"] += 1

    orders, per_second, within_s = (10_000, 100.0, LONG_S) if soak else (200, 40.0, SHORT_S)
    began = time.monotonic()
    async with disturbed(kill_something, (3.0, 7.0) if soak else (0.8, 1.6), luck):
        await traders.run(orders, per_second, patience_s=DECIDED_WITHIN_S, within_s=within_s)
    found = await fleet.until_decided(traders.answers, within_s=DECIDED_WITHIN_S)
    told = Counter(answer.status for answer in traders.answers)
    print(
        f"\n{found.orders} orders in {time.monotonic() - began:.0f} s, {len(traders.answers)} answers {dict(told)};"
        f" killed: {dict(victims)}\n{found.in_words()}"
    )
    assert victims["processes"] >= 3
    assert found.executed > found.orders / 2
    assert not found.faults


async def test_a_worker_that_stalls_between_commit_and_send_never_sends_late(scene: Scene, soak: bool) -> None:
    fleet, traders, proxy = scene
    await fleet.let_the_venue_fail({})
    # Every worker knows the keys when it matters.
    await traders.run(4 * ACCOUNTS, 100.0, patience_s=DECIDED_WITHIN_S)
    before = {row.order_key for row in await fleet.rows()}
    # The word that a row is stored is long on its way, so that it arrives while the worker stands still.
    proxy.latency_s = 0.15
    try:
        for stall_s in (5.0, 30.0, 120.0) if soak else (5.0,):
            await _stall(fleet, traders, fleet.nodes[0], stall_s)
    finally:
        proxy.latency_s = 0.0
    found = await fleet.until_decided(traders.answers, within_s=DECIDED_WITHIN_S)
    rows = [row for row in await fleet.rows() if row.order_key not in before]
    held_up = [row for row in rows if row.reason == Reason.SEND_DEADLINE_PASSED]
    taken_over = [row for row in rows if row.fence > 1]
    print(
        f"\n{found.in_words()}\nof {len(rows)} orders {len(held_up)} were stored and not sent because the worker had"
        f" been held up, {len(taken_over)} were taken over by another worker"
    )
    assert held_up or taken_over, "nothing was between commit and send"
    assert not found.faults


async def _stall(fleet: Fleet, traders: Traders, node: Process, stall_s: float) -> None:
    """Place orders, stop the node's processes in the middle for so long, and let them go on."""
    placing = asyncio.create_task(traders.run(60, 60.0, patience_s=stall_s + DECIDED_WITHIN_S))
    await fleet.until_sending(node, 2)
    stopped = node.children()
    for process in stopped:
        process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(stall_s)
    for process in stopped:
        process.send_signal(signal.SIGCONT)
    await placing


async def test_a_node_that_is_stopped_under_load_leaves_nothing_in_doubt(scene: Scene, soak: bool) -> None:
    fleet, traders, _ = scene
    await fleet.let_the_venue_fail({Fault.SLOW: 0.2})
    node, stops = fleet.nodes[0], 50 if soak else 1
    drained: list[float] = []
    for _ in range(stops):
        placing = asyncio.create_task(traders.run(60, 60.0, patience_s=DECIDED_WITHIN_S))
        await asyncio.sleep(0.5)
        began = time.monotonic()
        assert await asyncio.to_thread(node.stop) == 0
        drained.append(time.monotonic() - began)
        in_doubt = [row for row in await fleet.rows() if row.state is OrderState.UNKNOWN]
        assert in_doubt == [], "the stop itself made an order unknown"
        await asyncio.to_thread(node.keep_up)
        await placing
    found = await fleet.until_decided(traders.answers, within_s=DECIDED_WITHIN_S)
    print(f"\n{stops} stops, the longest {max(drained):.1f} s; {found.in_words()}")
    assert max(drained) <= 15.0
    assert not found.faults
