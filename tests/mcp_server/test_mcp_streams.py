from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from tests.mcp_server.mcp_desk import CAPABILITIES_KEY, MODERN, VERSION_KEY, McpDesk
from tests.support.served import served


@contextlib.asynccontextmanager
async def stream(desk: McpDesk, id: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """The stream of a session, once its first words are there."""
    headers = {"Accept": "text/event-stream", "Mcp-Session-Id": id}
    async with asyncio.timeout(20), desk.gateway.client.get(desk.url, headers=headers) as response:
        assert response.status == 200, await response.text()
        assert await response.content.readline() == b": open\n"
        yield response


async def test_a_session_has_one_stream_at_a_time(desk: McpDesk) -> None:
    id = await desk.session()
    async with stream(desk, id) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        second = await desk.send(b"", method="GET", Mcp_Session_Id=id)
        assert (second.status, second.error["code"]) == (409, -32600)
        assert (await desk.ask("ping", key=None, Mcp_Session_Id=id)).result == {}
        response.close()
    # Once the gateway has seen it go, there may be another.
    async with asyncio.timeout(20):
        while await status_of_a_stream(desk, id) == 409:
            pass


async def status_of_a_stream(desk: McpDesk, id: str) -> int:
    headers = {"Accept": "text/event-stream", "Mcp-Session-Id": id}
    async with desk.gateway.client.get(desk.url, headers=headers) as response:
        return response.status


async def test_a_stream_ends_with_its_session(desk: McpDesk) -> None:
    id = await desk.session()
    async with stream(desk, id) as response:
        assert (await desk.send(b"", method="DELETE", Mcp_Session_Id=id)).status == 200
        assert await response.content.read() == b"\n"


async def test_a_stream_needs_a_session_and_a_client_that_takes_events(desk: McpDesk) -> None:
    id = await desk.session()
    assert (await desk.send(b"", method="GET")).status == 400
    assert (await desk.send(b"", method="GET", Mcp_Session_Id=id, Accept="application/json")).status == 406
    wrong = await desk.send(b"", method="GET", Mcp_Session_Id=id, MCP_Protocol_Version="2099-01-01")
    assert (wrong.status, wrong.error["code"]) == (400, -32022)


async def test_an_idle_stream_has_nothing_that_could_wake_up(desk: McpDesk) -> None:
    async with contextlib.AsyncExitStack() as stack:
        # The client has no deadlines of its own, so that every timer is the gateway's.
        connector, no_deadline = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout()
        client = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=no_deadline))
        ids = [await desk.session() for _ in range(20)]
        before = timers()
        for id in ids:
            headers = {"Accept": "text/event-stream", "Mcp-Session-Id": id}
            response = await stack.enter_async_context(client.get(desk.url, headers=headers))
            assert await response.content.readline() == b": open\n"
        assert timers() <= before
        # And it keeps nobody out.
        assert (await desk.call("get_balance", desk.with_credential())).result["isError"] is False


def timers() -> int:
    """What the loop will do by itself some time.

    But for the one look that aiohttp takes at a new connection after a minute, to see whether it ever asked anything.
    """
    scheduled: list[asyncio.TimerHandle] = getattr(asyncio.get_running_loop(), "_scheduled")  # noqa: B009 - private
    return sum(not timer.cancelled() and "_process_keepalive" not in repr(timer) for timer in scheduled)


async def test_a_gateway_that_stops_ends_its_streams(tmp_path: Path) -> None:
    async with asyncio.timeout(20):
        client = aiohttp.ClientSession()
        async with served(tmp_path) as gateway:
            url = f"{gateway.url}/mcp"
            hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}}
            async with client.post(url, json=hello) as answer:
                headers = {"Mcp-Session-Id": answer.headers["Mcp-Session-Id"]}
            held = await client.get(url, headers=headers)
            listening = await client.post(url, json=listen(), headers=LISTEN)
            assert await held.content.readline() == b": open\n"
            assert await listening.content.readline() == b"event: message\n"
        assert await held.content.read() == b"\n"
        last = (await listening.content.read()).decode().split("data: ")[-1]
        assert json.loads(last)["result"]["resultType"] == "complete"
        await client.close()


LISTEN = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "subscriptions/listen"}


def listen() -> dict[str, object]:
    meta = {VERSION_KEY: MODERN, CAPABILITIES_KEY: {}}
    params = {"_meta": meta, "notifications": {"toolsListChanged": True}}
    return {"jsonrpc": "2.0", "id": "sub-1", "method": "subscriptions/listen", "params": params}


async def test_a_listener_of_the_later_era_is_told_at_once_what_it_will_hear(desk: McpDesk) -> None:
    async with asyncio.timeout(20), desk.gateway.client.post(desk.url, json=listen(), headers=LISTEN) as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream")
        assert await response.content.readline() == b"event: message\n"
        first = json.loads((await response.content.readline()).removeprefix(b"data: "))
        assert first["method"] == "notifications/subscriptions/acknowledged"
        assert first["params"] == {
            "_meta": {"io.modelcontextprotocol/subscriptionId": "sub-1"},
            "notifications": {},
        }
        response.close()
        # It is noticed without anybody looking.
        while desk.gateway.gateway.mcp.listeners:
            await desk.ask("ping")


async def test_a_listener_must_take_events(desk: McpDesk) -> None:
    answer = await desk.send(
        json.dumps(listen()).encode(),
        Accept="application/json",
        MCP_Protocol_Version=MODERN,
        Mcp_Method="subscriptions/listen",
    )
    assert answer.status == 406
