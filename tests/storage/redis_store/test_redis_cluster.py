"""Redis Cluster: three nodes, made once for this module."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from storage.ports import DELETED, Charge, Correction, KnownSession, StorageUnavailable
from storage.redis_store.checks import check
from storage.redis_store.counters import RedisCounters
from storage.redis_store.failures import WrongRedis
from storage.redis_store.news import RedisNews
from storage.redis_store.nonces import RedisNonces
from storage.redis_store.servers import ClusterServer, server_at
from storage.redis_store.sessions import RedisSessions
from tests.support.redis_server import RedisProcess, address_of, running_cluster

ACCOUNTS = [f"account-{number}" for number in range(30)]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Sequence[RedisProcess]]:
    with running_cluster() as nodes:
        yield nodes


@pytest.fixture
async def server(nodes: Sequence[RedisProcess]) -> AsyncIterator[ClusterServer]:
    for node in nodes:
        node.ask("FLUSHALL")
    server = server_at(address_of(f"redis+cluster://127.0.0.1:{nodes[1].port}"), answer_within_s=5.0)
    assert isinstance(server, ClusterServer)
    await check(server, within_s=5)
    yield server
    await server.close()


@pytest.fixture
async def counters(server: ClusterServer) -> RedisCounters:
    counters = RedisCounters(server)
    await counters.correct([Correction(account_id=name, minute=1, create=True) for name in ACCOUNTS])
    return counters


async def test_every_node_is_checked(server: ClusterServer) -> None:
    assert (await check(server)).servers == 3


async def test_accounts_of_all_nodes_are_counted_together(
    counters: RedisCounters, nodes: Sequence[RedisProcess]
) -> None:
    for left in (2, 2, 1):
        rows = await counters.charge([Charge(name, 5, 100, 2) for name in ACCOUNTS])
        assert [row.admitted for row in rows] == [left] * 30
    assert all(node.ask("DBSIZE") > 3 for node in nodes)


async def test_scripts_that_a_node_forgot_are_sent_again(
    counters: RedisCounters, nodes: Sequence[RedisProcess]
) -> None:
    await counters.charge([Charge(name, 5, 100, 1) for name in ACCOUNTS])
    nodes[0].ask("SCRIPT", "FLUSH")
    rows = await counters.charge([Charge(name, 5, 100, 1) for name in ACCOUNTS])
    assert {row.admitted for row in rows} == {1}
    assert {row.in_day for row in rows} == {2}


async def test_a_slot_that_moved_is_followed(counters: RedisCounters, nodes: Sequence[RedisProcess]) -> None:
    await counters.charge([Charge(name, 5, 100, 1) for name in ACCOUNTS])
    key = f"vg:limits:{{{ACCOUNTS[0]}}}"
    slot = nodes[0].ask("CLUSTER", "KEYSLOT", key)
    owner = next(node for node in nodes if node.ask("CLUSTER", "COUNTKEYSINSLOT", slot))
    other = next(node for node in nodes if node is not owner)
    other_id = other.ask("CLUSTER", "MYID")
    other.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", owner.ask("CLUSTER", "MYID"))
    owner.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", other_id)
    owner.ask("MIGRATE", "127.0.0.1", other.port, key, 0, 1000)
    # In between, the old owner sends those who ask to the new one.
    assert (await counters.charge([Charge(ACCOUNTS[0], 5, 100, 1)]))[0].in_day == 2
    for node in nodes:
        node.ask("CLUSTER", "SETSLOT", slot, "NODE", other_id)
    rows = await counters.charge([Charge(name, 5, 100, 1) for name in ACCOUNTS])
    assert rows[0].in_day == 3


async def test_news_nonces_and_sessions_are_shared_through_all_nodes(
    server: ClusterServer, nodes: Sequence[RedisProcess]
) -> None:
    heard = asyncio.Event()
    news = RedisNews(server_at(address_of(f"redis+cluster://127.0.0.1:{nodes[0].port}"), answer_within_s=5.0))
    listening = asyncio.create_task(news.listen(heard.set))
    async with asyncio.timeout(10):
        await heard.wait()
        heard.clear()
        RedisNews(server).announce()
        await heard.wait()
    listening.cancel()
    await asyncio.wait({listening})
    await news.close()

    nonces = RedisNonces(server, period=64, given=32)
    taken = [await nonces.next(f"signer-{number % 6}", 0) for number in range(18)]
    assert all(later > earlier for earlier, later in zip(taken, taken[6:], strict=False))

    sessions = RedisSessions(server)
    for number in range(9):
        await sessions.put(f"{number}", KnownSession(f"account-{number}", False), keep_s=60)
    await sessions.delete("3", keep_s=60)
    found = [await sessions.get(f"{number}", keep_s=60) for number in range(10)]
    assert found[3:4] == [DELETED]
    assert found[8:] == [KnownSession("account-8", False), None]


async def test_a_node_named_as_a_single_redis_is_refused(nodes: Sequence[RedisProcess]) -> None:
    server = server_at(nodes[0].address, answer_within_s=5.0)
    with pytest.raises(WrongRedis, match="is a node of a Redis Cluster"):
        await check(server, within_s=5)
    counters = RedisCounters(server)
    with pytest.raises(WrongRedis, match="is a node of a Redis Cluster"):
        await counters.charge([Charge(name, 5, 100, 1) for name in ACCOUNTS])
    await server.close()


async def test_a_paused_node_is_given_up_in_time_and_used_again(
    counters: RedisCounters, server: ClusterServer, nodes: Sequence[RedisProcess]
) -> None:
    hurried = server_at(server.address, answer_within_s=0.1)
    await check(hurried, within_s=5)
    nodes[2].signal(signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(StorageUnavailable, match="does not answer in time"):
        await RedisCounters(hurried).charge([Charge(name, 5, 100, 1) for name in ACCOUNTS])
    assert time.monotonic() - began < 1.0
    nodes[2].signal(signal.SIGCONT)
    await check(hurried, within_s=5)
    await hurried.close()
    rows = await counters.charge([Charge(name, 5, 100, 1) for name in ACCOUNTS])
    assert {row.is_known for row in rows} == {True}
