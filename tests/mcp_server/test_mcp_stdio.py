from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from mcp_server.stdio import Bridge
from storage.ports import Scopes
from tests.mcp_server.mcp_desk import CAPABILITIES_KEY, HELLO, MODERN, SHOWN, VERSION_KEY, McpDesk

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def desk(lasting_desk: McpDesk) -> McpDesk:
    return lasting_desk


async def bridged(url: str, key: str | None, *messages: Mapping[str, Any] | bytes) -> list[dict[str, Any]]:
    """What a client that sends these lines and then closes gets back."""
    said: list[bytes] = []

    async def lines() -> AsyncIterator[bytes]:
        for message in messages:
            yield (message if isinstance(message, bytes) else json.dumps(message).encode()) + b"\n"

    async with asyncio.timeout(20), aiohttp.ClientSession() as client:
        await Bridge(client, url, key, said.append).run(lines())
    assert all(b"\n" not in line for line in said)
    return [json.loads(line) for line in said]


def request(id: object, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params or {}}


async def test_lines_go_in_and_answers_come_out(desk: McpDesk) -> None:
    before = len(desk.gateway.gateway.mcp.sessions)
    said = await bridged(
        desk.url,
        desk.key,
        request(1, "initialize", HELLO),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        b"",
        request(2, "tools/list"),
        request("three", "tools/call", {"name": "get_balance", "arguments": desk.with_credential()}),
    )
    by_id = {message["id"]: message for message in said}
    assert said[0]["id"] == 1
    assert len(said) == 3
    assert len(by_id[2]["result"]["tools"]) == len(SHOWN)
    assert by_id["three"]["result"]["structuredContent"]["equity"] == "10000.00"
    # It ended the session that it had.
    assert len(desk.gateway.gateway.mcp.sessions) == before


async def test_it_passes_progress_on(desk: McpDesk) -> None:
    params = {"name": "place_market_order", "arguments": desk.market(), "_meta": {"progressToken": 5}}
    progress, answer = await bridged(desk.url, desk.key, request(1, "tools/call", params))
    assert progress["params"]["progressToken"] == 5
    assert answer["result"]["structuredContent"]["status"] == "FILLED"


async def test_it_carries_a_question_to_the_client_and_the_answer_back(desk: McpDesk) -> None:
    key = await desk.gateway.key(desk.account, scopes=Scopes(confirm_above=Decimal(0)))
    hello = {**HELLO, "capabilities": {"elicitation": {}}}
    to_send: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    said: list[dict[str, Any]] = []
    call = {"name": "place_limit_order", "arguments": desk.limit()}
    for message in (request(1, "initialize", hello), request(2, "tools/call", call)):
        to_send.put_nowait(message)

    def heard(line: bytes) -> None:
        said.append(json.loads(line))
        if said[-1].get("method") == "elicitation/create":
            yes = {"action": "accept", "content": {"place": True}}
            to_send.put_nowait({"jsonrpc": "2.0", "id": said[-1]["id"], "result": yes})
        elif said[-1]["id"] == 2:
            to_send.put_nowait(None)

    async def lines() -> AsyncIterator[bytes]:
        while (message := await to_send.get()) is not None:
            yield json.dumps(message).encode() + b"\n"

    async with asyncio.timeout(20), aiohttp.ClientSession() as client:
        await Bridge(client, desk.url, key, heard).run(lines())
    assert [message.get("method", message["id"]) for message in said] == [1, "elicitation/create", 2]
    assert said[-1]["result"]["structuredContent"]["status"] == "OPEN"


async def test_it_speaks_the_later_era_for_clients_that_do(desk: McpDesk) -> None:
    meta = {"_meta": {VERSION_KEY: MODERN, CAPABILITIES_KEY: {}}}
    call = {"name": "get_balance", "arguments": desk.with_credential(), **meta}
    said = await bridged(desk.url, desk.key, request(1, "server/discover", meta), request(2, "tools/call", call))
    assert {message["result"]["resultType"] for message in said} == {"complete"}


async def test_what_is_no_message_is_told_so_and_the_next_is_answered(desk: McpDesk) -> None:
    said = await bridged(desk.url, desk.key, b"{nonsense", request(1, "ping"))
    assert [message.get("error", {}).get("code") for message in said] == [-32700, None]


async def test_a_gateway_that_does_not_answer_is_an_error_of_the_request(desk: McpDesk) -> None:
    note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    (answer,) = await bridged("http://127.0.0.1:1/mcp", desk.key, note, request(9, "ping"))
    assert (answer["id"], answer["error"]["code"]) == (9, -32603)
    (answer,) = await bridged(f"{desk.gateway.url}/healthz", desk.key, request(9, "ping"))
    assert "no MCP at this address" in answer["error"]["message"]


async def test_a_bad_key_is_an_error_of_the_request_that_brought_it(desk: McpDesk) -> None:
    (answer,) = await bridged(desk.url, "nonsense", request(4, "initialize", HELLO))
    assert (answer["id"], answer["error"]["data"]["code"]) == (4, "INVALID_KEY_FORMAT")


async def test_the_official_client_starts_it_as_a_program(desk: McpDesk, tmp_path: Path) -> None:
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "gateway.cli", "mcp", "stdio", "--data-dir", str(tmp_path / "none")],
        env={"VENUEGATE_MCP_URL": desk.url, "VENUEGATE_API_KEY": desk.key},
        cwd=ROOT,
    )
    async with asyncio.timeout(60), Client(parameters, mode="legacy") as client:
        result = await client.call_tool("get_balance", desk.with_credential())
    assert result.structured_content is not None
    assert result.structured_content["equity"] == "10000.00"
