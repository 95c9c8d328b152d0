from __future__ import annotations

from decimal import Decimal

import pytest

from sandbox.hyperliquid import HyperliquidVenue
from tests.support.hyperliquid_trader import Clock, Trader, limit, mark, move_until, trigger

BTC = 0


async def buy_btc(trader: Trader, venue: HyperliquidVenue, size: str = "0.01") -> None:
    (status,) = await trader.order(limit(BTC, "buy", int(await mark(venue) * Decimal("1.02")), size, tif="Ioc"))
    assert status["filled"]["totalSz"] == size


async def statuses(trader: Trader) -> dict[str, str]:
    """What became of every order, by its type."""
    history = await trader.mine("historicalOrders")
    return {entry["order"]["orderType"]: entry["status"] for entry in history}


async def position(trader: Trader) -> Decimal:
    state = await trader.mine("clearinghouseState")
    return sum((Decimal(entry["position"]["szi"]) for entry in state["assetPositions"]), Decimal(0))


async def test_a_bracket_waits_for_its_order_and_then_for_its_triggers(
    trader: Trader, venue: HyperliquidVenue, clock: Clock
) -> None:
    at = int(await mark(venue))
    answer = await trader.order(
        limit(BTC, "buy", at - 60, "0.001"),
        trigger(BTC, "sell", "tp", at + 20, "0.001"),
        trigger(BTC, "sell", "sl", at // 2, "0.001"),
        grouping="normalTpsl",
    )
    assert "resting" in answer[0]
    assert answer[1:] == ["waitingForFill", "waitingForFill"]
    (parent,) = await trader.mine("frontendOpenOrders")
    assert [child["orderType"] for child in parent["children"]] == ["Take Profit Market", "Stop Market"]
    await move_until(venue, clock, lambda price: price < at - 70)
    waiting = await trader.mine("frontendOpenOrders")
    assert sorted(order["orderType"] for order in waiting) == ["Stop Market", "Take Profit Market"]
    assert await position(trader) == Decimal("0.001")
    await move_until(venue, clock, lambda price: price > at + 25)
    assert await position(trader) == 0
    assert await statuses(trader) == {
        "Limit": "filled",
        "Take Profit Market": "filled",
        "Stop Market": "siblingFilledCanceled",
    }


async def test_a_bracket_whose_order_fills_at_once_waits_for_its_triggers(
    trader: Trader, venue: HyperliquidVenue
) -> None:
    at = int(await mark(venue))
    answer = await trader.order(
        limit(BTC, "buy", at + 500, "0.01", tif="Ioc"),
        trigger(BTC, "sell", "tp", at + 5000, "0.01", price=at + 4900),
        trigger(BTC, "sell", "sl", at - 5000, "0.01"),
        grouping="normalTpsl",
    )
    assert "filled" in answer[0]
    assert answer[1:] == ["waitingForTrigger", "waitingForTrigger"]
    assert len(await trader.mine("openOrders")) == 2


async def test_canceling_the_order_cancels_its_bracket(trader: Trader, venue: HyperliquidVenue) -> None:
    at = int(await mark(venue))
    answer = await trader.order(
        limit(BTC, "buy", at - 5000, "0.01"), trigger(BTC, "sell", "sl", at - 9000, "0.01"), grouping="normalTpsl"
    )
    await trader.act({"type": "cancel", "cancels": [{"a": BTC, "o": answer[0]["resting"]["oid"]}]})
    assert await trader.mine("openOrders") == []
    assert set((await statuses(trader)).values()) == {"canceled"}


async def test_a_bracket_is_refused_with_its_order(trader: Trader, venue: HyperliquidVenue) -> None:
    at = int(await mark(venue))
    answer = await trader.order(
        limit(BTC, "buy", at - 5000, "100"), trigger(BTC, "sell", "sl", at - 9000, "100"), grouping="normalTpsl"
    )
    assert answer == [{"error": "Insufficient margin to place order. asset=0"}] * 2
    assert await trader.mine("openOrders") == []


@pytest.mark.parametrize("size", ["0", "0.01"])
async def test_protection_of_a_position_is_a_pair_of_which_one_survives(
    trader: Trader, venue: HyperliquidVenue, clock: Clock, size: str
) -> None:
    await buy_btc(trader, venue)
    at = int(await mark(venue))
    answer = await trader.order(
        trigger(BTC, "sell", "tp", at + 50, size),
        trigger(BTC, "sell", "sl", at - 40000, size),
        grouping="positionTpsl",
    )
    assert answer == ["waitingForTrigger", "waitingForTrigger"]
    assert all(order["isPositionTpsl"] for order in await trader.mine("frontendOpenOrders"))
    await move_until(venue, clock, lambda price: price > at + 55)
    assert await position(trader) == 0
    assert await trader.mine("openOrders") == []
    assert (await statuses(trader))["Stop Market"] == "siblingFilledCanceled"


@pytest.mark.parametrize("price", [None, "60000"])
async def test_protection_goes_with_its_position(trader: Trader, venue: HyperliquidVenue, price: str | None) -> None:
    await buy_btc(trader, venue)
    await trader.order(trigger(BTC, "sell", "sl", 60000, "0", price=price), grouping="positionTpsl")
    await trader.order(limit(BTC, "sell", 80000, "0.01", tif="Ioc", reduce=True))
    assert await trader.mine("openOrders") == []
    history = await trader.mine("historicalOrders")
    assert [entry["status"] for entry in history if entry["order"]["isPositionTpsl"]] == ["reduceOnlyCanceled"]


async def test_a_pair_of_which_one_is_a_limit_order_still_cancels_the_other(
    trader: Trader, venue: HyperliquidVenue, clock: Clock
) -> None:
    await buy_btc(trader, venue)
    at = int(await mark(venue))
    await trader.order(
        trigger(BTC, "sell", "tp", at + 50, "0.01", price=at + 10),
        trigger(BTC, "sell", "sl", at - 40000, "0.01"),
        grouping="positionTpsl",
    )
    await move_until(venue, clock, lambda price: price > at + 55)
    assert await trader.mine("openOrders") == []
    assert await position(trader) == 0
    assert (await statuses(trader))["Take Profit Limit"] == "filled"


async def test_a_stop_limit_order_waits_and_then_rests(trader: Trader, venue: HyperliquidVenue, clock: Clock) -> None:
    at = int(await mark(venue))
    (status,) = await trader.order(trigger(BTC, "buy", "sl", at + 50, "0.01", price=at - 3000, reduce=False))
    oid = status["resting"]["oid"]
    (waiting,) = await trader.mine("frontendOpenOrders")
    assert (waiting["isTrigger"], waiting["triggerCondition"]) == (True, f"Price above {at + 50}")
    await move_until(venue, clock, lambda price: price >= at + 50)
    (resting,) = await trader.mine("frontendOpenOrders")
    assert (resting["oid"], resting["isTrigger"], resting["limitPx"]) == (oid, False, f"{at - 3000}.0")


async def test_groups_that_make_no_sense_are_refused_whole(trader: Trader) -> None:
    stop, entry = trigger(BTC, "sell", "sl", 60000, "0.01"), limit(BTC, "buy", 80000, "0.01")
    for orders, grouping, text in (
        ([stop, entry], "normalTpsl", "Main order cannot be trigger order."),
        ([entry, entry], "normalTpsl", "Unexpected number of trigger orders"),
        ([entry], "positionTpsl", "Unexpected number of trigger orders"),
        ([entry, {**stop, "r": False}], "normalTpsl", "TP/SL orders must be reduce only."),
    ):
        answer = await trader.act({"type": "order", "orders": orders, "grouping": grouping})
        assert answer == {"status": "err", "response": text}
