"""Milo's tools over MCP: signing up inside a session, and paying for a message in both ways."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from sandbox.milo.tokens import SOL
from storage.ports import Scopes
from tests.mcp_server.mcp_desk import HELLO, SHOWN, McpDesk
from tests.support.milo_gateway import CHAIN_ID, MiloGateway, milo_gateway
from tests.support.scripted_venue import ScriptedVenue

X402 = "x402/payment"


@pytest.fixture
async def milo(tmp_path: Path) -> AsyncIterator[MiloGateway]:
    async with milo_gateway(tmp_path) as milo:
        yield milo


async def mcp(milo: MiloGateway, scopes: Scopes | None = None) -> McpDesk:
    """With the key and the credential of a new trader."""
    trader = await milo.trader(scopes=scopes)
    return McpDesk(milo.gateway, ScriptedVenue(), trader.account, trader.key, trader.credential_id)


async def sign_up(desk: McpDesk, session: str, wallet: Keypair) -> dict[str, Any]:
    address = str(wallet.pubkey())
    asked = {"accountAddress": address, "chainId": CHAIN_ID}
    issued = await desk.call("milo_request_siwx_message", asked, key=None, Mcp_Session_Id=session)
    told = issued.structured["data"]
    siwx = {**told, "signature": str(wallet.sign_message(told["message"].encode()))}
    joined = await desk.call("milo_signup", {"signupWallet": address, "siwx": siwx}, key=None, Mcp_Session_Id=session)
    assert joined.result["isError"] is False, joined.text
    return joined.structured


async def test_a_session_without_a_key_signs_up_and_has_all_tools_from_then_on(milo: MiloGateway) -> None:
    desk = await mcp(milo)
    session = await desk.session()
    headers = {"Accept": "text/event-stream", "Mcp-Session-Id": session}
    async with asyncio.timeout(20), desk.gateway.client.get(desk.url, headers=headers) as stream:
        assert await stream.content.readline() == b": open\n"
        before = (await desk.ask("tools/list", key=None, Mcp_Session_Id=session)).result["tools"]
        assert [tool["name"] for tool in before] == ["milo_request_siwx_message", "milo_signup"]
        refused = await desk.call("milo_get_me", desk.with_credential(), key=None, Mcp_Session_Id=session)
        assert refused.structured["code"] == "MISSING_API_KEY"
        joined = await sign_up(desk, session, Keypair())
        told = b"".join([await stream.content.readline() for _ in range(3)])
        assert b"notifications/tools/list_changed" in told
    after = (await desk.ask("tools/list", key=None, Mcp_Session_Id=session)).result["tools"]
    assert [tool["name"] for tool in after] == SHOWN
    mine = {"credentialId": joined["credentialId"]}
    me = await desk.call("milo_get_me", mine, key=None, Mcp_Session_Id=session)
    assert me.structured["data"]["user"] == joined["data"]["user"]
    assert (await desk.ask("tools/list", key=joined["apiKey"], Mcp_Session_Id=session)).status == 200
    assert (await desk.ask("tools/list", key=desk.key, Mcp_Session_Id=session)).status == 404


async def test_a_request_that_stands_alone_signs_up_too_and_keeps_its_key_itself(milo: MiloGateway) -> None:
    desk, wallet = await mcp(milo), Keypair()
    asked = {"accountAddress": str(wallet.pubkey()), "chainId": CHAIN_ID}
    issued = await desk.ask_alone("tools/call", {"name": "milo_request_siwx_message", "arguments": asked}, key=None)
    told = issued.structured["data"]
    siwx = {**told, "signature": str(wallet.sign_message(told["message"].encode()))}
    arguments = {"signupWallet": str(wallet.pubkey()), "siwx": siwx}
    joined = await desk.ask_alone("tools/call", {"name": "milo_signup", "arguments": arguments}, key=None)
    key = joined.structured["apiKey"]
    assert len((await desk.ask_alone("tools/list", key=key)).result["tools"]) == len(SHOWN)


async def test_anybodys_signing_up_is_limited_here_as_well(milo: MiloGateway) -> None:
    desk = await mcp(milo)
    session = await desk.session()
    codes = []
    for _ in range(6):
        asked = {"accountAddress": str(Keypair().pubkey()), "chainId": CHAIN_ID}
        reply = await desk.call("milo_request_siwx_message", asked, key=None, Mcp_Session_Id=session)
        codes.append(reply.structured.get("code"))
    assert codes == [None] * 5 + ["RATE_LIMITED"]


class Debtor:
    """Somebody who has had their free messages, and owes for the next."""

    def __init__(self, milo: MiloGateway, desk: McpDesk) -> None:
        self.milo = milo
        self.desk = desk
        self.hello = desk.with_credential(message="Hello")

    async def owing(self) -> dict[str, Any]:
        for _ in range(2):
            assert (await self.desk.call("milo_create_conversation", self.hello)).result["isError"] is False
        refused = await self.desk.call("milo_create_conversation", self.hello)
        assert refused.result["isError"] is True
        assert json.loads(refused.result["content"][0]["text"]) == refused.structured
        return refused.structured

    async def transfer(self, recipient: str) -> str:
        sending = self.desk.with_credential(recipient=recipient, token=SOL.address, amount="0.01")
        return str((await self.desk.call("milo_send_tokens", sending)).structured["data"])


@pytest.fixture
async def debtor(milo: MiloGateway) -> Debtor:
    named = Scopes(operations=frozenset({"miloCreateConversation", "miloSendTokens", "miloListConversations"}))
    return Debtor(milo, await mcp(milo, named))


async def test_what_has_to_be_paid_is_told_in_both_ways(debtor: Debtor) -> None:
    told = await debtor.owing()
    assert told["code"] == "PAYMENT_REQUIRED"
    support = told["paymentSupport"]
    assert support["options"] == [{"asset": "USDC", "amount": "0.25"}, {"asset": "SOL", "amount": "0.01"}]
    assert set(support["fields"]) == {"recipient", "asset", "amount", "paymentId", "txSignature"}
    assert told["x402Version"] == 2
    assert told["resource"]["url"] == "mcp://tool/milo_create_conversation"
    by_mint = {one["asset"]: one for one in told["accepts"]}
    assert (by_mint[SOL.address]["amount"], by_mint[SOL.address]["payTo"]) == ("10000000", support["recipient"])
    assert {one["amount"] for one in told["accepts"]} == {"250000", "10000000"}


async def test_it_is_paid_with_the_tools_own_argument(debtor: Debtor) -> None:
    recipient = (await debtor.owing())["paymentSupport"]["recipient"]
    proof = {
        "recipient": recipient,
        "asset": "SOL",
        "amount": 0.01,
        "paymentId": "mine",
        "txSignature": await debtor.transfer(recipient),
    }
    paid = await debtor.desk.call("milo_create_conversation", debtor.hello | {"payment": proof})
    assert paid.result["isError"] is False, paid.text
    receipt = paid.result["_meta"]["x402/payment-response"]
    assert receipt == paid.structured["payment"]
    assert (receipt["success"], receipt["transaction"]) == (True, proof["txSignature"])


@pytest.mark.parametrize("era", ["handshake", "alone"])
async def test_it_is_paid_as_x402_has_it(debtor: Debtor, era: str) -> None:
    told = await debtor.owing()
    accepted = next(one for one in told["accepts"] if one["asset"] == SOL.address)
    signature = await debtor.transfer(accepted["payTo"])
    payload = {"paymentId": "mine", "txSignature": signature}
    payment = {"x402Version": 2, "resource": told["resource"], "accepted": accepted, "payload": payload}
    params = {"name": "milo_create_conversation", "arguments": debtor.hello, "_meta": {X402: payment}}
    ask = debtor.desk.ask if era == "handshake" else debtor.desk.ask_alone
    paid = await ask("tools/call", params)
    assert paid.result["isError"] is False, paid.text
    assert paid.result["_meta"]["x402/payment-response"]["transaction"] == signature
    assert ("io.modelcontextprotocol/serverInfo" in paid.result["_meta"]) == (era == "alone")
    again = await ask("tools/call", params)
    assert again.structured["code"] == "PAYMENT_REQUIRED"


@pytest.mark.parametrize(
    "payment",
    [
        "please",
        {},
        {"x402Version": 2, "payload": {"transaction": "AQAB"}},
        {"payload": {"paymentId": "a", "txSignature": "b"}, "accepted": {"asset": "x", "amount": "1", "payTo": "r"}},
        {"payload": {"paymentId": "a"}, "accepted": {"asset": SOL.address, "amount": "1e9", "payTo": "r"}},
    ],
)
async def test_a_proof_that_is_none_is_refused_before_anything_is_sent(milo: MiloGateway, payment: Any) -> None:
    desk = await mcp(milo)
    params = {
        "name": "milo_create_conversation",
        "arguments": desk.with_credential(message="Hello"),
        "_meta": {X402: payment},
    }
    refused = await desk.ask("tools/call", params)
    assert refused.error["code"] == -32602
    assert X402 in refused.error["message"]
    assert milo.wire.written == []


async def test_a_message_that_was_free_has_no_receipt_and_other_tools_take_no_proof(milo: MiloGateway) -> None:
    desk = await mcp(milo)
    free = await desk.call("milo_create_conversation", desk.with_credential(message="Hello"))
    assert "_meta" not in free.result
    params = {"name": "milo_get_holdings", "arguments": desk.with_credential(), "_meta": {X402: "whatever"}}
    assert (await desk.ask("tools/call", params)).result["isError"] is False


async def test_a_narrowed_list_has_milos_tools_alone(milo: MiloGateway) -> None:
    desk = await mcp(milo)
    listed = (await desk.ask("tools/list", query="?tools=milo")).result["tools"]
    assert [tool["name"] for tool in listed] == [name for name in SHOWN if name.startswith("milo_")]
    anonymous = await desk.ask("initialize", HELLO, key=None)
    id = anonymous.headers["Mcp-Session-Id"]
    trading = await desk.ask("tools/list", key=None, query="?tools=market", Mcp_Session_Id=id)
    assert trading.result["tools"] == []
