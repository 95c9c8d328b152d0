"""From a wallet without an account to claimed quests and back out of the arena, through ``POST /v1`` alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from solders.keypair import Keypair

from sandbox.milo.tokens import BY_SYMBOL, SOL
from storage.ports import Scopes, Tier
from tests.support.milo_gateway import MiloGateway, milo_gateway

AT_ONCE = {"type": "absolute", "operator": "gte", "value": "0"}


class Newcomer:
    """Knows the gateway's address and a wallet's key, and in time an API key."""

    def __init__(self, desk: MiloGateway) -> None:
        self.desk = desk
        self.wallet = Keypair()
        self.key = ""
        self.credential_id = ""
        self.address = ""

    async def sign_up(self) -> None:
        joined = await self.desk.sign_up(self.wallet)
        assert joined.status == 200, joined.text
        body = joined.json
        self.key, self.credential_id = body["apiKey"], body["credentialId"]
        assert body["data"]["apiKey"].startswith("mk_test_")
        me = await self.told("miloGetMe")
        assert me == {"user": body["data"]["user"], "wallets": body["data"]["wallets"]}
        self.address = next(wallet["address"] for wallet in me["wallets"] if wallet["type"] == "milo")

    async def ask(self, operation: str, **parameters: Any) -> Any:
        self.desk.clock.advance(13)
        return await self.desk.ask(operation, self.key, credentialId=self.credential_id, **parameters)

    async def told(self, operation: str, **parameters: Any) -> Any:
        reply = await self.ask(operation, **parameters)
        assert reply.status == 200, (operation, reply.text)
        return reply.json["data"] if "data" in reply.json else reply.json

    async def order(self, type_: str, symbol: str, amount: dict[str, Any], **more: Any) -> Any:
        asked = {
            "tokenAddress": BY_SYMBOL[symbol].address,
            "type": type_,
            "payload": {"type": type_, "amount": amount, "trigger": AT_ONCE},
        }
        placed = await self.told("miloCreateOrder", **asked, **more)
        return await self.told("miloGetOrder", orderId=placed["id"])


async def test_from_a_new_wallet_to_claimed_quests_and_back_out_of_the_arena(tmp_path: Path) -> None:
    async with milo_gateway(tmp_path) as desk:
        me = Newcomer(desk)
        await me.sign_up()
        await _switch_on(me)
        await _trade(me)
        await _read_everything(me)
        await _pay_for_a_message(me)
        await _fight(me)
        await _claim(me)


async def _switch_on(me: Newcomer) -> None:
    refused = await me.ask("miloUpdateAutoTradeSettings", isActive=True)
    assert (refused.status, refused.json["code"]) == (502, "EXCHANGE_ERROR")
    assert refused.json["details"]["outcome"] == "rejected"
    await me.desk.deposit(me.address, "SOL", 10)
    changed = await me.told("miloUpdateAutoTradeSettings", isActive=True, allocation={"majors": 60, "memes": "40"})
    assert (changed["isActive"], changed["allocation"]) == (True, {"majors": "60", "memes": "40"})
    assert (await me.told("miloGetDiaryLogs"))[0]["log"]
    assert (await me.told("miloUpdateAutoTradeSettings", isActive=False))["isActive"] is False
    assert (await me.told("miloGetAutoTradeSettings"))["isActive"] is False


async def _trade(me: Newcomer) -> None:
    bought = await me.order(
        "buy",
        "RAY",
        {"type": "absolute_usd", "amount": "60"},
        takeProfits=[{"percentage": "50", "profitPercentage": "20"}],
        stopLosses=[{"percentage": 100, "lossPercentage": 15}],
    )
    assert bought["status"] == "fulfilled"
    assert {child["type"] for child in bought["dependants"]} == {"take_profit", "stop_loss"}
    assert (await me.order("sell", "RAY", {"type": "relative", "percentage": "50"}))["thesisId"] == bought["thesisId"]
    waiting = await me.told("miloListOrders", status="active", type="sell", tokenAddress=BY_SYMBOL["RAY"].address)
    paused = await me.told("miloPauseOrder", orderId=waiting[0]["id"])
    assert paused["status"] == "paused"
    assert (await me.told("miloActivateOrder", orderId=waiting[0]["id"]))["status"] == "active"
    assert (await me.told("miloDeleteOrder", orderId=waiting[0]["id"]))["status"] == "archived"
    positions = await me.told("miloListPositions", status="active")
    closed = await me.told("miloClosePosition", thesisId=positions[0]["thesisId"])
    assert closed["sellOrderCreated"] is True
    await me.order("buy", "JUP", {"type": "absolute_usd", "amount": "20"})
    everything = await me.told("miloCloseAllPositions")
    # Milo has traded by itself meanwhile.
    assert all(one["sellOrderCreated"] for one in everything["successes"])
    assert everything["failures"] == []
    assert await me.told("miloListPositions", status="active") == []


async def _read_everything(me: Newcomer) -> None:
    holdings = await me.told("miloGetHoldings")
    assert {"tokenUSDPrice", "totalUSDval", "totalHoldings"} <= holdings[0].keys()
    first = (await me.ask("miloGetExecutedTransactions", limit=1, txType="sell")).json
    following = (await me.ask("miloGetExecutedTransactions", limit=1, cursor=first["nextCursor"])).json
    assert first["data"][0]["id"] != following["data"][0]["id"]
    assert (await me.told("miloGetTransactions", limit=200))[0]["signature"]
    assert (await me.told("miloGetBones"))["balance"] == "0"
    traded = (await me.desk.ask("getFills", me.key, credentialId=me.credential_id, market="JUP")).json["fills"]
    assert [fill["side"] for fill in traded] == ["SELL", "BUY"]


async def _pay_for_a_message(me: Newcomer) -> None:
    begun = await me.told("miloCreateConversation", message="How is RAY?")
    where = {"conversationId": begun["conversationId"]}
    await me.told("miloSendMessage", message="And JUP?", **where)
    refused = await me.ask("miloSendMessage", message="And BONK?", **where)
    assert (refused.status, refused.json["code"]) == (402, "PAYMENT_REQUIRED")
    terms = refused.json["details"]
    assert {"asset": "SOL", "amount": "0.01"} in terms["options"]
    sending = {"recipient": terms["recipient"], "token": SOL.address, "amount": "0.01"}
    forbidden = await me.ask("miloSendTokens", **sending)
    assert (forbidden.status, forbidden.json["code"]) == (403, "OPERATION_NOT_ALLOWED")
    account = (await me.desk.gateway.gateway.authenticator.authenticate(me.key, None, "")).account_id
    owner = await me.desk.gateway.gateway.stores.directory.account(account)
    assert owner is not None
    assert owner.tier is Tier.BUILDER
    sender = await me.desk.gateway.key(owner, scopes=Scopes(operations=frozenset({"miloSendTokens"})))
    sent = await me.desk.ask("miloSendTokens", sender, credentialId=me.credential_id, **sending)
    assert sent.status == 200, sent.text
    proof = {
        "recipient": terms["recipient"],
        "asset": "SOL",
        "amount": "0.01",
        "paymentId": "first",
        "txSignature": sent.json["data"],
    }
    accepted = await me.ask("miloSendMessage", message="And BONK?", payment=proof, **where)
    assert accepted.status == 200, accepted.text
    assert accepted.json["payment"]["transaction"] == sent.json["data"]
    me.desk.clock.advance(30)
    assert (await me.told("miloGetMessages", **where))["messages"][0]["content"] == "How is RAY?"
    assert (await me.told("miloGetConversation", **where))["conversationId"] == begun["conversationId"]
    assert len(await me.told("miloListConversations")) == 1


async def _fight(me: Newcomer) -> None:
    made = await me.told("miloCreateStrategy", name="Mine", strategy="SCALPER", isPublic=True)
    strategy = {"strategyId": made["id"]}
    assert (await me.told("miloUpdateAutoTradeSettings", **strategy))["strategySync"]["synced"] is True
    assert (await me.told("miloUpdateStrategy", instructions="Only SOL", **strategy))["instructions"] == "Only SOL"
    assert (await me.told("miloGetAutoTradeSettings"))["strategySync"]["synced"] is False
    assert (await me.told("miloSyncStrategy", **strategy))["strategySync"]["synced"] is True
    assert (await me.told("miloGetStrategy", **strategy))["name"] == "Mine"
    assert [one["id"] for one in await me.told("miloListStrategies", scope="owned", q="mine")] == [made["id"]]
    deployed = await me.told("miloDeployToArena", **strategy)
    board = await me.told("miloGetArenaLeaderboard", timeframe="30d", sortKey="pnl", sortDirection="asc")
    assert [rank["arenaWalletAddress"] for rank in board] == [deployed["custodyWalletAddress"]]
    withdrawn = await me.told("miloWithdrawFromArena", **strategy)
    assert withdrawn["recipientWalletAddress"] == me.address
    assert (await me.told("miloUpdateAutoTradeSettings", strategyId=None))["strategyId"] is None
    assert await me.told("miloDeleteStrategy", **strategy) is None


async def _claim(me: Newcomer) -> None:
    done = await me.told("miloListQuests", unclaimed=True)
    assert {"First Trade", "Ask Milo", "Gladiator"} <= {quest["title"] for quest in done}
    for quest in done:
        assert await me.told("miloClaimQuest", questId=quest["questId"]) is None
    again = await me.ask("miloClaimQuest", questId=done[0]["questId"])
    assert again.json["details"]["reason"] == "NOT_FOUND"
    assert int((await me.told("miloGetBones"))["balance"]) == sum(int(quest["award"]) for quest in done)
