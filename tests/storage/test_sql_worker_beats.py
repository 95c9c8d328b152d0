from __future__ import annotations

import asyncio

from storage.sql import Stores
from tests.storage.conftest import OpenNode


async def test_a_worker_begins_at_nought_and_rises(stores: Stores) -> None:
    assert await stores.workers.beat("a", 1_000) == {"a": 0}
    assert await stores.workers.beat("a", 2_000) == {"a": 1}
    assert await stores.workers.beat("b", 2_500) == {"a": 1, "b": 0}


async def test_workers_are_removed_and_may_come_back(stores: Stores) -> None:
    for name in "abc":
        await stores.workers.beat(name, 1_000)
    await stores.workers.remove(["a", "c", "unknown"])
    await stores.workers.remove([])
    assert await stores.workers.beat("c", 2_000) == {"b": 0, "c": 0}


async def test_workers_of_two_nodes_see_each_other(open_node: OpenNode) -> None:
    stores, other = await open_node(), await open_node()
    await asyncio.gather(*(node.workers.beat(name, 1) for name, node in [("a", stores), ("b", other)] * 5))
    assert await other.workers.beat("b", 2) == {"a": 4, "b": 5}
