from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from solders.keypair import Keypair

from sandbox.milo.chain_records import ChainTransaction
from sandbox.milo.core import Core
from sandbox.milo.tokens import BY_SYMBOL, SOL, USDC
from tests.support.milo_orders import order, percent, place, positions, usd
from tests.support.milo_user import MiloReply, MiloServer, MiloUser

SEND = "/wallets/{walletId}/actions/send"


async def test_holdings_are_written_as_the_reference_writes_them(milo: MiloServer) -> None:
    user = await milo.user(SOL="1.25", USDC="10.5")
    assert [item["tokenAddress"] for item in await holdings(user)] == [SOL.address, USDC.address]
    sol, usdc = await holdings(user)
    assert set(sol) == {
        "id", "tokenAddress", "chain", "decimals", "assetClass", "totalHoldings", "tokenUSDPrice", "tokenSolPrice",
        "totalUSDval", "totalSolval", "updatedAt",
    }  # fmt: skip
    assert (sol["totalHoldings"], sol["decimals"], sol["assetClass"]) == ("1250000000", 9, "majors")
    assert (sol["tokenSolPrice"], sol["totalSolval"]) == ("1", "1.25")
    assert (usdc["totalHoldings"], usdc["tokenUSDPrice"], usdc["totalUSDval"]) == ("10500000", "1", "10.50")
    assert Decimal(sol["totalUSDval"]) == (Decimal(sol["tokenUSDPrice"]) * Decimal("1.25")).quantize(
        Decimal("0.01"), "ROUND_DOWN"
    )
    # The same holding has the same id every time.
    assert [item["id"] for item in await holdings(user)] == [sol["id"], usdc["id"]]


async def test_a_wallet_with_nothing_has_no_holdings(milo: MiloServer) -> None:
    assert await holdings(await milo.user()) == []


async def test_tokens_are_sent_and_the_signature_can_be_looked_up(milo: MiloServer) -> None:
    user, recipient = await milo.user(SOL=3, USDC=20), str(Keypair().pubkey())
    for token, amount, units in ((SOL, 1.5, 1_500_000_000), (USDC, 0.25, 250_000)):
        reply = await user.call("POST", SEND, {"recipient": recipient, "token": token.address, "amount": amount})
        assert reply.status == 202
        signature = reply.data["data"]
        found = await milo.run(partial(looked_up, signature))
        assert found is not None
        assert found.gained(recipient, token.address) == units
    twice = {"recipient": recipient, "token": SOL.address, "amount": 0.1}
    assert (await user.call("POST", SEND, twice)).data != (await user.call("POST", SEND, twice)).data


BAD: list[tuple[str, dict[str, Any]]] = [
    ("recipient", {"recipient": "0OIl"}),
    ("recipient", {"recipient": ""}),
    ("token", {"token": "JUP"}),
    ("amount", {"amount": 0}),
    ("amount", {"amount": -1}),
    ("amount", {"amount": "NaN"}),
    ("amount", {"amount": "0.0000000001"}),
    ("The wallet holds 1 SOL", {"amount": 1}),
    ("The wallet holds 0 USDC", {"token": USDC.address}),
    ("at least 0.00089088 SOL", {"amount": "0.0001"}),
    ("expected 1.00", {"amount": "0.9995"}),
    ("memo", {"memo": "hello"}),
]


@pytest.mark.parametrize(("said", "wrong"), BAD, ids=[f"{n}-{said}" for n, (said, _) in enumerate(BAD)])
async def test_what_cannot_be_sent_is_refused_and_nothing_moves(
    milo: MiloServer, said: str, wrong: dict[str, Any]
) -> None:
    user = await milo.user(SOL=1)
    body = {"recipient": str(Keypair().pubkey()), "token": SOL.address, "amount": 0.5} | wrong
    reply = await user.call("POST", SEND, body)
    assert reply.refusal == (400, "bad_request")
    assert said in reply.message
    assert await user.units("SOL") == 10**9
    own = body | {"recipient": user.wallet.address}
    assert (await user.call("POST", SEND, own)).refusal == (400, "bad_request")


async def test_nobody_here_signs_for_the_wallet_that_signed_up(milo: MiloServer) -> None:
    user = await milo.user(SOL=1)
    signup = (await user.call("GET", "/me")).json["wallets"][0]["id"]
    body = {"recipient": str(Keypair().pubkey()), "token": SOL.address, "amount": 0.5}
    assert (await user.call("POST", f"/wallets/{signup}/actions/send", body)).refusal == (400, "bad_request")
    placed = await user.call("POST", f"/wallets/{signup}/orders", order("buy", "JUP", usd(5)))
    assert placed.refusal == (400, "bad_request")
    assert (await user.call("GET", f"/wallets/{signup}/holdings")).data == []


async def test_transactions_are_walked_by_cursor_newest_first_while_new_ones_come(milo: MiloServer) -> None:
    user = await milo.user(SOL=1)
    for _ in range(6):
        await user.fund("USDC", 1)

    async def page(cursor: str | None, limit: int) -> tuple[list[str], str | None]:
        query = f"limit={limit}" + (f"&cursor={cursor}" if cursor else "")
        body = (await user.call("GET", f"/wallets/{{walletId}}/transactions?{query}")).json
        return [item["signature"] for item in body["data"]], body["nextCursor"]

    everything, end = await page(None, 200)
    assert (len(everything), end) == (7, None)
    walked: list[str] = []
    cursor = None
    while True:
        found, cursor = await page(cursor, 3)
        walked += found
        if cursor is None:
            break
        # What comes in while somebody walks is not in the way.
        await user.fund("USDC", 1)
    assert walked == everything
    for query in ("limit=0", "limit=201", "limit=x", "cursor=eyJ", "cursor=bm9uZQ==", "cursor=%FF"):
        refused = await user.call("GET", f"/wallets/{{walletId}}/transactions?{query}")
        assert refused.refusal == (400, "bad_request"), query


async def test_executed_transactions_are_trades_and_can_be_chosen(milo: MiloServer) -> None:
    user = await milo.user(SOL=1, USDC=1000)
    bought = await place(user, "buy", "JUP", usd(100))
    sold = await place(user, "sell", "JUP", percent(50))
    other = await place(user, "buy", "BONK", usd(100))

    async def executed(query: str) -> list[dict[str, Any]]:
        body = (await user.call("GET", f"/wallets/{{walletId}}/executed-transactions?{query}")).json
        assert isinstance(body["data"], list)
        return body["data"]

    everything = await executed("")
    assert [item["orderId"] for item in everything] == [other["id"], sold["id"], bought["id"]]
    assert [item["txType"] for item in everything] == ["buy", "sell", "buy"]
    assert [item["orderId"] for item in await executed("txType=sell")] == [sold["id"]]
    chosen = await executed(f"token={BY_SYMBOL['JUP'].address}&txType=buy")
    assert [item["signature"] for item in chosen] == [bought["fill"]["signature"]]
    signatures = {
        item["signature"] for item in (await user.call("GET", "/wallets/{walletId}/transactions")).json["data"]
    }
    assert {item["signature"] for item in everything} < signatures
    wrong = await user.call("GET", "/wallets/{walletId}/executed-transactions?txType=swap")
    assert wrong.refusal == (400, "bad_request")


async def test_the_demo_user_has_something_to_see_everywhere(milo: MiloServer) -> None:
    from sandbox.milo.demo import open_demo_user

    demo = await milo.run(open_demo_user)
    user = MiloUser(milo, Keypair.from_base58_string(demo.signup_key), demo.user_id, demo.api_key, demo.wallet)
    statuses = {position["status"] for position in await positions(user)}
    assert statuses == {"active", "pending", "not_active"}
    orders = (await user.call("GET", "/users/{userId}/orders?pageSize=100")).data
    assert {item["status"] for item in orders} == {"fulfilled", "active"}
    assert len(await holdings(user)) > 3
    executed: MiloReply = await user.call("GET", "/wallets/{walletId}/executed-transactions")
    assert len(executed.json["data"]) >= 5
    for path in ("diary-logs", "auto-trade-settings/strategies", "conversations", "quests", "orders"):
        assert (await user.call("GET", f"/users/{{userId}}/{path}")).data, path
    assert (await user.call("GET", "/users/{userId}/auto-trade-settings")).data["isActive"] is False


def looked_up(signature: str, core: Core) -> ChainTransaction | None:
    return core.chain.transaction(signature)


async def holdings(user: MiloUser) -> list[dict[str, Any]]:
    found = (await user.call("GET", "/wallets/{walletId}/holdings")).data
    assert isinstance(found, list)
    return found
