"""Whole gateways that share one Redis."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from storage.ports import Account, Tier
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.redis_server import RedisProcess, free_port
from tests.support.served import Reply, Served, served

READ: Final[dict[str, Any]] = {"operation": "listCredentials"}


@contextlib.asynccontextmanager
async def two_nodes(directory: Path, *urls: str) -> AsyncIterator[tuple[Served, Served]]:
    async with served(directory, redis_url=urls[0]) as one, served(directory, redis_url=urls[-1]) as other:
        yield one, other


@pytest.fixture
async def proxy(redis_process: RedisProcess) -> AsyncIterator[FaultProxy]:
    async with fault_proxy("127.0.0.1", redis_process.port) as proxy:
        yield proxy


async def statuses(node: Served, key: str, count: int) -> list[int]:
    return [reply.status for reply in await asyncio.gather(*(node.post(READ, key) for _ in range(count)))]


async def revoke(node: Served, account: Account) -> None:
    (key,) = await node.gateway.stores.directory.keys(account.account_id)
    assert await node.gateway.stores.directory.revoke_key(key.key_id, 1)


async def test_two_nodes_keep_one_limit(tmp_path: Path, redis_process: RedisProcess) -> None:
    async with two_nodes(tmp_path, redis_process.url) as (one, other):
        key = await one.key(await one.account(Tier.FREE))
        answers = await asyncio.gather(statuses(one, key, 25), statuses(other, key, 25))
        assert sorted(answers[0] + answers[1]) == [200] * 30 + [429] * 20
        reply = await other.post(READ, key)
        assert (reply.headers["X-RateLimit-Limit-Minute"], reply.headers["X-RateLimit-Remaining-Minute"]) == ("30", "0")
        assert 1 <= int(reply.headers["Retry-After"]) <= 60


async def test_a_revoked_key_dies_on_the_other_node_at_once(tmp_path: Path, redis_process: RedisProcess) -> None:
    async with two_nodes(tmp_path, redis_process.url) as (one, other):
        account = await one.account()
        key = await one.key(account)
        assert await statuses(other, key, 2) == [200, 200]
        await revoke(one, account)

        async def until_refused() -> Reply:
            while (reply := await other.post(READ, key)).status == 200:
                pass
            return reply

        # Without news it would be found a second later at the earliest.
        reply = await asyncio.wait_for(until_refused(), 0.9)
        assert reply.json["code"] == "KEY_REVOKED"


async def test_without_redis_it_starts_serves_and_says_so(tmp_path: Path) -> None:
    async with served(tmp_path, redis_url=f"redis://127.0.0.1:{free_port()}") as node:
        key = await node.key(await node.account(Tier.FREE))
        assert await statuses(node, key, 40) == [200] * 30 + [429] * 10
        async with node.client.get(f"{node.url}/readyz") as response:
            assert response.status == 200
            assert await response.json() == {
                "status": "ready",
                "problems": {},
                "degraded": {"redis": "lost: every worker counts its share of each limit by itself"},
            }
        told = node.gateway.metrics.exposition().decode()
        assert "venuegate_limits_away 1.0" in told
        assert 'venuegate_limit_checks_total{by="local",outcome="refused"} 10.0' in told


async def test_losing_redis_costs_no_request(tmp_path: Path, proxy: FaultProxy) -> None:
    async with served(tmp_path, redis_url=f"redis://127.0.0.1:{proxy.port}", redis_answers_within_s=0.05) as node:
        key = await node.key(await node.account(Tier.PRO))
        assert await statuses(node, key, 20) == [200] * 20
        proxy.is_silent = True
        for _ in range(5):
            assert await statuses(node, key, 20) == [200] * 20
        assert node.gateway.degraded()
        told = node.gateway.metrics.exposition().decode()
        assert "venuegate_redis_lost 1.0" in told
        assert "venuegate_live_workers 1.0" in told
