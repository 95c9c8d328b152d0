"""The reference's quick start and everything after it, with nothing but HTTP and a wallet of one's own."""

from __future__ import annotations

import json
from typing import Any

from solders.keypair import Keypair

from sandbox.milo.tokens import BY_SYMBOL, SOL
from tests.support.milo_user import MiloReply, MiloServer

AT_ONCE = {"type": "absolute", "trigger": "price", "operator": "gte", "value": 0}


class Newcomer:
    """Knows a URL and a wallet's key, and in time an API key."""

    def __init__(self, milo: MiloServer) -> None:
        self.milo = milo
        self.wallet = Keypair()
        self.key: str | None = None
        self.ids: dict[str, str] = {}

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> MiloReply:
        self.milo.clock.advance(13)
        for name, value in self.ids.items():
            path = path.replace(f"{{{name}}}", value)
        return await self.milo.call(method, path, body, key=self.key, headers=headers)

    async def sign_up(self) -> None:
        address = str(self.wallet.pubkey())
        asked = {"accountAddress": address, "chainId": "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"}
        issued = (await self.call("POST", "/users/siwx/message", asked)).data
        signature = str(self.wallet.sign_message(issued["message"].encode()))
        siwx = {"data": issued["data"], "message": issued["message"], "signature": signature}
        made = (await self.call("POST", "/users", {"signupWallet": address, "siwx": siwx})).data
        self.key = made["apiKey"]
        me = (await self.call("GET", "/me")).json
        assert me == {"user": made["user"], "wallets": made["wallets"]}
        milo_wallet = next(wallet for wallet in me["wallets"] if wallet["type"] == "milo")
        self.ids = {"userId": me["user"]["id"], "walletId": milo_wallet["id"], "address": milo_wallet["address"]}

    async def deposit(self, symbol: str, amount: float) -> None:
        asked = {"address": self.ids["address"], "token": symbol, "amount": amount}
        url = f"{self.milo.url}/sandbox/milo/faucet"
        async with self.milo.http.post(url, json=asked) as response:
            assert response.status == 200, await response.text()

    async def order(self, type_: str, symbol: str, amount: dict[str, Any], **more: Any) -> dict[str, Any]:
        payload = {"type": type_, "amount": amount, "trigger": AT_ONCE}
        token = BY_SYMBOL[symbol].address
        asked = {"tokenAddress": token, "type": type_, "status": "active", "payload": payload} | more
        placed = await self.call("POST", "/wallets/{walletId}/orders", asked)
        assert placed.status == 201, placed.text
        found = (await self.call("GET", f"/users/{{userId}}/orders/{placed.data['data']['id']}")).data
        assert isinstance(found, dict)
        return found


async def test_from_a_new_wallet_to_claimed_quests_and_back_out_of_the_arena(milo: MiloServer) -> None:
    me = Newcomer(milo)
    await me.sign_up()

    settings = "/users/{userId}/auto-trade-settings"
    assert (await me.call("PATCH", settings, {"isActive": True})).refusal == (400, "bad_request")
    await me.deposit("SOL", 10)
    assert (await me.call("PATCH", settings, {"isActive": True})).data["isActive"] is True
    assert (await me.call("GET", "/users/{userId}/diary-logs")).data
    assert (await me.call("PATCH", settings, {"isActive": False})).data["isActive"] is False

    bought = await me.order("buy", "RAY", {"type": "absolute_usd", "amount": 60})
    assert bought["status"] == "fulfilled"
    position = (await me.call("GET", "/users/{userId}/positions")).data[0]
    sold = await me.order("sell", "RAY", {"type": "relative", "percentage": 50})
    assert sold["thesisId"] == position["thesisId"]
    assert (await me.call("POST", f"/users/{{userId}}/positions/{position['thesisId']}/close")).status == 200
    executed = await me.call("GET", "/wallets/{walletId}/executed-transactions")
    assert {"buy", "sell"} <= {trade["txType"] for trade in executed.data}

    talks = "/users/{userId}/conversations"
    for _ in range(2):
        assert (await me.call("POST", talks, {"message": "How is RAY?"})).status == 201
    refused = await me.call("POST", talks, {"message": "And BONK?"})
    assert refused.refusal == (402, "payment_required")
    recipient = refused.headers["X-Payment-Recipient"]
    paid = await me.call(
        "POST", "/wallets/{walletId}/actions/send", {"recipient": recipient, "token": SOL.address, "amount": 0.01}
    )
    assert paid.status == 202
    proof = {
        "recipient": recipient,
        "asset": "SOL",
        "amount": 0.01,
        "paymentId": "first",
        "txSignature": paid.data["data"],
    }
    accepted = await me.call("POST", talks, {"message": "And BONK?"}, **{"X-PAYMENT": json.dumps(proof)})
    assert accepted.status == 201
    assert accepted.headers["X-Billing-Mode"] == "payg"

    made = await me.call("POST", f"{settings}/strategies", {"name": "x", "strategy": "SCALPER", "isPublic": True})
    strategy = {"strategyId": made.data["id"]}
    deployed = (await me.call("POST", "/users/{userId}/arena/deploy", strategy)).data
    board = (await me.call("GET", "/users/{userId}/arena/leaderboard?timeframe=30d")).data
    assert [rank["arenaWalletAddress"] for rank in board] == [deployed["custodyWalletAddress"]]
    withdrawn = (await me.call("POST", "/users/{userId}/arena/withdraw", strategy)).data
    assert withdrawn["recipientWalletAddress"] == me.ids["address"]
    assert {transfer["tokenAddress"] for transfer in withdrawn["transferTxs"]} >= {SOL.address}

    done = (await me.call("GET", "/users/{userId}/quests?unclaimed=true")).data
    titles = {"First Trade", "Ask Milo", "Strategist", "Autopilot", "Full Circle", "Gladiator", "Well Rounded"}
    assert {quest["title"] for quest in done} == titles
    for quest in done:
        milo.clock.advance(10)
        assert (await me.call("POST", f"/users/{{userId}}/quests/{quest['questId']}/claim")).json == {"data": None}
    bones = (await me.call("GET", "/users/{userId}/quests/bones")).data
    assert (bones["balance"], bones["unclaimed"]) == (1_400, 250)
