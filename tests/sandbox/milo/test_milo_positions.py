from __future__ import annotations

from decimal import Decimal

import pytest

from sandbox.milo.tokens import BY_SYMBOL, SOL
from tests.support.milo_orders import at, get, percent, place, positions, price, stop, take, tokens, usd
from tests.support.milo_user import MiloServer, MiloUser


async def close(user: MiloUser, thesis_id: str) -> dict[str, object]:
    data = (await user.call("POST", f"/users/{{userId}}/positions/{thesis_id}/close")).data
    assert isinstance(data, dict)
    return data


async def usdc(user: MiloUser) -> float:
    return float(Decimal(await user.units("USDC")).scaleb(-6))


async def test_a_position_shows_its_orders_and_what_it_made(milo: MiloServer) -> None:
    user = await milo.user(SOL=1, USDC=1000)
    bought = await place(user, "buy", "JUP", usd(200), takeProfits=[take(50, 300)], stopLosses=[stop(100, 90)])
    again = await place(user, "buy", "JUP", usd(100))
    sold = await place(user, "sell", "JUP", percent(25))
    (position,) = await positions(user)
    assert position["status"] == "active"
    assert {position["thesisId"]} == {bought["thesisId"], again["thesisId"], sold["thesisId"]}
    assert [item["id"] for item in position["entryOrders"]] == [bought["id"], again["id"]]
    assert [item["id"] for item in position["exitOrders"]] == [sold["id"]]
    assert [item["parentId"] for item in position["takeProfitOrders"]] == [bought["id"]]
    assert [item["status"] for item in position["stopLossOrders"]] == ["active"]
    assert position["investedAmount"] == pytest.approx(300, abs=1e-4)
    assert position["amount"] == pytest.approx(position["boughtAmount"] * 0.75, abs=1e-5)
    assert position["currentPrice"] == await price(milo, "JUP")
    cash = await usdc(user)
    assert (
        position["realizedPnl"]
        == pytest.approx(sold["fill"]["realizedPnl"])
        == pytest.approx(cash - 700 - 75, abs=1e-9)
    )
    assert position["unrealizedPnl"] == pytest.approx(position["amount"] * position["currentPrice"] - 225, abs=1e-3)


async def test_closing_archives_what_waits_and_sells_what_is_left(milo: MiloServer) -> None:
    user = await milo.user(SOL=1, USDC=1000)
    bought = await place(user, "buy", "JUP", usd(200), takeProfits=[take(50, 300)], stopLosses=[stop(100, 90)])
    await place(user, "buy", "JUP", usd(100), at("lte", 0.0001))
    closed = await close(user, bought["thesisId"])
    assert closed == {"thesisId": bought["thesisId"], "cancelled": 3, "sellOrderCreated": True}
    assert await user.units("JUP") == 0
    (position,) = await positions(user, status="not_active")
    assert position["closedAt"] is not None
    assert (position["amount"], position["currentValue"]) == (0, 0)
    assert position["realizedPnl"] == pytest.approx(await usdc(user) - 1000, abs=1e-9)
    statuses = {item["status"] for item in position["takeProfitOrders"] + position["stopLossOrders"]}
    assert statuses == {"archived"}
    again = await user.call("POST", f"/users/{{userId}}/positions/{bought['thesisId']}/close")
    assert again.refusal == (400, "bad_request")


async def test_a_pending_position_is_closed_without_a_sale(milo: MiloServer) -> None:
    user = await milo.user(SOL=1, USDC=1000)
    waiting = await place(user, "buy", "SOL", usd(200), at("lte", 1), stopLosses=[stop(100, 5)])
    (position,) = await positions(user, status="pending")
    assert await close(user, position["thesisId"]) == {
        "thesisId": position["thesisId"],
        "cancelled": 2,
        "sellOrderCreated": False,
    }
    assert (await get(user, waiting["id"]))["status"] == "archived"
    assert await positions(user, status="pending") == []


async def test_one_position_that_cannot_be_closed_keeps_no_other_back_and_stays_as_it_was(milo: MiloServer) -> None:
    user = await milo.user(SOL=1, USDC=1000)
    jup = await place(user, "buy", "JUP", usd(50), stopLosses=[stop(100, 50)])
    bonk = await place(user, "buy", "BONK", usd(50))
    await place(user, "buy", "WIF", usd(50), at("lte", 0.0001))

    def freeze(core: object) -> None:
        """The token account of JUP, as a mint's freeze authority would: what is in it cannot move."""
        from solders.account import Account

        from sandbox.milo.core import Core
        from sandbox.milo.programs import token_account

        assert isinstance(core, Core)
        address = token_account(type(BY_SYMBOL["JUP"].mint).from_string(user.wallet.address), BY_SYMBOL["JUP"].mint)
        held = core.chain.account(address)
        assert held is not None
        data = bytearray(held.data)
        data[108] = 2
        core.chain._svm.set_account(address, Account(lamports=held.lamports, data=bytes(data), owner=held.owner))

    await milo.run(freeze)
    outcome = (await user.call("POST", "/users/{userId}/positions/close-all")).data
    assert [item["thesisId"] for item in outcome["failures"]] == [jup["thesisId"]]
    assert "refused" in outcome["failures"][0]["error"]
    closed = {item["thesisId"]: item for item in outcome["successes"]}
    assert closed[bonk["thesisId"]]["sellOrderCreated"] is True
    assert len(closed) == 2
    (left,) = await positions(user, status="active")
    assert left["thesisId"] == jup["thesisId"]
    assert [item["status"] for item in left["stopLossOrders"]] == ["active"]
    assert left["exitOrders"] == []


async def test_close_all_is_once_a_minute(milo: MiloServer) -> None:
    user = await milo.user(SOL=1)
    assert (await user.call("POST", "/users/{userId}/positions/close-all")).data == {"successes": [], "failures": []}
    assert (await user.call("POST", "/users/{userId}/positions/close-all")).status == 429


async def test_children_sell_what_their_own_parent_bought_and_nothing_of_another_buy(milo: MiloServer) -> None:
    user = await milo.user(SOL=1, USDC=1000)
    start = await price(milo, "BONK")
    first = await place(
        user, "buy", "BONK", usd(100), takeProfits=[take(50, 0.5), take(50, 400)], stopLosses=[stop(100, 3)]
    )
    second = await place(user, "buy", "BONK", usd(100))
    milo.clock.advance(90 * 86_400)
    children = [item["order"] for item in (await get(user, first["id"]))["dependants"]]
    sold = [child["fill"]["amount"] for child in children if child["fill"] is not None]
    assert len(sold) >= 2, f"the market went nowhere from {start}"
    assert sum(sold) == pytest.approx(first["fill"]["amount"], abs=1e-9)
    (position,) = await positions(user)
    assert position["amount"] == pytest.approx(second["fill"]["amount"], abs=1e-9)


async def test_a_position_in_sol_is_sold_but_for_what_the_chain_needs(milo: MiloServer) -> None:
    user = await milo.user(SOL="0.004", USDC=100)
    bought = await place(user, "buy", "SOL", usd(90))
    assert bought["status"] == "fulfilled", bought["error"]
    await close(user, bought["thesisId"])
    (position,) = await positions(user)
    assert (position["status"], position["amount"]) == ("not_active", 0)
    assert await user.units("SOL") > 0


async def test_tokens_that_are_sent_away_leave_the_position_without_gain_or_loss(milo: MiloServer) -> None:
    user = await milo.user(SOL=1, USDC=1000, JUP=100)
    bought = await place(user, "buy", "JUP", usd(100))
    held = Decimal(await user.units("JUP")).scaleb(-6)
    body = {"recipient": str(user.keypair.pubkey()), "token": BY_SYMBOL["JUP"].address}
    # A hundred were there before, and go first.
    assert (await user.call("POST", "/wallets/{walletId}/actions/send", body | {"amount": 100})).status == 202
    assert (await positions(user))[0]["amount"] == bought["fill"]["amount"]
    half = float((held - 100) / 2)
    assert (
        await user.call("POST", "/wallets/{walletId}/actions/send", body | {"amount": round(half, 6)})
    ).status == 202
    (position,) = await positions(user)
    assert position["amount"] == pytest.approx(bought["fill"]["amount"] / 2, rel=1e-5)
    assert position["realizedPnl"] == 0
    rest = float(Decimal(await user.units("JUP")).scaleb(-6))
    assert (await user.call("POST", "/wallets/{walletId}/actions/send", body | {"amount": rest})).status == 202
    assert (await positions(user))[0]["status"] == "not_active"


async def test_what_was_deposited_can_be_sold_without_a_position(milo: MiloServer) -> None:
    user = await milo.user(SOL=3, JUP=100)
    sold = await place(user, "sell", "JUP", percent(100))
    assert (sold["status"], sold["thesisId"]) == ("fulfilled", None)
    assert await user.units("JUP") == 0
    converted = await place(user, "sell", "SOL", tokens(1, "SOL"))
    assert converted["status"] == "fulfilled"
    assert await usdc(user) > 100
    back = await place(user, "sell", "USDC", percent(100))
    assert back["status"] == "fulfilled"
    assert await usdc(user) == 0
    assert await positions(user) == []
    assert await user.units(SOL.symbol) > 2_900_000_000
