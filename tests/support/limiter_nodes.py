"""Workers that share one Redis, without anything around their limiters; and a way to cut each of them off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final, TypeVar

from gateway.auth import Principal
from gateway.limits import LimitExceeded, TierLimits, Usage
from gateway.shared_limits.limiter import SharedLimiter
from storage.ports import (
    Charge,
    Correction,
    Counted,
    KeyEnvironment,
    Scopes,
    SharedCounters,
    StorageUnavailable,
    Tier,
    UsageStore,
)
from storage.redis_store.counters import RedisCounters
from storage.redis_store.servers import server_at
from tests.support.redis_clock import TEST_TIME, RedisClock
from tests.support.redis_server import RedisProcess

T = TypeVar("T")

PATIENCE_S: Final = 5.0
SMALL: Final[Mapping[Tier, TierLimits]] = {
    Tier.FREE: TierLimits(per_minute=12, per_day=60, keys=1),
    Tier.BUILDER: TierLimits(per_minute=24, per_day=120, keys=1),
    Tier.PRO: TierLimits(per_minute=48, per_day=240, keys=1),
}


class Way(StrEnum):
    """How a worker gets to Redis."""

    OPEN = "open"
    CUT = "cut"
    ANSWER_LOST = "answer lost"


class WayToRedis(SharedCounters):
    """The real counters behind a way that can be cut, also after they have done what they were asked."""

    def __init__(self, counters: SharedCounters) -> None:
        self._counters = counters
        self.way = Way.OPEN
        self.asked = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()
        self._under_way = 0
        self.charges: list[Sequence[Charge]] = []

    async def charge(self, charges: Sequence[Charge]) -> Sequence[Counted]:
        self.charges.append(charges)
        return await self._go(lambda: self._counters.charge(charges))

    async def correct(self, corrections: Sequence[Correction]) -> None:
        await self._go(lambda: self._counters.correct(corrections))

    async def reopening(self, left_in: int | None) -> tuple[int, int]:
        return await self._go(lambda: self._counters.reopening(left_in))

    async def close(self) -> None:
        await self._counters.close()

    async def _go(self, ask: Callable[[], Awaitable[T]]) -> T:
        self._under_way += 1
        self.idle.clear()
        self.asked.set()
        try:
            if self.way is not Way.CUT:
                answer = await ask()
                if self.way is Way.OPEN:
                    return answer
            raise StorageUnavailable("Redis was cut off", "Wait")
        finally:
            self._under_way -= 1
            if not self._under_way:
                self.idle.set()


class Node:
    def __init__(self, server: RedisProcess, clock: RedisClock, usage: UsageStore, workers: Callable[[], int]) -> None:
        self.redis = WayToRedis(RedisCounters(server_at(server.address, answer_within_s=PATIENCE_S), clock=TEST_TIME))
        self.limiter = SharedLimiter(
            self.redis,
            usage,
            clock,
            workers=workers,
            limits=SMALL,
        )

    async def ask(self, requests: int = 1, account_id: str = "a", tier: Tier = Tier.FREE) -> int:
        """How many of so many concurrent requests were admitted."""
        outcomes = await asyncio.gather(*(self.outcome(account_id, tier) for _ in range(requests)))
        return sum(isinstance(outcome, Usage) for outcome in outcomes)

    async def outcome(self, account_id: str = "a", tier: Tier = Tier.FREE) -> Usage | LimitExceeded:
        try:
            return await self.limiter.charge(principal(account_id, tier))
        except LimitExceeded as refusal:
            return refusal


class Nodes:
    """``workers`` is what each of them takes for the number of workers."""

    def __init__(self, server: RedisProcess, usage: UsageStore, count: int, start_ms: int) -> None:
        self.server = server
        self.usage = usage
        self.clock = RedisClock(server, start_ms)
        self.workers = count
        self.nodes = [self.another() for _ in range(count)]

    def another(self) -> Node:
        return Node(self.server, self.clock, self.usage, lambda: self.workers)

    def __getitem__(self, number: int) -> Node:
        return self.nodes[number]

    def cut(self, way: Way = Way.CUT) -> None:
        for node in self.nodes:
            node.redis.way = way

    def wipe(self) -> None:
        """Redis forgets everything but what time it is."""
        self.server.ask("FLUSHALL")
        self.clock.put_back()

    async def advance(self, seconds: float, *, step_s: float = 0.25) -> None:
        """Let time pass, with all that is to happen in it: in steps, while somebody waits to return."""
        while seconds > 0:
            step = min(seconds, step_s if any(node.limiter.is_away for node in self.nodes) else seconds)
            self.clock.advance(step)
            seconds -= step
            await self.settle()

    async def settle(self) -> None:
        """Return when nobody is waiting for Redis."""
        async with asyncio.timeout(10):
            for _ in range(3):
                for _ in range(5):
                    await asyncio.sleep(0)
                for node in self.nodes:
                    await node.redis.idle.wait()

    async def close(self) -> None:
        for node in self.nodes:
            await node.limiter.close()


def principal(account_id: str = "a", tier: Tier = Tier.FREE) -> Principal:
    return Principal(
        key_id="k",
        account_id=account_id,
        account_name=account_id,
        tier=tier,
        environment=KeyEnvironment.TEST,
        scopes=Scopes(),
    )
