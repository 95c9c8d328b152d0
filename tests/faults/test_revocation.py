"""A revoked key dies on every node: within two seconds, or five without Redis, whoever revoked it and however busy."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from storage.ports import Account, Tier
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.redis_server import RedisProcess
from tests.support.served import Served, served

pytestmark = pytest.mark.harness

WITHIN_S: Final = 2.0
WITHOUT_REDIS_S: Final = 5.0
AT_ONCE: Final = 10
READ: Final = {"operation": "listCredentials"}


@asynccontextmanager
async def two_nodes(directory: Path, redis: RedisProcess) -> AsyncIterator[tuple[list[Served], list[FaultProxy]]]:
    async with AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(fault_proxy("127.0.0.1", redis.port)) for _ in range(2)]
        nodes = [
            await stack.enter_async_context(served(directory, redis_url=f"redis://127.0.0.1:{proxy.port}"))
            for proxy in proxies
        ]
        yield nodes, proxies


class Use:
    """A key, used on both nodes without a pause until it is good there no more."""

    def __init__(self, nodes: Sequence[Served], key: str) -> None:
        self.good = 0
        self._last_good_at = [0.0] * len(nodes)
        self._known = [asyncio.Event() for _ in nodes]
        self._ends = [asyncio.create_task(self._use(number, node, key)) for number, node in enumerate(nodes)]

    async def _use(self, number: int, node: Served, key: str) -> None:
        while True:
            began = time.monotonic()
            # Also one that has used up its limits is known, which it is told.
            if "X-RateLimit-Limit-Minute" not in (await node.post(READ, key)).headers:
                return
            self.good += 1
            self._last_good_at[number] = began
            self._known[number].set()

    async def known(self) -> None:
        async with asyncio.timeout(20):
            for known in self._known:
                await known.wait()

    async def lived_until(self) -> float:
        """When the last request began for which the key was good."""
        await asyncio.gather(*self._ends)
        return max(self._last_good_at)


async def known_keys(nodes: Sequence[Served], count: int) -> list[tuple[Account, str]]:
    """Each was used on every node: an address with many failures is served only with keys that were good before."""
    found = []
    for _ in range(count):
        account = await nodes[0].account(Tier.PRO)
        found.append((account, await nodes[0].key(account)))
    for node in nodes:
        for _, key in found:
            assert (await node.post(READ, key)).status == 200
    return found


async def lifetimes_s(nodes: Sequence[Served], keys: Sequence[tuple[Account, str]]) -> tuple[list[float], int]:
    """For how long after its revocation each of ``keys`` still served, and how many requests that were."""
    accounts = [account for account, _ in keys]
    uses = [Use(nodes, key) for _, key in keys]
    for use in uses:
        await use.known()
    lived: list[float] = []
    for number, (use, account) in enumerate(zip(uses, accounts, strict=True)):
        await _revoke(nodes[number % 2], account)
        revoked_at = time.monotonic()
        async with asyncio.timeout(WITHOUT_REDIS_S + 5):
            lived.append(max(0.0, await use.lived_until() - revoked_at))
    return lived, sum(use.good for use in uses)


async def _revoke(node: Served, account: Account) -> None:
    (key,) = await node.gateway.stores.directory.keys(account.account_id)
    assert await node.gateway.stores.directory.revoke_key(key.key_id, 1)


@pytest.mark.parametrize("with_redis", [True, False])
async def test_a_revoked_key_dies_on_every_node(
    tmp_path: Path, redis_process: RedisProcess, soak: bool, with_redis: bool
) -> None:
    rounds, at_once = (10, AT_ONCE) if soak else (1, AT_ONCE if with_redis else 1)
    lived: list[float] = []
    requests = 0
    async with two_nodes(tmp_path, redis_process) as (nodes, proxies):
        if not with_redis:
            for proxy in proxies:
                await proxy.refuse()
        keys = await known_keys(nodes, rounds * at_once)
        for first in range(0, len(keys), at_once):
            more, good = await lifetimes_s(nodes, keys[first : first + at_once])
            lived += more
            requests += good
    lived.sort()
    print(
        f"\n{len(lived)} keys revoked {'with' if with_redis else 'without'} Redis, under {requests:,} requests:"
        f" dead after {lived[len(lived) // 2] * 1000:.0f} ms in the median, {lived[-1] * 1000:.0f} ms at most"
    )
    assert lived[-1] <= (WITHIN_S if with_redis else WITHOUT_REDIS_S)
