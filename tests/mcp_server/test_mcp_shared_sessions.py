"""MCP sessions of two nodes that share one Redis."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from mcp_server.sessions import Session
from mcp_server.shared_sessions import SharedSessions
from storage.ports import Tier
from storage.redis_store.servers import server_at
from storage.redis_store.sessions import RedisSessions
from tests.mcp_server.conftest import desk_at
from tests.mcp_server.mcp_desk import McpDesk
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.manual_clock import ManualClock
from tests.support.redis_server import RedisProcess, address_of
from tests.support.scripted_venue import ScriptedVenue
from tests.support.served import served

INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


class Nodes(NamedTuple):
    one: McpDesk
    other: McpDesk


@pytest.fixture
async def nodes(tmp_path: Path, redis_process: RedisProcess) -> AsyncIterator[Nodes]:
    async with contextlib.AsyncExitStack() as stack:
        desks = []
        for _ in range(2):
            venue = ScriptedVenue()
            gateway = served(tmp_path, {"scripted": venue}, redis_url=redis_process.url)
            desks.append(await desk_at(await stack.enter_async_context(gateway), venue, Tier.BUILDER))
        yield Nodes(*desks)


async def session_at(desk: McpDesk, key: str | None) -> str:
    answered = await desk.ask("initialize", INITIALIZE, key=key)
    return answered.headers["Mcp-Session-Id"]


async def test_a_session_without_a_key_is_good_on_every_node(nodes: Nodes) -> None:
    id = await session_at(nodes.one, None)
    for desk in (nodes.other, nodes.one):
        assert (await desk.ask("tools/list", key=None, Mcp_Session_Id=id)).status == 200
    assert (await nodes.other.ask("tools/list", key=None, Mcp_Session_Id="f" * 56)).status == 404


async def test_a_session_of_an_account_is_nobody_elses_on_any_node(nodes: Nodes) -> None:
    id = await session_at(nodes.one, nodes.one.key)
    assert (await nodes.other.ask("tools/list", key=nodes.one.key, Mcp_Session_Id=id)).status == 200
    assert (await nodes.other.ask("tools/list", key=nodes.other.key, Mcp_Session_Id=id)).status == 404
    assert (await nodes.other.ask("tools/list", key=None, Mcp_Session_Id=id)).status == 401


async def test_who_signed_up_over_a_session_goes_on_over_it_on_every_node(
    nodes: Nodes, redis_process: RedisProcess
) -> None:
    one, other = nodes
    id = await session_at(one, None)
    # The other node knows it as nobody's by now.
    assert (await other.ask("tools/list", key=None, Mcp_Session_Id=id)).status == 200
    sessions = one.gateway.gateway.mcp.sessions
    session = sessions.find(id)
    assert session is not None
    await session.becomes(one.account.account_id, one.key)
    await sessions.share(session)
    called = await other.call("get_balance", one.with_credential(), key=None, Mcp_Session_Id=id)
    assert called.result["isError"] is False
    assert (await other.ask("ping", key=other.key, Mcp_Session_Id=id)).status == 404, "it is nobody else's"
    kept = b"".join(redis_process.ask("GET", key) for key in redis_process.ask("KEYS", "vg:mcp-session:*"))
    for secret in (id, one.key):
        assert secret.encode() not in kept


async def test_a_session_that_one_node_deletes_ends_on_the_others(nodes: Nodes) -> None:
    id = await session_at(nodes.one, None)
    assert (await nodes.other.send(b"", method="DELETE", Mcp_Session_Id=id)).status == 200

    async def until_it_is_gone() -> None:
        while (await nodes.one.ask("ping", key=None, Mcp_Session_Id=id)).status == 200:
            pass

    await asyncio.wait_for(until_it_is_gone(), 5)
    # A key does without one that has left, and not without one that was deleted.
    assert (await nodes.one.ask("ping", Mcp_Session_Id=id)).status == 404


async def test_redis_never_holds_what_lets_somebody_in(nodes: Nodes, redis_process: RedisProcess) -> None:
    id = await session_at(nodes.one, nodes.one.key)
    kept = b"".join(redis_process.ask("KEYS", "*"))
    values = [redis_process.ask("GET", key) for key in redis_process.ask("KEYS", "vg:mcp-session:*")]
    assert len(values) == 1
    assert nodes.one.account.account_id.encode() in values[0]
    for secret in (id, nodes.one.key):
        assert secret.encode() not in kept + values[0]


class Worker:
    """The sessions of one worker, behind a proxy of its own."""

    def __init__(self, url: str) -> None:
        self.clock = ManualClock()
        self._server = server_at(address_of(url), answer_within_s=5.0)
        self.away = False
        self.sessions = SharedSessions(
            RedisSessions(self._server), self.clock, is_away=lambda: self.away, at_most=3, idle_s=60
        )

    async def opened(self, account_id: str | None = None) -> Session:
        session = self.sessions.open(account_id)
        await self.sessions.share(session)
        return session

    async def found(self, id: str) -> bool:
        await self.sessions.look_up(id)
        return self.sessions.find(id) is not None

    async def close(self) -> None:
        await self._server.close()


@pytest.fixture
async def proxy(redis_process: RedisProcess) -> AsyncIterator[FaultProxy]:
    async with fault_proxy("127.0.0.1", redis_process.port) as proxy:
        yield proxy


@pytest.fixture
async def workers(redis_process: RedisProcess, proxy: FaultProxy) -> AsyncIterator[tuple[Worker, Worker]]:
    workers = Worker(redis_process.url), Worker(f"redis://127.0.0.1:{proxy.port}")
    yield workers
    for worker in workers:
        await worker.close()


async def test_without_redis_a_worker_has_its_own_sessions(workers: tuple[Worker, Worker], proxy: FaultProxy) -> None:
    one, other = workers
    theirs, mine = await one.opened(), await other.opened()
    await proxy.refuse()
    assert not await other.found(theirs.id)
    assert await other.found(mine.id)
    mine_too = await other.opened()
    await other.sessions.share_deletion(mine)
    await proxy.listen()
    assert await other.found(theirs.id)
    # Now it is told of what it could not tell before.
    other.clock.advance(3)
    assert await other.found(mine_too.id)
    assert await one.found(mine_too.id)


async def test_while_away_nobody_is_asked(workers: tuple[Worker, Worker], proxy: FaultProxy) -> None:
    one, other = workers
    theirs = await one.opened()
    other.away = True
    await other.opened()
    assert not await other.found(theirs.id)
    assert proxy.connections == 0


async def test_a_full_worker_takes_over_no_more(workers: tuple[Worker, Worker]) -> None:
    one, other = workers
    theirs = [await one.opened() for _ in range(3)]
    await other.opened()
    assert [await other.found(session.id) for session in theirs] == [True, True, False]


async def test_a_session_in_use_is_not_asked_about_again_for_two_seconds(
    workers: tuple[Worker, Worker], proxy: FaultProxy
) -> None:
    one, other = workers
    theirs = await one.opened("a-1")
    for _ in range(5):
        assert await other.found(theirs.id)
    asked = proxy.chunks
    assert await other.found(theirs.id)
    assert proxy.chunks == asked
    other.clock.advance(2)
    assert await other.found(theirs.id)
    assert proxy.chunks > asked
