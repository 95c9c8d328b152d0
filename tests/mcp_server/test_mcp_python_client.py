"""The official Python SDK as a client, in both eras, against a gateway with the paper venue."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitRequestParams, ElicitResult

from storage.ports import Scopes, Tier
from tests.mcp_server.mcp_desk import SHOWN
from tests.support.served import Served

pytestmark = pytest.mark.asyncio(loop_scope="module")

ERAS = {"legacy": "2025-11-25", "auto": "2026-07-28", "2026-07-28": "2026-07-28"}


class Trader:
    def __init__(self, gateway: Served, key: str, credential_id: str) -> None:
        self.gateway = gateway
        self.key = key
        self.credential_id = credential_id

    @contextlib.asynccontextmanager
    async def client(self, mode: str, key: str | None = None, **more: Any) -> AsyncIterator[Client]:
        headers = {"Authorization": f"Bearer {key or self.key}"}
        async with httpx2.AsyncClient(headers=headers) as http:
            transport = streamable_http_client(f"{self.gateway.url}/mcp", http_client=http)
            async with Client(transport, mode=mode, read_timeout_seconds=20, **more) as client:
                yield client


@pytest_asyncio.fixture(loop_scope="module")
async def trader(paper_gateway: Served) -> Trader:
    """With an account of its own."""
    account = await paper_gateway.account()
    credential = await paper_gateway.credential(account, "paper")
    return Trader(paper_gateway, await paper_gateway.key(account), credential.credential_id)


def structured(result: Any) -> dict[str, Any]:
    found = result.structured_content
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("mode", ERAS)
async def test_it_connects_and_lists_every_tool(trader: Trader, mode: str) -> None:
    async with trader.client(mode) as client:
        assert client.session.protocol_version == ERAS[mode]
        listed = (await client.list_tools()).tools
    assert [tool.name for tool in listed] == SHOWN
    for tool in listed:
        assert tool.description
        assert tool.output_schema


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_an_agent_finds_its_way_from_credentials_to_a_fill(trader: Trader, mode: str) -> None:
    async with trader.client(mode) as client:

        async def call(tool: str, **arguments: Any) -> dict[str, Any]:
            result = await client.call_tool(tool, arguments)
            assert result.is_error is False, result
            return structured(result)

        (credential,) = (await call("list_credentials"))["credentials"]
        mine = {"credentialId": credential["credentialId"]}
        markets = (await call("get_markets", **mine))["markets"]
        bitcoin = next(market for market in markets if market["symbol"] == "BTC-USD-PERP")
        book = await call("get_orderbook", **mine, market="BTC-USD-PERP", depth=5)
        assert Decimal(book["bids"][0][0]) < Decimal(book["asks"][0][0])
        size = str(Decimal(bitcoin["lotSize"]) * 100)
        filled = await call("place_market_order", **mine, market="BTC-USD-PERP", side="BUY", size=size)
        assert filled["status"] == "FILLED"
        (position,) = (await call("get_positions", **mine))["positions"]
        assert (position["side"], Decimal(position["size"])) == ("LONG", Decimal(size))
        closed = await call("close_all_positions", **mine, market="BTC-USD-PERP")
        assert Decimal(closed["closedSize"]) == Decimal(size)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_progress_reaches_its_callback(trader: Trader, mode: str) -> None:
    heard: list[tuple[float, str | None]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    arguments = {"credentialId": trader.credential_id, "market": "BTC-USD-PERP", "side": "BUY", "size": "0.01"}
    async with trader.client(mode) as client:
        result = await client.call_tool("place_market_order", arguments, progress_callback=on_progress)
    assert structured(result)["status"] == "FILLED"
    assert heard[0] == (0, "Checking the request")


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_person_is_asked_about_a_large_order(trader: Trader, mode: str) -> None:
    account = await trader.gateway.account()
    key = await trader.gateway.key(account, scopes=Scopes(confirm_above=Decimal(100)))
    credential = await trader.gateway.credential(account, "paper")
    arguments = {"credentialId": credential.credential_id, "market": "BTC-USD-PERP", "side": "BUY", "size": "0.01"}
    asked: list[str] = []
    answers = [ElicitResult(action="decline"), ElicitResult(action="accept", content={"place": True})]

    async def answer(context: object, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return answers[len(asked) - 1]

    async with trader.client(mode, key, elicitation_callback=answer) as client:
        declined = await client.call_tool("place_market_order", arguments)
        placed = await client.call_tool("place_market_order", arguments)
    assert structured(declined)["details"]["reason"] == "CONFIRMATION_DECLINED"
    assert structured(placed)["status"] == "FILLED"
    assert "BUY 0.01 BTC-USD-PERP, market" in asked[1]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_an_error_is_a_result_a_model_can_read(trader: Trader, mode: str) -> None:
    async with trader.client(mode) as client:
        arguments = {"credentialId": trader.credential_id, "market": "NOSUCH", "side": "BUY", "size": "1"}
        result = await client.call_tool("place_market_order", arguments)
        assert result.is_error
        assert structured(result)["code"] == "UNKNOWN_MARKET"
        with pytest.raises(MCPError) as unknown:
            await client.call_tool("frobnicate", {})
        assert unknown.value.code == -32602


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_free_key_does_not_connect_and_is_told_why(trader: Trader, mode: str) -> None:
    free = await trader.gateway.key(await trader.gateway.account(Tier.FREE))
    # The client's own group of tasks wraps what it could not do.
    with pytest.raises((MCPError, ExceptionGroup)) as refused:
        async with trader.client(mode, free) as client:
            await client.list_tools()
    assert "Builder or Pro" in str(leaves(refused.value))


def leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]
