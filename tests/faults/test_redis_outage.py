"""Redis is stopped, killed, frozen and cut off under load: no request fails for it, and limits stay in their bound.

Two nodes share one Redis, each behind a proxy of its own. At most three checks of each wait for it in vain; from then
on it admits its share by itself.
"""

from __future__ import annotations

import asyncio
import math
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from gateway.limits import LIMITS
from gateway.shared_limits.limiter import SharedLimiter
from storage.ports import Tier
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.redis_server import RedisProcess, running_redis
from tests.support.served import Served, served

pytestmark = pytest.mark.harness

NODES: Final = 2
PER_SECOND: Final = 120
SHORT_S, LONG_S = 1.0, 30.0
BEFORE_S: Final = 0.4
# Back at the edge of a minute that was agreed on two seconds before at least.
RETURN_WITHIN_S: Final = 66.0
LIMIT: Final = LIMITS[Tier.BUILDER].per_minute


class Answer(NamedTuple):
    account: int
    sent_at: float
    seconds: float
    status: int


class Load:
    """Reads at a steady rate, to the nodes in turn: three in four are one account's, and use up its minute."""

    def __init__(self, nodes: Sequence[Served], keys: Sequence[str]) -> None:
        self.answers: list[Answer] = []
        self._nodes = nodes
        self._keys = keys
        self._tasks: set[asyncio.Task[None]] = set()

    async def run_for(self, seconds: float) -> None:
        began = time.monotonic()
        for number in range(int(seconds * PER_SECOND)):
            await asyncio.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
            account = 0 if number % 4 else 1 + number // 4 % (len(self._keys) - 1)
            task = asyncio.create_task(self.ask(number // 2 % NODES, account))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def ask(self, node: int, account: int) -> None:
        began = time.monotonic()
        reply = await self._nodes[node].post({"operation": "listCredentials"}, self._keys[account])
        self.answers.append(Answer(account, began, time.monotonic() - began, reply.status))

    async def until_all_are_answered(self) -> None:
        await asyncio.gather(*self._tasks)


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    with running_redis() as server:
        yield server


@asynccontextmanager
async def nodes_on(directory: Path, redis: RedisProcess) -> AsyncIterator[tuple[list[Served], list[FaultProxy]]]:
    async with AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(fault_proxy("127.0.0.1", redis.port)) for _ in range(NODES)]
        nodes = [
            await stack.enter_async_context(
                served(directory, redis_url=f"redis://127.0.0.1:{proxy.port}", redis_answers_within_s=0.05)
            )
            for proxy in proxies
        ]
        for node in nodes:
            # They have seen each other.
            assert node.gateway.sharing is not None
            await node.gateway.sharing.workers.beat()
        yield nodes, proxies


Disturbance = Callable[[RedisProcess, Sequence[FaultProxy]], Awaitable[object]]


async def _silence(proxies: Sequence[FaultProxy], *, silent: bool) -> None:
    for proxy in proxies:
        proxy.is_silent = silent


DISTURBANCES: Final[dict[str, tuple[Disturbance, Disturbance]]] = {
    "stopped": (lambda r, p: asyncio.to_thread(r.stop, signal.SIGTERM), lambda r, p: asyncio.to_thread(r.start)),
    "killed": (lambda r, p: asyncio.to_thread(r.stop), lambda r, p: asyncio.to_thread(r.start)),
    "frozen": (
        lambda r, p: asyncio.to_thread(r.signal, signal.SIGSTOP),
        lambda r, p: asyncio.to_thread(r.signal, signal.SIGCONT),
    ),
    "cut off": (lambda r, p: _silence(p, silent=True), lambda r, p: _silence(p, silent=False)),
}


@pytest.mark.parametrize("disturbance", DISTURBANCES)
async def test_requests_are_served_and_limits_stay_without_redis(
    tmp_path: Path, redis: RedisProcess, soak: bool, disturbance: str
) -> None:
    disturb, put_right = DISTURBANCES[disturbance]
    async with nodes_on(tmp_path, redis) as (nodes, proxies):
        accounts = [await nodes[0].account(Tier.BUILDER)] + [await nodes[0].account(Tier.PRO) for _ in range(8)]
        load = Load(nodes, [await nodes[0].key(account) for account in accounts])
        began = time.time()
        await load.run_for(BEFORE_S)
        await load.until_all_are_answered()
        await disturb(redis, proxies)
        lost_at = time.monotonic()
        await load.run_for(LONG_S if soak else SHORT_S)
        await load.until_all_are_answered()
        failures = [_limiter(node).failures for node in nodes]
        away = [_limiter(node).is_away for node in nodes]
        windows = math.floor(time.time() / 60) - math.floor(began / 60) + 1
        _report(disturbance, load.answers, lost_at, failures, windows)

        assert {answer.status for answer in load.answers} <= {200, 429}
        assert away == [True] * NODES
        assert max(failures) <= 3
        admitted = sum(answer.status == 200 for answer in load.answers if answer.account == 0)
        assert admitted <= windows * LIMIT * (1 + (NODES - 1) / NODES)
        await put_right(redis, proxies)
        if soak:
            await _all_come_back(nodes)


async def _all_come_back(nodes: Sequence[Served]) -> None:
    began = time.monotonic()
    async with asyncio.timeout(RETURN_WITHIN_S):
        for node in nodes:
            await _until_it_is_back(node)
    # Exact again: thirty of a free account's requests, wherever they go.
    key = await nodes[0].key(await nodes[0].account(Tier.FREE))
    replies = await asyncio.gather(
        *(nodes[number % NODES].post({"operation": "listCredentials"}, key) for number in range(80))
    )
    counted = Counter(reply.status for reply in replies)
    print(f"back after {time.monotonic() - began:.1f} s: of 80 requests against 30 a minute {counted[200]} admitted")
    assert counted == {200: 30, 429: 50}


async def _until_it_is_back(node: Served) -> None:
    while True:
        if not _limiter(node).is_away:
            return
        await asyncio.sleep(0.05)


def _limiter(node: Served) -> SharedLimiter:
    assert node.gateway.sharing is not None
    return node.gateway.sharing.limiter


def _report(disturbance: str, answers: Sequence[Answer], lost_at: float, failures: Sequence[int], windows: int) -> None:
    before = sorted(one.seconds for one in answers if one.sent_at < lost_at)
    after = sorted(one.seconds for one in answers if one.sent_at >= lost_at)
    waited = [seconds for seconds in after if seconds > 0.045]
    rest = [seconds for seconds in after if seconds <= 0.045]
    busy = Counter(one.status for one in answers if one.account == 0)
    print(
        f"\n{disturbance}: {len(answers)} requests, {dict(Counter(one.status for one in answers))};"
        f" checks that waited in vain, by node: {list(failures)}; {len(waited)} requests waited for them,"
        f" {max(after) * 1000:.0f} ms at most; the others {_ms(rest, 0.5)} ms in the median,"
        f" {_ms(rest, 0.99)} at p99 (before: {_ms(before, 0.5)} and {_ms(before, 0.99)});"
        f" the busy account {busy[200]} of {LIMIT} a minute in {windows} of them, {busy[429]} refused"
    )


def _ms(seconds: Sequence[float], part: float) -> str:
    return f"{seconds[min(len(seconds) - 1, int(len(seconds) * part))] * 1000:.1f}"
