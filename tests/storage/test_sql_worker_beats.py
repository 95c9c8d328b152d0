from __future__ import annotations

import asyncio

from storage.ports import Beat
from storage.sql import Stores
from tests.storage.conftest import OpenNode


async def test_a_worker_begins_at_nought_and_rises(stores: Stores) -> None:
    assert await stores.workers.beat("a", 1_000, slots=4) == Beat({"a": 0}, 0)
    assert await stores.workers.beat("a", 2_000, slots=4) == Beat({"a": 1}, 0)
    assert await stores.workers.beat("b", 2_500, slots=4) == Beat({"a": 1, "b": 0}, 1)


async def test_workers_are_removed_and_may_come_back(stores: Stores) -> None:
    for name in "abc":
        await stores.workers.beat(name, 1_000, slots=4)
    await stores.workers.remove(["a", "c", "unknown"])
    await stores.workers.remove([])
    assert await stores.workers.beat("c", 2_000, slots=4) == Beat({"b": 0, "c": 0}, 0)


async def test_who_comes_when_all_slots_are_taken_gets_the_first_that_is_given_up(stores: Stores) -> None:
    slots = [(await stores.workers.beat(name, 1_000, slots=2)).slot for name in "abcd"]
    assert slots == [0, 1, None, None]
    await stores.workers.remove(["a"])
    assert [(await stores.workers.beat(name, 2_000, slots=2)).slot for name in "dcb"] == [0, None, 1]


async def test_workers_of_two_nodes_see_each_other_and_share_no_slot(open_node: OpenNode) -> None:
    nodes = [await open_node(), await open_node()]
    names = "abcdefgh"
    beats = await asyncio.gather(
        *(nodes[number % 2].workers.beat(name, 1, slots=8) for number, name in enumerate(names))
    )
    assert sorted(beat.slot for beat in beats if beat.slot is not None) == list(range(8))
    assert (await nodes[0].workers.beat("a", 2, slots=8)).numbers == {**dict.fromkeys(names, 0), "a": 1}
