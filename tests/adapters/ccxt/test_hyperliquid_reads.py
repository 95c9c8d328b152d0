"""What Hyperliquid tells of markets, accounts and orders, in our words."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from normalization.errors import InvalidParameter, UnknownMarket
from normalization.orders import OrderStatus, OrderType, PositionSide, Side
from normalization.venue_failures import Reason, VenueRejected, VenueUnclear
from tests.adapters.ccxt.hyperliquid_rig import ACCOUNT, AGENT, CONTEXT, META, VAULT, HyperliquidRig
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recording_server import Answer

CLOID = "0x000102030405060708090a0b0c0d0e0f"
REPORT: dict[str, Any] = {
    "coin": "BTC",
    "side": "B",
    "limitPx": "50000.0",
    "sz": "0.01",
    "oid": 77738308,
    "timestamp": NOW_MS - 5,
    "triggerCondition": "N/A",
    "isTrigger": False,
    "triggerPx": "0.0",
    "children": [],
    "isPositionTpsl": False,
    "reduceOnly": False,
    "orderType": "Limit",
    "origSz": "0.01",
    "tif": "Gtc",
    "cloid": CLOID,
}
STATE: dict[str, Any] = {
    "marginSummary": {
        "accountValue": "38252.7",
        "totalNtlPos": "377667.0",
        "totalRawUsd": "-339414.3",
        "totalMarginUsed": "37766.7",
    },
    "crossMarginSummary": {},
    "crossMaintenanceMarginUsed": "4720.8375",
    "withdrawable": "486.0",
    "assetPositions": [
        {
            "type": "oneWay",
            "position": {
                "coin": "BTC",
                "szi": "-4.5",
                "leverage": {"type": "cross", "value": 10},
                "entryPx": "83000.0",
                "positionValue": "377667.0",
                "unrealizedPnl": "-4167.0",
                "returnOnEquity": "-0.1",
                "liquidationPx": "91501.80279",
                "marginUsed": "37766.7",
                "maxLeverage": 40,
                "cumFunding": {},
            },
        },
        {
            "type": "oneWay",
            "position": {
                "coin": "builder:X",
                "szi": "1.0",
                "leverage": {"type": "cross", "value": 1},
                "entryPx": "1.0",
                "positionValue": "1.0",
                "unrealizedPnl": "0.0",
                "liquidationPx": None,
            },
        },
    ],
    "time": NOW_MS,
}


def reported(status: str, **changes: Any) -> dict[str, Any]:
    order = {"order": {**REPORT, **changes}, "status": status, "statusTimestamp": NOW_MS}
    return {"status": "order", "order": order}


async def test_the_steps_of_a_market_follow_from_its_size_decimals(hyperliquid: HyperliquidRig) -> None:
    btc, pepe = hyperliquid.btc, hyperliquid.markets.resolve("1000PEPE")
    assert (btc.symbol, btc.venue_symbol, btc.tick_size, btc.lot_size) == (
        "BTC-USD-PERP",
        "BTC",
        Decimal("0.1"),
        Decimal("0.00001"),
    )
    assert (pepe.symbol, pepe.contract_multiplier, pepe.tick_size) == (
        "kPEPE-USD-PERP",
        Decimal(1000),
        Decimal("0.000001"),
    )
    with pytest.raises(UnknownMarket):
        hyperliquid.markets.resolve("MATIC")


@pytest.mark.parametrize(
    ("market", "price", "nearest"),
    [
        ("BTC", "123456.5", "123456.0"),
        ("BTC", "12345.1", "12345.0"),
        ("ETH", "3500.12", "3500.10"),
        ("kPEPE", "0.0123456", "0.012346"),
        ("kPEPE", "1.23456", "1.234600"),
    ],
)
async def test_a_price_of_six_significant_digits_is_refused_with_the_nearest_one(
    hyperliquid: HyperliquidRig, market: str, price: str, nearest: str
) -> None:
    instrument = hyperliquid.markets.resolve(market)
    with pytest.raises(InvalidParameter) as refusal:
        instrument.check_price(Decimal(price))
    assert refusal.value.details is not None
    assert refusal.value.details["nearest"] == nearest
    instrument.check_price(Decimal(nearest))
    instrument.check_price(Decimal("123456"))


async def test_the_book_is_exact_and_no_deeper_than_asked(hyperliquid: HyperliquidRig) -> None:
    book = await hyperliquid.session.get_orderbook(hyperliquid.btc, 1)
    assert book.bids == ((Decimal("59999.0"), Decimal("1.5")),)
    assert book.asks == ((Decimal("60001.0"), Decimal("0.5")),)


async def test_the_book_of_another_market_is_not_taken_for_this_one(hyperliquid: HyperliquidRig) -> None:
    with pytest.raises(VenueUnclear):
        await hyperliquid.session.get_orderbook(hyperliquid.markets.resolve("ETH"), 1)


async def test_mark_funding_and_interest_come_from_one_document(hyperliquid: HyperliquidRig) -> None:
    mark = await hyperliquid.session.get_mark_price(hyperliquid.btc)
    assert (mark.mark_price, mark.index_price) == (Decimal("60010.0"), Decimal("60000.5"))
    funding = await hyperliquid.session.get_funding_rate(hyperliquid.btc)
    assert (funding.rate, funding.next_funding_ms) == (Decimal("0.0000125"), NOW_MS + 3_600_000)
    summaries = await hyperliquid.session.get_markets_with_funding()
    assert [summary.symbol for summary in summaries] == ["BTC-USD-PERP", "ETH-USD-PERP", "kPEPE-USD-PERP"]
    assert summaries[0].open_interest == Decimal("688.11") * 60010


@pytest.mark.parametrize("field", ["markPx", "oraclePx", "funding", "openInterest"])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e400", None])
async def test_a_number_that_is_none_is_not_passed_on(
    hyperliquid: HyperliquidRig, field: str, value: str | None
) -> None:
    hyperliquid.infos["metaAndAssetCtxs"] = [META, [{**CONTEXT, field: value}] * 4]
    with pytest.raises(VenueUnclear):
        await hyperliquid.session.get_markets_with_funding()


async def test_candles_cover_the_intervals_asked_for(hyperliquid: HyperliquidRig) -> None:
    def candles(query: Any) -> Any:
        start = query["req"]["startTime"]
        numbers = {"T": 0, "s": "BTC", "i": "1h", "n": 1}
        return [
            {"t": start + hour * 3_600_000, "o": "1.0", "c": "2.5", "h": "3.0", "l": "0.5", "v": "0.0", **numbers}
            for hour in range(4)
        ]

    hyperliquid.infos["candleSnapshot"] = candles
    found = await hyperliquid.session.get_candles(hyperliquid.btc, 60, 3)
    assert [candle.opened_at_ms for candle in found] == [NOW_MS + h * 3_600_000 for h in (-1, 0, 1)]
    assert (found[0].open, found[0].high, found[0].low, found[0].close) == (
        Decimal(1),
        Decimal(3),
        Decimal("0.5"),
        Decimal("2.5"),
    )
    (sent,) = hyperliquid.server.sent
    assert sent.document == {
        "type": "candleSnapshot",
        "req": {"coin": "BTC", "interval": "1h", "startTime": NOW_MS - 2 * 3_600_000, "endTime": NOW_MS},
    }


async def test_a_position_is_told_with_its_mark_price(hyperliquid: HyperliquidRig) -> None:
    hyperliquid.infos["clearinghouseState"] = STATE
    (position,) = await hyperliquid.session.get_positions(None)
    assert (position.symbol, position.side, position.size) == ("BTC-USD-PERP", PositionSide.SHORT, Decimal("4.5"))
    assert (position.mark_price, position.leverage) == (Decimal("83926"), 10)
    assert position.liquidation_price == Decimal("91501.80279")
    assert await hyperliquid.session.get_positions(hyperliquid.markets.resolve("ETH")) == []
    balance = await hyperliquid.session.get_balance()
    assert (balance.equity, balance.free_collateral) == (Decimal("38252.7"), Decimal("486.0"))


@pytest.mark.parametrize("answer", [{}, [], None, {"assetPositions": []}, Answer(b"<html>")])
async def test_an_answer_without_positions_is_not_an_account_without_any(
    hyperliquid: HyperliquidRig, answer: Any
) -> None:
    hyperliquid.infos["clearinghouseState"] = answer
    with pytest.raises(VenueUnclear):
        await hyperliquid.session.get_positions(None)


async def test_open_orders_leave_out_markets_that_are_not_listed(hyperliquid: HyperliquidRig) -> None:
    stop = {"isTrigger": True, "triggerPx": "49000.0", "orderType": "Stop Market", "tif": None, "side": "A"}
    hyperliquid.infos["frontendOpenOrders"] = [
        {**REPORT, "sz": "0.004"},
        {**REPORT, **stop, "oid": 2},
        {**REPORT, "coin": "@107"},
    ]
    limit, trigger = await hyperliquid.session.get_open_orders(hyperliquid.btc)
    assert (limit.status, limit.filled_size, limit.price) == (
        OrderStatus.PARTIALLY_FILLED,
        Decimal("0.006"),
        Decimal(50000),
    )
    assert (trigger.status, trigger.type, trigger.side) == (OrderStatus.PENDING, OrderType.STOP, Side.SELL)
    assert (trigger.price, trigger.trigger_price) == (None, Decimal(49000))


@pytest.mark.parametrize(
    ("status", "remaining", "expected"),
    [
        ("open", "0.01", OrderStatus.OPEN),
        ("open", "0.005", OrderStatus.PARTIALLY_FILLED),
        ("triggered", "0.01", OrderStatus.OPEN),
        ("canceled", "0.01", OrderStatus.CANCELED),
        ("marginCanceled", "0.005", OrderStatus.CANCELED),
        ("siblingFilledCanceled", "0.01", OrderStatus.CANCELED),
        ("scheduledCancel", "0.01", OrderStatus.CANCELED),
        ("iocCancelRejected", "0.01", OrderStatus.REJECTED),
        ("perpMarginRejected", "0.005", OrderStatus.CANCELED),
    ],
)
async def test_an_order_is_found_by_our_id_whatever_became_of_it(
    hyperliquid: HyperliquidRig, status: str, remaining: str, expected: OrderStatus
) -> None:
    hyperliquid.infos |= {"orderStatus": reported(status, sz=remaining), "userFillsByTime": []}
    order = await hyperliquid.session.find_order(CLOID, hyperliquid.btc)
    assert order is not None
    assert (order.status, order.client_id, order.order_id) == (expected, CLOID, "77738308")
    assert hyperliquid.server.sent[0].document == {"type": "orderStatus", "user": ACCOUNT, "oid": CLOID}


async def test_a_filled_order_is_told_with_its_average_price_and_fees(hyperliquid: HyperliquidRig) -> None:
    fill = {"coin": "BTC", "side": "B", "time": NOW_MS, "oid": 77738308, "feeToken": "USDC", "tid": 1}
    hyperliquid.infos |= {
        "orderStatus": reported("filled", sz="0.0"),
        "userFillsByTime": [
            {**fill, "px": "50000.0", "sz": "0.004", "fee": "0.09"},
            {**fill, "px": "50010.0", "sz": "0.006", "fee": "-0.01"},
            {**fill, "px": "1.0", "sz": "9.0", "fee": "1.0", "oid": 3},
        ],
    }
    order = await hyperliquid.session.get_order("77738308", None)
    assert (order.status, order.filled_size) == (OrderStatus.FILLED, Decimal("0.01"))
    assert (order.average_price, order.fee) == (Decimal(50006), Decimal("0.08"))


async def test_only_the_venue_can_say_that_there_is_no_such_order(hyperliquid: HyperliquidRig) -> None:
    hyperliquid.infos["orderStatus"] = {"status": "unknownOid"}
    assert await hyperliquid.session.find_order(CLOID, hyperliquid.btc) is None
    with pytest.raises(VenueRejected) as refusal:
        await hyperliquid.session.get_order("1", None)
    assert refusal.value.reason is Reason.ORDER_NOT_FOUND


@pytest.mark.parametrize(
    "answer", [{}, {"status": "order"}, reported("somethingNew"), Answer(b"", 500), Answer(b"null", 404)]
)
async def test_a_lookup_without_an_answer_is_not_an_order_that_is_not_there(
    hyperliquid: HyperliquidRig, answer: Any
) -> None:
    hyperliquid.infos["orderStatus"] = answer
    with pytest.raises(VenueUnclear):
        await hyperliquid.session.find_order(CLOID, hyperliquid.btc)


async def test_an_id_that_the_venue_cannot_have_is_not_asked_for(hyperliquid: HyperliquidRig) -> None:
    with pytest.raises(VenueRejected):
        await hyperliquid.session.get_order("ord_nope", hyperliquid.btc)
    assert hyperliquid.server.sent == []


async def test_fills_of_one_market_come_newest_first(hyperliquid: HyperliquidRig) -> None:
    fill = {"px": "50000.0", "sz": "0.004", "side": "A", "fee": "0.09", "oid": 5}
    hyperliquid.infos["userFills"] = [
        {**fill, "coin": "BTC", "time": 1, "tid": 11},
        {**fill, "coin": "ETH", "time": 2, "tid": 12},
        {**fill, "coin": "BTC", "time": 3, "tid": 13},
    ]
    assert [f.fill_id for f in await hyperliquid.session.get_fills(hyperliquid.btc, 10)] == ["13", "11"]


async def test_fees_are_in_basis_points(hyperliquid: HyperliquidRig) -> None:
    hyperliquid.infos["userFees"] = {"userCrossRate": "0.00045", "userAddRate": "-0.00002"}
    fees = await hyperliquid.session.get_fees(hyperliquid.btc)
    assert (fees.taker_bps, fees.maker_bps) == (Decimal("4.5"), Decimal("-0.2"))


async def test_an_approved_api_wallet_is_a_good_credential(hyperliquid: HyperliquidRig) -> None:
    hyperliquid.infos |= {
        "userRole": {"role": "agent", "data": {"user": ACCOUNT}},
        "extraAgents": [{"name": "bot", "address": AGENT, "validUntil": NOW_MS + 2 * 86_400_000}],
        "userAbstraction": "unifiedAccount",
    }
    expiring, collateral = await hyperliquid.session.test()
    assert "2 days" in expiring
    assert "spot" in collateral


@pytest.mark.parametrize("role", [{"role": "missing"}, {"role": "agent", "data": {"user": VAULT}}, {"role": "user"}])
async def test_a_key_that_is_no_api_wallet_of_the_account_is_refused(
    hyperliquid: HyperliquidRig, role: dict[str, Any]
) -> None:
    hyperliquid.infos["userRole"] = role
    with pytest.raises(VenueRejected) as refusal:
        await hyperliquid.session.test()
    assert refusal.value.reason is Reason.AUTHENTICATION_FAILED


async def test_the_accounts_own_key_is_warned_about(hyperliquid: HyperliquidRig) -> None:
    hyperliquid.infos["userRole"] = {"role": "user"}
    session = await hyperliquid.open(account_address=AGENT)
    (warning,) = await session.test()
    assert "withdraw" in warning
