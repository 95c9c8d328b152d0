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
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]
import pytest

from storage.ports import OrderState
from tests.support.fault_proxy import fault_proxy
from tests.support.fleet import Fleet, Process, Traders, any_worker, callers_on, trading
from tests.support.ledger_venue import Fault
from tests.support.postgres_databases import PostgresDatabases
from tests.support.redis_server import RedisProcess

pytestmark = [pytest.mark.harness, pytest.mark.slow]

ACCOUNTS: Final = 24
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

OpenFleet = Callable[..., Awaitable[Fleet]]


@pytest.fixture
async def open_fleet(
    tmp_path: Path, postgres: PostgresDatabases, redis_process: RedisProcess
) -> AsyncIterator[OpenFleet]:
    fleets: list[Fleet] = []

    async def open_one(rates: Mapping[Fault, float]) -> Fleet:
        fleet = Fleet(tmp_path, database_url=await postgres.create(), redis_url=redis_process.url, rates=rates)
        fleets.append(fleet)
        return fleet

    yield open_one
    for fleet in fleets:
        await asyncio.to_thread(fleet.close)


async def disturb(action: Callable[[], Awaitable[object]], pauses_s: tuple[float, float], luck: random.Random) -> int:
    """Again and again until cancelled; how often."""
    times = 0
    try:
        while True:
            await asyncio.sleep(luck.uniform(*pauses_s))
            await action()
            times += 1
    except asyncio.CancelledError:
        return times


@asynccontextmanager
async def disturbed(
    action: Callable[[], Awaitable[object]], pauses_s: tuple[float, float], luck: random.Random
) -> AsyncIterator[Counter[str]]:
    count: Counter[str] = Counter()
    task = asyncio.create_task(disturb(action, pauses_s, luck))
    try:
        yield count
    finally:
        task.cancel()
        count["times"] = await task


async def test_no_order_is_doubled_or_forgotten_whatever_is_killed(open_fleet: OpenFleet, soak: bool) -> None:
    fleet = await open_fleet(FAULTS)
    for _ in range(2):
        fleet.add_node(workers=2)
    callers = await callers_on(fleet.database_url, ACCOUNTS)
    await fleet.start()
    luck = random.Random(1)
    victims: Counter[str] = Counter()

    async def kill_something() -> None:
        # Of ten, one is a whole node.
        if luck.random() < 0.1:
            node = luck.choice(fleet.nodes)
            await asyncio.to_thread(node.kill)
            await asyncio.to_thread(node.start)
            victims["nodes"] += 1
        elif (process := any_worker(fleet.nodes, luck)) is not None:
            process.kill()
            victims["processes"] += 1

    orders, per_second = (10_000, 100.0) if soak else (320, 40.0)
    began = time.monotonic()
    async with trading(fleet, callers) as traders:
        async with disturbed(kill_something, (3.0, 7.0) if soak else (0.8, 1.6), luck):
            await traders.run(range(orders), per_second, patience_s=DECIDED_WITHIN_S)
        found = await fleet.until_decided(traders.answers, within_s=DECIDED_WITHIN_S)
        told = Counter(answer.status for answer in traders.answers)
    print(
        f"\n{orders} orders in {time.monotonic() - began:.0f} s, {len(traders.answers)} answers {dict(told)};"
        f" killed: {dict(victims)}\n{found.in_words()}"
    )
    assert victims["processes"] >= 3
    assert found.orders == orders
    assert found.executed > orders / 2
    assert not found.faults


async def test_a_worker_that_stalls_between_commit_and_send_never_sends_late(
    open_fleet: OpenFleet, postgres: PostgresDatabases, soak: bool
) -> None:
    fleet = await open_fleet({})
    async with fault_proxy("127.0.0.1", postgres.port) as proxy:
        name = fleet.database_url.rpartition("/")[2]
        stalling = fleet.add_node(workers=2, database_url=postgres.url(name, port=proxy.port))
        fleet.add_node(workers=1)
        callers = await callers_on(fleet.database_url, ACCOUNTS)
        await fleet.start()
        async with trading(fleet, callers) as traders:
            number = 4 * ACCOUNTS
            await traders.run(range(number), 100.0, patience_s=DECIDED_WITHIN_S)
            # The word that a row is stored is long on its way, so that it arrives while the worker stands still.
            proxy.latency_s = 0.15
            for stall_s in (5.0, 30.0, 120.0) if soak else (5.0,):
                number = await _stalled(traders, stalling, number, stall_s)
            found = await fleet.until_decided(traders.answers, within_s=DECIDED_WITHIN_S)
    held_up = [row for row in await fleet.rows() if row.reason == "SEND_DEADLINE_PASSED"]
    abandoned = [row for row in await fleet.rows() if row.fence > 1]
    print(
        f"\n{found.in_words()}\n{len(held_up)} were stored and not sent because the worker had been held up,"
        f" {len(abandoned)} were taken over by another worker meanwhile"
    )
    assert held_up or abandoned, "nothing was between commit and send"
    assert not found.faults


async def _stalled(traders: Traders, node: Process, number: int, stall_s: float) -> int:
    """Place orders, stop the node's workers in the middle for so long, and let them go on; the next order's number."""
    numbers = range(number, number + 60)
    placing = asyncio.create_task(traders.run(numbers, 60.0, patience_s=stall_s + DECIDED_WITHIN_S))
    await asyncio.sleep(0.6)
    stopped: list[psutil.Process] = node.children()[1:]
    for worker in stopped:
        worker.send_signal(signal.SIGSTOP)
    await asyncio.sleep(stall_s)
    for worker in stopped:
        worker.send_signal(signal.SIGCONT)
    await placing
    return numbers.stop


async def test_a_node_that_is_stopped_under_load_leaves_nothing_in_doubt(open_fleet: OpenFleet, soak: bool) -> None:
    fleet = await open_fleet({Fault.SLOW: 0.2})
    node = fleet.add_node(workers=2)
    fleet.add_node(workers=1)
    callers = await callers_on(fleet.database_url, ACCOUNTS)
    await fleet.start()
    stops = 50 if soak else 2
    drained: list[float] = []
    async with trading(fleet, callers) as traders:
        for stop in range(stops):
            numbers = range(60 * stop, 60 * (stop + 1))
            placing = asyncio.create_task(traders.run(numbers, 60.0, patience_s=DECIDED_WITHIN_S))
            await asyncio.sleep(0.5)
            began = time.monotonic()
            assert await asyncio.to_thread(node.stop) == 0
            drained.append(time.monotonic() - began)
            rows = await fleet.rows()
            in_doubt = [row for row in rows if row.state is OrderState.UNKNOWN]
            assert in_doubt == [], "the stop itself made an order unknown"
            await asyncio.to_thread(node.start)
            await placing
        found = await fleet.until_decided(traders.answers, within_s=DECIDED_WITHIN_S)
    print(f"\n{stops} stops, the longest {max(drained):.1f} s; {found.in_words()}")
    assert max(drained) <= 15.0
    assert not found.faults
