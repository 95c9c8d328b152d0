"""Limits that the owner counts for its workers."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from gateway.limits import InProcessLimiter, LimitExceeded, Usage
from gateway.workers.channel import Caller, serving
from gateway.workers.owned_limits import LimitsOwner, OwnedLimiter
from gateway.workers.seat import sockets_for
from normalization.errors import ServiceUnavailable
from storage.ports import Tier
from tests.support.limiter_nodes import principal
from tests.support.manual_clock import ManualClock
from tests.support.memory_directory import MemoryUsage


@contextlib.asynccontextmanager
async def workers(count: int) -> AsyncIterator[list[OwnedLimiter]]:
    with sockets_for(()) as sockets:
        clock = ManualClock()
        counts = InProcessLimiter(MemoryUsage(), clock)
        async with serving(sockets.owner, LimitsOwner(counts).handlers()):
            callers = [Caller(sockets.owner_path) for _ in range(count)]
            yield [OwnedLimiter(caller) for caller in callers]
            for caller in callers:
                caller.close()
        await counts.close()


async def told(limiter: OwnedLimiter, account_id: str = "a") -> str:
    try:
        usage = await limiter.charge(principal(account_id))
    except LimitExceeded as refusal:
        return f"refused until {refusal.retry_after_s} s, {refusal.usage.remaining_minute} left"
    return "admitted" if usage.limit_minute == 30 else "admitted by another limit"


async def test_all_workers_together_admit_exactly_what_one_would() -> None:
    async with workers(3) as limiters:
        answers = Counter(await asyncio.gather(*(told(limiters[turn % 3]) for turn in range(100))))
        assert answers == {"admitted": 30, "refused until 60 s, 0 left": 70}
        assert await told(limiters[0], "another account") == "admitted"


async def test_every_worker_is_told_where_the_account_stands() -> None:
    async with workers(2) as (one, other):
        await one.charge(principal(tier=Tier.BUILDER))
        assert await other.charge(principal(tier=Tier.BUILDER)) == Usage(120, 118, 50_000, 49_998)


async def test_nothing_is_admitted_that_the_owner_did_not_count() -> None:
    async with workers(1) as (one,):
        await one.charge(principal())
    with pytest.raises(ServiceUnavailable) as refused:
        await one.charge(principal())
    assert refused.value.retry_after_s == 1
