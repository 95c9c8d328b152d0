from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from sandbox.hyperliquid import HyperliquidVenue
from tests.support.hyperliquid_trader import Clock, Trader, limit, mark, move_until, trigger, wallet_number

BTC, ETH = 0, 1
CLOID = "0x" + "ab" * 16


async def error_of(trader: Trader, action: dict[str, Any], **how: Any) -> str:
    answer = await trader.act(action, **how)
    assert answer["status"] == "err"
    text: str = answer["response"]
    return text


async def test_an_order_rests_under_its_number_and_its_cloid(trader: Trader) -> None:
    (status,) = await trader.order(limit(BTC, "buy", 80000, "0.01", cloid=CLOID))
    oid = status["resting"]["oid"]
    assert status == {"resting": {"oid": oid, "cloid": CLOID}}
    for key in (oid, CLOID):
        found = await trader.mine("orderStatus", oid=key)
        assert (found["status"], found["order"]["status"], found["order"]["order"]["oid"]) == ("order", "open", oid)
    (shown,) = await trader.mine("openOrders")
    assert {k: shown[k] for k in ("coin", "side", "limitPx", "sz", "origSz", "cloid")} == {
        "coin": "BTC",
        "side": "B",
        "limitPx": "80000.0",
        "sz": "0.01",
        "origSz": "0.01",
        "cloid": CLOID,
    }
    assert "reduceOnly" not in shown


async def test_an_ioc_order_fills_and_leaves_a_position_a_fill_and_a_fee(
    trader: Trader, venue: HyperliquidVenue
) -> None:
    price = int(await mark(venue) * Decimal("1.02"))
    (status,) = await trader.order(limit(BTC, "buy", price, "0.5", tif="Ioc"))
    assert status["filled"]["totalSz"] == "0.5"
    (fill,) = await trader.mine("userFills")
    assert (fill["dir"], fill["crossed"], fill["startPosition"]) == ("Open Long", True, "0.0")
    assert fill["oid"] == status["filled"]["oid"]
    assert Decimal(fill["fee"]) == Decimal(fill["px"]) * Decimal("0.5") * Decimal("0.0005")
    state = await trader.mine("clearinghouseState")
    (position,) = state["assetPositions"]
    assert (position["position"]["coin"], position["position"]["szi"]) == ("BTC", "0.5")
    summary = state["marginSummary"]
    assert Decimal(summary["totalRawUsd"]) == Decimal(summary["accountValue"]) - Decimal(summary["totalNtlPos"])


async def test_each_leg_of_a_batch_has_its_own_status(trader: Trader) -> None:
    statuses = await trader.order(
        limit(BTC, "buy", 80000, "0.01"),
        limit(BTC, "buy", 80000, "100"),
        limit(BTC, "buy", "80000.5", "0.01"),
        limit(ETH, "sell", 4000, "1", tif="Alo"),
        limit(ETH, "sell", 4000, "1", tif="Ioc"),
        limit(777, "buy", 1, 100),
    )
    assert "oid" in statuses[0]["resting"]
    assert statuses[1] == {"error": "Insufficient margin to place order. asset=0"}
    assert statuses[2] == {"error": "Price must be divisible by tick size. asset=0"}
    assert "oid" in statuses[3]["resting"]
    assert statuses[4] == {"error": "Order could not immediately match against any resting orders. asset=1"}
    assert statuses[5] == {"error": "Invalid asset 777 asset=777"}


@pytest.mark.parametrize(
    ("order", "text"),
    [
        (limit(BTC, "buy", 80000, "0.0001"), "Order must have minimum value of $10."),
        (limit(BTC, "buy", 80000, "0"), "Order has zero size."),
        (limit(BTC, "buy", 80000, "0.000001"), "Order has invalid size."),
        (limit(BTC, "buy", 80000, "-1"), "Order has invalid size."),
        (limit(BTC, "buy", 0, "0.01"), "Order has invalid price."),
        (limit(BTC, "sell", 99000, "0.01", reduce=True), "Reduce only order would increase position."),
        (limit(BTC, "buy", 200000, "0.01"), "Order price cannot be more than 80% away from the reference price"),
        (trigger(BTC, "sell", "sl", 200000, "0.01"), "Invalid TP/SL price."),
        (trigger(BTC, "sell", "sl", 200000, "0.01", price=190000), "Invalid TP/SL price."),
    ],
)
async def test_a_bad_order_is_refused_in_the_words_of_the_venue(
    trader: Trader, order: dict[str, Any], text: str
) -> None:
    assert await trader.order(order) == [{"error": f"{text} asset=0"}]


async def test_a_post_only_order_that_would_take_is_refused_with_the_best_prices(
    trader: Trader, venue: HyperliquidVenue
) -> None:
    book = await trader.info("l2Book", coin="BTC")
    bid, ask = (side[0]["px"].removesuffix(".0") for side in book["levels"])
    (status,) = await trader.order(limit(BTC, "buy", ask, "0.01", tif="Alo", cloid=CLOID))
    assert status["error"] == f"Post only order would have immediately matched, bbo was {bid}@{ask}. asset=0"
    found = await trader.mine("orderStatus", oid=CLOID)
    assert found["order"]["status"] == "badAloPxRejected"


async def test_a_cloid_names_one_order_for_ever_unless_it_was_refused(trader: Trader) -> None:
    refused = limit(BTC, "buy", 80000, "100", cloid=CLOID)
    accepted = limit(BTC, "buy", 80000, "0.01", cloid=CLOID)
    (first,) = await trader.order(refused)
    (second,) = await trader.order(accepted)
    assert ("error" in first, "resting" in second) == (True, True)
    assert await trader.order(accepted) == [{"error": "Duplicate cloid asset=0"}]
    await trader.act({"type": "cancelByCloid", "cancels": [{"asset": BTC, "cloid": CLOID}]})
    assert await trader.order(accepted, accepted) == [{"error": "Duplicate cloid asset=0"}] * 2
    assert (await trader.mine("orderStatus", oid=CLOID))["order"]["status"] == "canceled"


async def test_twenty_at_once_with_one_cloid_place_one_order(trader: Trader) -> None:
    order = limit(BTC, "buy", 80000, "0.01", cloid=CLOID)
    answers = await asyncio.gather(*(trader.order(order) for _ in range(20)))
    assert sum("resting" in status for (status,) in answers) == 1
    assert len(await trader.mine("openOrders")) == 1


async def test_cancels_tell_per_order_what_became_of_it(trader: Trader) -> None:
    (status,) = await trader.order(limit(BTC, "buy", 80000, "0.01"))
    oid = status["resting"]["oid"]
    cancels = [{"a": ETH, "o": oid}, {"a": BTC, "o": oid}, {"a": BTC, "o": oid}, {"a": BTC, "o": 5}]
    answer = await trader.act({"type": "cancel", "cancels": cancels})
    gone = {"error": "Order was never placed, already canceled, or filled."}
    assert answer["response"] == {"type": "cancel", "data": {"statuses": [gone, "success", gone, gone]}}
    assert await trader.mine("openOrders") == []


async def test_a_modified_order_has_a_new_number_and_may_keep_its_cloid(trader: Trader) -> None:
    (status,) = await trader.order(limit(BTC, "buy", 80000, "0.01", cloid=CLOID))
    change = {"oid": status["resting"]["oid"], "order": limit(BTC, "buy", 81000, "0.02", cloid=CLOID)}
    answer = await trader.act({"type": "batchModify", "modifies": [change, {**change, "oid": 5}]})
    statuses = answer["response"]["data"]["statuses"]
    assert statuses[1] == {"error": "Cannot modify canceled or filled order."}
    assert statuses[0]["resting"]["oid"] != status["resting"]["oid"]
    (shown,) = await trader.mine("openOrders")
    assert (shown["limitPx"], shown["cloid"], shown["oid"]) == ("81000.0", CLOID, statuses[0]["resting"]["oid"])
    assert await trader.act({"type": "modify", **change, "oid": CLOID}) == {
        "status": "ok",
        "response": {"type": "default"},
    }


async def test_a_resting_order_fills_when_the_market_comes_to_it(
    trader: Trader, venue: HyperliquidVenue, clock: Clock
) -> None:
    price = int(await mark(venue)) - 60
    await trader.order(limit(BTC, "buy", price, "0.001", cloid=CLOID, tif="Alo"))
    await move_until(venue, clock, lambda at: at < price - 10)
    found = await trader.mine("orderStatus", oid=CLOID)
    assert (found["order"]["status"], found["order"]["order"]["sz"]) == ("filled", "0.0")
    (fill,) = await trader.mine("userFillsByTime", startTime=0)
    assert (fill["crossed"], fill["px"], fill["cloid"]) == (False, f"{price}.0", CLOID)


async def test_leverage_is_whole_and_at_most_what_the_market_has(trader: Trader) -> None:
    update = {"type": "updateLeverage", "asset": BTC, "isCross": True, "leverage": 25}
    assert (await trader.act(update))["status"] == "ok"
    assert (await trader.mine("activeAssetData", coin="BTC"))["leverage"] == {"type": "cross", "value": 25}
    assert await error_of(trader, {**update, "leverage": 51}) == "Invalid leverage value"
    assert await error_of(trader, {**update, "leverage": 0}) == "Invalid leverage value"
    assert await error_of(trader, {**update, "isCross": False}) == "Isolated margin is not allowed for this asset."


async def test_a_price_finer_than_the_books_rests_where_it_is_no_worse(trader: Trader) -> None:
    meta = await trader.info("meta")
    sol = [entry["name"] for entry in meta["universe"]].index("SOL")
    (status,) = await trader.order(limit(sol, "buy", "99.123", "1"))
    shown = await trader.mine("orderStatus", oid=status["resting"]["oid"])
    assert shown["order"]["order"]["limitPx"] == "99.123"


async def test_an_account_sees_only_its_own(
    trader: Trader, venue: HyperliquidVenue, http: aiohttp.ClientSession, clock: Clock
) -> None:
    (status,) = await trader.order(limit(BTC, "buy", 80000, "0.01", cloid=CLOID))
    other = Trader(http, trader.url, clock, wallet_number(2), wallet_number(2).address)
    await venue.fund(other.account)
    oid = status["resting"]["oid"]
    assert await other.mine("orderStatus", oid=oid) == {"status": "unknownOid"}
    assert await other.mine("orderStatus", oid=CLOID) == {"status": "unknownOid"}
    answer = await other.act({"type": "cancel", "cancels": [{"a": BTC, "o": oid}]})
    assert "error" in answer["response"]["data"]["statuses"][0]
    assert len(await trader.mine("openOrders")) == 1
    # The same cloid is another order there.
    assert "resting" in (await other.order(limit(BTC, "buy", 80000, "0.01", cloid=CLOID)))[0]
