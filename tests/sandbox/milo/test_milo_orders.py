from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sandbox.milo.tokens import BY_SYMBOL
from tests.support.milo_orders import at, get, order, percent, place, positions, price, refused, stop, take, tokens, usd
from tests.support.milo_user import MiloServer


async def test_the_references_order_is_accepted_as_it_says_and_filled(milo: MiloServer) -> None:
    user = await milo.user(SOL=2, USDC=1000)
    body = order(
        "buy",
        "SOL",
        usd(50),
        takeProfits=[take(50, 20), take(50, 50)],
        stopLosses=[stop(100, 15)],
    )
    reply = await user.call("POST", "/wallets/{walletId}/orders", body)
    assert reply.status == 201
    accepted = reply.json["data"]["data"]
    assert (accepted["type"], accepted["status"]) == ("buy", "active")
    kinds = [(item["type"], item["order"]["subType"], item["order"]["status"]) for item in accepted["dependants"]]
    assert kinds == [
        ("take_profit", "take_profit", "draft"),
        ("take_profit", "take_profit", "draft"),
        ("stop_loss", "stop_loss", "draft"),
    ]
    filled = await get(user, accepted["id"])
    assert filled["status"] == "fulfilled"
    assert [child["order"]["status"] for child in filled["dependants"]] == ["active"] * 3
    assert {child["order"]["parentId"] for child in filled["dependants"]} == {accepted["id"]}
    entry = filled["fill"]["price"]
    assert [round(child["order"]["triggerPrice"] / entry, 6) for child in filled["dependants"]] == [1.2, 1.5, 0.85]
    # Fifty dollars in all, the fee among them, to the unit of USDC.
    assert await user.units("USDC") == 950_000_000
    assert round(filled["fill"]["value"] + filled["fill"]["fee"], 6) == 50


async def test_what_is_bought_and_sold_moves_on_the_chain(milo: MiloServer) -> None:
    user = await milo.user(SOL=1, USDC=500)
    bought = await place(user, "buy", "JUP", usd(100))
    units = await user.units("JUP")
    assert units == round(bought["fill"]["amount"] * 10**6)
    transaction = await milo.run(lambda core: core.chain.transaction(bought["fill"]["signature"]))
    assert transaction is not None
    assert transaction.gained(user.wallet.address, BY_SYMBOL["JUP"].address) == units
    sold = await place(user, "sell", "JUP", percent(50))
    assert sold["status"] == "fulfilled"
    assert await user.units("JUP") == units - units // 2
    cash = Decimal(await user.units("USDC")).scaleb(-6)
    assert 449 < cash < 451


async def test_without_usdc_sol_pays_and_a_position_in_sol_does_not(milo: MiloServer) -> None:
    user = await milo.user(SOL="1.5")
    before = await user.units("SOL")
    bought = await place(user, "buy", "JUP", usd(100))
    assert bought["status"] == "fulfilled"
    assert await user.units("SOL") < before
    holder = await milo.user(SOL="0.5", USDC=100)
    assert (await place(holder, "buy", "SOL", usd(90)))["status"] == "fulfilled"
    # 0.5 SOL beside the position are worth about 80 dollars.
    failed = await place(holder, "buy", "JUP", usd(120))
    assert failed["status"] == "error"
    assert "Insufficient funds" in failed["error"]


async def test_a_limit_order_fires_at_the_second_in_which_its_price_was_reached_while_nobody_looked(
    milo: MiloServer,
) -> None:
    user = await milo.user(SOL=1, USDC=1000)
    limit = await price(milo, "SOL") * 0.99
    waiting = await place(user, "buy", "SOL", usd(100), at("lte", limit))
    assert waiting["status"] == "active"
    milo.clock.advance(30 * 86_400)
    filled = await get(user, waiting["id"])
    assert filled["status"] == "fulfilled"
    assert filled["fill"]["price"] == pytest.approx(limit, rel=0.01)

    def first_below(core: Any) -> int:
        sol, tick = BY_SYMBOL["SOL"], core.market.character(BY_SYMBOL["SOL"]).tick
        second = core.now_ms // 1000 - 30 * 86_400
        while core.market.ticks(sol, second) * tick > Decimal(repr(limit)):
            second += 1
        return int(second) * 1000

    fill_ms = await milo.run(lambda core: core.db.value("SELECT at_ms FROM chain_transactions ORDER BY number DESC"))
    assert fill_ms == await milo.run(first_below)


async def test_how_often_anybody_looks_changes_nothing(milo: MiloServer, open_milo: Any) -> None:
    async def fate(server: MiloServer, looks: int) -> list[Any]:
        user = await server.user(SOL=1, USDC=1000)
        start = await price(server, "WIF")
        protection = {
            "takeProfits": [take(40, 3), take(60, 5)],
            "stopLosses": [stop(100, 4)],
        }
        await place(user, "buy", "WIF", usd(100), at("lte", start * 0.99), **protection)
        await place(user, "buy", "BONK", usd(100), **protection)
        for _ in range(looks):
            server.clock.advance(3 * 86_400 / looks)
            await user.call("GET", "/users/{userId}/positions")
        return await server.run(lambda core: core.db.rows("SELECT at_ms FROM chain_transactions ORDER BY number"))

    first = await fate(milo, 1)
    milo.clock.jump(-(3 * 86_400 + 26))
    second = await fate(await open_milo(), 50)
    assert len(first) > 5
    assert first == second


async def test_a_stop_loss_sells_what_the_take_profits_left_and_the_position_ends(milo: MiloServer) -> None:
    user = await milo.user(SOL=1, USDC=1000)
    bought = await place(
        user,
        "buy",
        "BONK",
        usd(100),
        takeProfits=[take(50, 1)],
        stopLosses=[stop(100, 1)],
    )
    milo.clock.advance(60 * 86_400)
    ended = await get(user, bought["id"])
    statuses = {child["type"]: child["order"]["status"] for child in ended["dependants"]}
    assert statuses["stop_loss"] == "fulfilled"
    (position,) = await positions(user, status="not_active")
    sold = position["soldAmount"]
    assert sold == position["boughtAmount"] == bought["fill"]["amount"]
    assert position["amount"] == 0
    assert position["unrealizedPnl"] == 0
    assert await user.units("BONK") == 0
    spent = 1000 - float(Decimal(await user.units("USDC")).scaleb(-6))
    assert spent == pytest.approx(-position["realizedPnl"], abs=0.001)


async def test_pause_activate_and_delete(milo: MiloServer) -> None:
    user = await milo.user(SOL=1, USDC=1000)
    start = await price(milo, "SOL")
    waiting = await place(user, "buy", "SOL", usd(100), at("lte", start * 0.98), stopLosses=[stop(100, 5)])
    path = f"/users/{{userId}}/orders/{waiting['id']}"
    assert (await user.call("POST", f"{path}/pause")).data["status"] == "paused"
    assert (await user.call("POST", f"{path}/pause")).refusal == (400, "bad_request")
    milo.clock.advance(40 * 86_400)
    assert (await get(user, waiting["id"]))["status"] == "paused"
    (position,) = await positions(user)
    assert position["status"] == "pending"
    assert (await user.call("DELETE", path)).data["status"] == "archived"
    deleted = await get(user, waiting["id"])
    assert deleted["dependants"][0]["order"]["status"] == "archived"
    assert (await positions(user))[0]["status"] == "not_active"
    assert (await user.call("DELETE", path)).refusal == (400, "bad_request")
    assert (await user.call("POST", f"{path}/activate")).refusal == (400, "bad_request")


async def test_an_order_whose_price_was_reached_while_it_was_paused_fires_when_it_is_activated(
    milo: MiloServer,
) -> None:
    user = await milo.user(SOL=1, USDC=1000)
    waiting = await place(user, "buy", "BONK", usd(100), at("lte", await price(milo, "BONK") * 0.97), status="paused")
    while await price(milo, "BONK") > waiting["triggerPrice"]:
        milo.clock.advance(3600)
    assert (await get(user, waiting["id"]))["status"] == "paused"
    activated = (await user.call("POST", f"/users/{{userId}}/orders/{waiting['id']}/activate")).data
    assert activated["status"] == "fulfilled"
    assert activated["fill"]["price"] == pytest.approx(await price(milo, "BONK"), rel=0.01)


async def test_an_order_that_failed_for_want_of_funds_can_be_activated_once_they_are_there(milo: MiloServer) -> None:
    user = await milo.user(SOL="0.1")
    failed = await place(user, "buy", "SOL", usd(100), takeProfits=[take(100, 5)])
    assert failed["status"] == "error"
    assert "USDC" in failed["error"]
    assert failed["dependants"][0]["order"]["status"] == "draft"
    assert (await positions(user))[0]["status"] == "not_active"
    await user.fund("USDC", 200)
    activated = (await user.call("POST", f"/users/{{userId}}/orders/{failed['id']}/activate")).data
    assert activated["status"] == "fulfilled"
    assert activated["error"] is None
    assert activated["dependants"][0]["order"]["status"] == "active"
    assert (await positions(user))[0]["status"] == "active"


async def test_a_child_that_cannot_be_made_keeps_nothing_else_back(milo: MiloServer) -> None:
    user = await milo.user(SOL=1, USDC=1000)
    body = order(
        "buy",
        "JUP",
        usd(50),
        takeProfits=[
            take(60, 20),
            take(60, 30),
            take(40, 50),
        ],
    )
    reply = await user.call("POST", "/wallets/{walletId}/orders", body)
    assert reply.status == 201
    first, second, third = reply.data["data"]["dependants"]
    assert first["order"]["status"] == third["order"]["status"] == "draft"
    assert "order" not in second
    assert "at most 40% more" in second["error"]


@pytest.mark.parametrize(
    ("profits", "losses"),
    [(6, 0), (0, 6), (5, 4)],
)
async def test_guardrails(milo: MiloServer, profits: int, losses: int) -> None:
    user = await milo.user(SOL=1, USDC=1000)
    reply = await refused(
        user,
        "buy",
        "JUP",
        usd(50),
        takeProfits=[take(10, 20)] * profits,
        stopLosses=[stop(10, 20)] * losses,
    )
    assert reply.refusal == (400, "bad_request")
    assert "at most" in reply.message


BAD: list[tuple[str, dict[str, Any]]] = [
    ("tokenAddress", order("buy", "JUP", usd(5)) | {"tokenAddress": "JUP"}),
    ("type", order("hold", "JUP", usd(5))),
    ("payload.type", order("buy", "JUP", usd(5)) | {"type": "sell"}),
    ("status", order("buy", "JUP", usd(5)) | {"status": "fulfilled"}),
    ("amount", order("buy", "JUP", usd(0))),
    ("amount", order("buy", "JUP", usd(-5))),
    ("amount", order("buy", "JUP", {"type": "absolute_usd", "amount": "NaN"})),
    ("amount", order("buy", "JUP", {"type": "absolute_usd", "amount": "Infinity"})),
    ("amount", order("buy", "JUP", {"type": "absolute_usd", "amount": 1e30})),
    ("amount", order("buy", "JUP", {"type": "absolute", "amount": "1e-40"})),
    ("smallest units: 1000000 are 1 JUP", order("buy", "JUP", {"type": "absolute", "amount": 1.5})),
    ("amount", order("buy", "JUP", {"type": "absolute_usd"})),
    ("amount", order("buy", "JUP", {"type": "lots", "amount": 5})),
    ("relative", order("buy", "JUP", percent(5))),
    ("operator", order("buy", "JUP", usd(5), at("rise", 5) | {"operator": "gte"})),
    ("value", order("buy", "JUP", usd(5), at("lte", 0))),
    ("value", order("buy", "JUP", usd(5), at("gte", -1))),
    ("value", order("buy", "JUP", usd(5), at("drop", 101))),
    ("takeProfit", order("buy", "JUP", usd(5), takeProfit=[])),
    ("percentage", order("buy", "JUP", usd(5), takeProfits=[take(0, 5)])),
    ("percentage", order("buy", "JUP", usd(5), takeProfits=[take(101, 5)])),
    ("profitPercentage", order("buy", "JUP", usd(5), takeProfits=[take(10, 0)])),
    ("lossPercentage", order("buy", "JUP", usd(5), stopLosses=[stop(10, 101)])),
    ("takeProfits", order("buy", "USDC", usd(5), takeProfits=[take(10, 5)])),
    ("takeProfits", order("sell", "SOL", tokens(0.1, "SOL"), takeProfits=[take(10, 5)])),
    ("no JUP to sell", order("sell", "JUP", percent(100))),
    ("expected at most", order("sell", "SOL", tokens(5, "SOL"))),
    ("expected at most", order("sell", "SOL", usd(5000))),
]


@pytest.mark.parametrize(("said", "body"), BAD, ids=[f"{n}-{said}" for n, (said, _) in enumerate(BAD)])
async def test_an_order_that_cannot_be_is_refused_and_changes_nothing(
    milo: MiloServer, said: str, body: dict[str, Any]
) -> None:
    user = await milo.user(SOL=1, USDC=1000)
    reply = await user.call("POST", "/wallets/{walletId}/orders", body)
    assert reply.refusal == (400, "bad_request"), reply.text
    assert said in reply.message
    assert await milo.run(lambda core: core.db.value("SELECT count(*) FROM orders")) == 0
    assert await milo.run(lambda core: core.db.value("SELECT count(*) FROM positions")) == 0


async def test_a_raw_amount_is_in_the_tokens_smallest_units(milo: MiloServer) -> None:
    user = await milo.user(SOL=3, USDC=1000)
    bought = await place(user, "buy", "SOL", {"type": "absolute", "amount": 1_500_000_000})
    assert bought["payload"]["amount"] == {"type": "absolute", "amount": 1_500_000_000}
    assert (bought["status"], bought["fill"]["amount"]) == ("fulfilled", 1.5)
    sold = await place(user, "sell", "SOL", {"type": "absolute", "amount": 500_000_000})
    assert (sold["status"], sold["fill"]["amount"]) == ("fulfilled", 0.5)
    assert [position["amount"] for position in await positions(user, status="active")] == [1]


async def test_selling_more_than_a_position_holds_is_refused_with_what_there_is(milo: MiloServer) -> None:
    user = await milo.user(SOL=1, USDC=1000)
    bought = await place(user, "buy", "JUP", usd(50))
    held = bought["fill"]["amount"]
    reply = await refused(user, "sell", "JUP", tokens(held * 2, "JUP"))
    assert reply.refusal == (400, "bad_request")
    assert str(held) in reply.message


async def test_orders_are_listed_newest_first_by_status_type_and_token(milo: MiloServer) -> None:
    user = await milo.user(SOL=1, USDC=1000)
    first = await place(user, "buy", "JUP", usd(10))
    second = await place(user, "buy", "WIF", usd(10))
    third = await place(user, "sell", "WIF", percent(100), at("rise", 400))

    async def listed(query: str) -> list[str]:
        reply = await user.call("GET", f"/users/{{userId}}/orders?{query}")
        assert reply.json["meta"]["total"] == len(reply.data)
        return [found["id"] for found in reply.data]

    assert await listed("") == [third["id"], second["id"], first["id"]]
    assert await listed("status=active") == [third["id"]]
    assert await listed("type=buy") == [second["id"], first["id"]]
    assert await listed(f"tokenAddress={BY_SYMBOL['WIF'].address}&status=fulfilled") == [second["id"]]
    page = await user.call("GET", "/users/{userId}/orders?page=2&pageSize=2")
    assert page.json["meta"] == {"page": 2, "pageSize": 2, "total": 3, "pages": 2}
    assert [found["id"] for found in page.data] == [first["id"]]
    for query in ("status=open", "type=hold", "page=0", "page=101", "pageSize=101", "page=x"):
        assert (await user.call("GET", f"/users/{{userId}}/orders?{query}")).refusal == (400, "bad_request")


async def test_what_belongs_to_somebody_else_is_not_found(milo: MiloServer) -> None:
    user, other = await milo.user(SOL=1, USDC=1000), await milo.user()
    mine = await place(user, "buy", "JUP", usd(10))
    (position,) = await positions(user)
    for method, path in (
        ("GET", f"/users/{other.user_id}/orders/{mine['id']}"),
        ("POST", f"/users/{other.user_id}/orders/{mine['id']}/pause"),
        ("DELETE", f"/users/{other.user_id}/orders/{mine['id']}"),
        ("POST", f"/users/{other.user_id}/positions/{position['thesisId']}/close"),
        ("GET", f"/users/{user.user_id}/orders"),
        ("GET", f"/wallets/{user.wallet.wallet_id}/holdings"),
        ("POST", f"/wallets/{user.wallet.wallet_id}/orders"),
    ):
        assert (await other.call(method, path)).refusal == (404, "not_found"), path


async def test_five_orders_a_minute(milo: MiloServer) -> None:
    user = await milo.user(SOL=1, USDC=1000)
    replies = [await user.call("POST", "/wallets/{walletId}/orders", order("buy", "JUP", usd(5))) for _ in range(6)]
    assert [reply.status for reply in replies] == [201] * 5 + [429]
    assert int(replies[-1].headers["Retry-After"]) == 60
