"""The exact bytes that leave for Hyperliquid, and what its answers to them mean."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from adapters.base import Grouping
from normalization.orders import (
    Execution,
    Limit,
    Market,
    Order,
    OrderStatus,
    PostOnly,
    Side,
    Stop,
    TakeProfit,
    TimeInForce,
)
from normalization.venue_failures import (
    Reason,
    VenueDeferred,
    VenueDuplicate,
    VenueFailure,
    VenueNotReached,
    VenueRejected,
    VenueUnclear,
)
from tests.adapters.ccxt.hyperliquid_rig import HyperliquidRig
from tests.adapters.ccxt.orders_to_place import NOW_MS, submission
from tests.adapters.ccxt.recording_server import Answer, said

CLOID = "0x000102030405060708090a0b0c0d0e0f"


def replied(*statuses: Any) -> dict[str, Any]:
    return {"status": "ok", "response": {"type": "order", "data": {"statuses": list(statuses)}}}


def refused(text: str) -> dict[str, Any]:
    return {"status": "err", "response": text}


async def test_a_limit_order_leaves_as_exactly_these_bytes(hyperliquid: HyperliquidRig) -> None:
    await hyperliquid.session.place_order(submission(hyperliquid.btc, Limit(price=Decimal(50000)), size="0.010"))
    (sent,) = hyperliquid.server.sent
    head, _, tail = sent.body.partition(b',"signature":')
    assert head == (
        b'{"action":{"type":"order","orders":[{"a":0,"b":true,"p":"50000","s":"0.01","r":false,'
        b'"t":{"limit":{"tif":"Gtc"}},"c":"' + CLOID.encode() + b'"}],"grouping":"na"},"nonce":1800000000000'
    )
    assert tail.endswith(b',"expiresAfter":1800000010000}')
    assert set(sent.document) == {"action", "nonce", "signature", "expiresAfter"}


@pytest.mark.parametrize(
    ("execution", "side", "price", "kind"),
    [
        (Limit(price=Decimal("50000")), Side.BUY, "50000", {"limit": {"tif": "Gtc"}}),
        (
            Limit(price=Decimal("50000"), time_in_force=TimeInForce.IOC),
            Side.SELL,
            "50000",
            {"limit": {"tif": "Ioc"}},
        ),
        (PostOnly(price=Decimal("49999")), Side.BUY, "49999", {"limit": {"tif": "Alo"}}),
        # One percent beyond the best ask, and the best bid, rounded so that the bound is never crossed.
        (Market(max_slippage_bps=100), Side.BUY, "60601", {"limit": {"tif": "Ioc"}}),
        (Market(max_slippage_bps=100), Side.SELL, "59400", {"limit": {"tif": "Ioc"}}),
        (
            Stop(trigger_price=Decimal("49000")),
            Side.SELL,
            "44100",
            {"trigger": {"isMarket": True, "triggerPx": "49000", "tpsl": "sl"}},
        ),
        (
            TakeProfit(trigger_price=Decimal("70000")),
            Side.SELL,
            "63000",
            {"trigger": {"isMarket": True, "triggerPx": "70000", "tpsl": "tp"}},
        ),
    ],
)
async def test_every_kind_of_order_says_what_was_meant(
    hyperliquid: HyperliquidRig, execution: Execution, side: Side, price: str, kind: dict[str, Any]
) -> None:
    await hyperliquid.session.place_order(submission(hyperliquid.btc, execution, side=side, reduce_only=True))
    (action,) = [document["action"] for document in hyperliquid.actions]
    assert action == {
        "type": "order",
        "orders": [
            {"a": 0, "b": side is Side.BUY, "p": price, "s": "0.01", "r": True, "t": kind, "c": CLOID},
        ],
        "grouping": "na",
    }


async def test_fill_or_kill_is_refused_before_anything_is_sent(hyperliquid: HyperliquidRig) -> None:
    with pytest.raises(VenueRejected, match="no fill-or-kill"):
        await hyperliquid.session.place_order(
            submission(hyperliquid.btc, Limit(price=Decimal(50000), time_in_force=TimeInForce.FOK))
        )
    assert hyperliquid.server.sent == []


@pytest.mark.parametrize(
    ("size", "price"), [("0", "50000"), ("-1", "50000"), ("0.000001", "50000"), ("0.01", "50000.5"), ("0.01", "NaN")]
)
async def test_sizes_and_prices_off_their_steps_are_never_rounded_but_refused(
    hyperliquid: HyperliquidRig, size: str, price: str
) -> None:
    with pytest.raises(VenueRejected) as refusal:
        await hyperliquid.session.place_order(submission(hyperliquid.btc, Limit(price=Decimal(price)), size=size))
    assert refusal.value.reason is Reason.INVALID_ORDER
    assert hyperliquid.server.sent == []


async def test_nonces_rise_though_the_clock_stands_still(hyperliquid: HyperliquidRig) -> None:
    for _ in range(3):
        await hyperliquid.session.place_order(submission(hyperliquid.btc, PostOnly(price=Decimal(50000))))
    assert [document["nonce"] for document in hyperliquid.actions] == [NOW_MS, NOW_MS + 1, NOW_MS + 2]


async def test_an_order_for_a_sub_account_names_it(hyperliquid: HyperliquidRig) -> None:
    session = await hyperliquid.open(vault_address="0x1719884EB866cb12b2287399b15f7db5e7d775ea")
    await session.place_order(submission(hyperliquid.btc, PostOnly(price=Decimal(50000))))
    assert hyperliquid.actions[0]["vaultAddress"] == "0x1719884eb866cb12b2287399b15f7db5e7d775ea"


@pytest.mark.parametrize(
    ("status", "expected", "filled"),
    [
        ({"resting": {"oid": 7, "cloid": CLOID}}, OrderStatus.OPEN, "0"),
        ({"filled": {"totalSz": "0.01", "avgPx": "60001.5", "oid": 7}}, OrderStatus.FILLED, "0.01"),
        ({"filled": {"totalSz": "0.004", "avgPx": "60001.5", "oid": 7}}, OrderStatus.PARTIALLY_FILLED, "0.004"),
    ],
)
async def test_what_was_acknowledged_is_told(
    hyperliquid: HyperliquidRig, status: Any, expected: OrderStatus, filled: str
) -> None:
    hyperliquid.exchange = replied(status)
    order = await hyperliquid.session.place_order(submission(hyperliquid.btc, Limit(price=Decimal(61000))))
    assert (order.order_id, order.status, order.filled_size) == ("7", expected, Decimal(filled))
    assert order.average_price == (Decimal("60001.5") if order.filled_size else None)


async def test_a_market_order_that_fills_in_part_is_over(hyperliquid: HyperliquidRig) -> None:
    hyperliquid.exchange = replied({"filled": {"totalSz": "0.004", "avgPx": "60001.5", "oid": 7}})
    order = await hyperliquid.session.place_order(submission(hyperliquid.btc, Market()))
    assert (order.status, order.filled_size) == (OrderStatus.CANCELED, Decimal("0.004"))


@pytest.mark.parametrize(
    ("answer", "failure", "reason"),
    [
        (replied({"error": "Insufficient margin to place order. asset=0"}), VenueRejected, Reason.INSUFFICIENT_FUNDS),
        (
            replied({"error": "Post only order would have immediately matched, bbo was 59999@60001. asset=0"}),
            VenueRejected,
            Reason.POST_ONLY_WOULD_TAKE,
        ),
        (replied({"error": "Order price cannot be more than 95% away from the reference price"}), VenueRejected, None),
        (refused("Action already expired"), VenueRejected, Reason.REQUEST_EXPIRED),
        (refused("User or API Wallet 0x14 does not exist."), VenueRejected, Reason.AUTHENTICATION_FAILED),
        (refused("Too many cumulative requests sent (2 > 1)"), VenueDeferred, Reason.VENUE_RATE_LIMITED),
        (refused("Invalid nonce: nonce too low 1 < 2"), VenueDeferred, None),
        (refused("Invalid nonce: duplicate nonce 1"), VenueDuplicate, None),
        (refused("Something new"), VenueUnclear, Reason.OTHER),
        (replied({"error": "Something new"}), VenueUnclear, Reason.OTHER),
        (said(None, 429), VenueDeferred, Reason.VENUE_RATE_LIMITED),
        (Answer(b"Failed to deserialize the JSON body into the target type", 422), VenueRejected, None),
    ],
)
async def test_a_refusal_is_judged_by_the_venues_own_words(
    hyperliquid: HyperliquidRig, answer: Any, failure: type[VenueFailure], reason: Reason | None
) -> None:
    hyperliquid.exchange = answer
    with pytest.raises(VenueFailure) as raised:
        await hyperliquid.session.place_order(submission(hyperliquid.btc, PostOnly(price=Decimal(50000))))
    assert type(raised.value) is failure
    assert reason in (None, raised.value.reason)
    assert len(hyperliquid.server.sent) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b""),
        Answer(b"null"),
        Answer(b"<html>maintenance</html>"),
        Answer(b'{"status":"ok","response":{"type":"order","data":{"statuses":[{"resting":{"oid":7'),
        Answer(b'{"status":"ok"}'),
        Answer(b'{"status":"ok","response":{"type":"default"}}'),
        Answer(b'{"status":"ok","status":"err","response":"Action already expired"}'),
        Answer(b"[" * 100_000),
        said(replied()),
        said(replied("success")),
        said(replied({})),
        said(replied({"resting": {"oid": 7}, "error": "both"})),
        said(replied({"resting": {"oid": 7}}, {"resting": {"oid": 8}})),
        said(replied({"resting": {}})),
        said(replied({"resting": {"oid": 0}})),
        said(replied({"filled": {"totalSz": "NaN", "avgPx": "1", "oid": 7}})),
        said(replied({"filled": {"totalSz": "0.01", "avgPx": "1e400", "oid": 7}})),
        said({"error": "down"}, 500),
        said(refused("Insufficient margin to place order."), 502),
        Answer(b"Forbidden", 403),
        Answer(b"", 429),
        Answer(b"", 408),
        Answer(b"", 599),
        Answer(b"{}", 200, {"Content-Encoding": "gzip"}),
        Answer(b" " * (1 << 20) + b"{}"),
    ],
)
async def test_an_answer_that_is_not_one_leaves_the_outcome_open(hyperliquid: HyperliquidRig, answer: Answer) -> None:
    hyperliquid.exchange = answer
    with pytest.raises(VenueUnclear):
        await hyperliquid.session.place_order(submission(hyperliquid.btc, PostOnly(price=Decimal(50000))))
    assert len(hyperliquid.server.sent) == 1


async def test_a_redirect_is_not_followed(hyperliquid: HyperliquidRig) -> None:
    hyperliquid.exchange = Answer(b"", 307, {"Location": f"{hyperliquid.server.url}/elsewhere"})
    with pytest.raises(VenueUnclear, match="redirect"):
        await hyperliquid.session.place_order(submission(hyperliquid.btc, PostOnly(price=Decimal(50000))))
    assert [sent.path for sent in hyperliquid.server.sent] == ["/exchange"]


async def test_a_connection_that_breaks_after_the_request_leaves_the_outcome_open(
    hyperliquid: HyperliquidRig,
) -> None:
    hyperliquid.server.hang_up = True
    with pytest.raises(VenueUnclear):
        await hyperliquid.session.place_order(submission(hyperliquid.btc, PostOnly(price=Decimal(50000))))
    assert len(hyperliquid.server.sent) == 1


async def test_a_market_order_without_a_price_to_start_from_was_not_sent(hyperliquid: HyperliquidRig) -> None:
    hyperliquid.infos["l2Book"] = Answer(b"", 500)
    with pytest.raises(VenueNotReached):
        await hyperliquid.session.place_order(submission(hyperliquid.btc, Market()))
    assert hyperliquid.actions == []


async def test_each_leg_of_a_batch_has_its_own_outcome_in_order(hyperliquid: HyperliquidRig) -> None:
    hyperliquid.exchange = replied(
        {"resting": {"oid": 1}},
        {"error": "Insufficient margin to place order. asset=1"},
        {"filled": {"totalSz": "1", "avgPx": "3000", "oid": 3}},
    )
    eth = hyperliquid.markets.resolve("ETH")
    legs = [
        submission(hyperliquid.btc, PostOnly(price=Decimal(50000)), client_id="0x" + "01" * 16),
        submission(eth, PostOnly(price=Decimal(3000)), size="1000", client_id="0x" + "02" * 16),
        submission(eth, Limit(price=Decimal(3000)), size="1", client_id="0x" + "03" * 16),
    ]
    first, second, third = await hyperliquid.session.place_orders(legs, Grouping.NONE)
    assert isinstance(first, Order)
    assert (first.order_id, first.symbol) == ("1", "BTC-USD-PERP")
    assert isinstance(second, VenueRejected)
    assert second.reason is Reason.INSUFFICIENT_FUNDS
    assert isinstance(third, Order)
    assert (third.order_id, third.status) == ("3", OrderStatus.FILLED)
    (action,) = [document["action"] for document in hyperliquid.actions]
    assert [order["c"] for order in action["orders"]] == [leg.client_id for leg in legs]


async def test_protection_hangs_on_the_position_and_is_identified_by_our_ids(hyperliquid: HyperliquidRig) -> None:
    hyperliquid.exchange = replied("waitingForTrigger", "waitingForTrigger")
    hyperliquid.infos["orderStatus"] = lambda query: {
        "status": "order",
        "order": {
            "order": {
                "coin": "BTC",
                "side": "A",
                "limitPx": "44100.0",
                "sz": "0.01",
                "oid": 90 + int(query["oid"][-1]),
                "timestamp": NOW_MS,
                "triggerCondition": "Price below 49000",
                "isTrigger": True,
                "triggerPx": "49000.0",
                "children": [],
                "isPositionTpsl": True,
                "reduceOnly": True,
                "orderType": "Stop Market",
                "origSz": "0.01",
                "tif": None,
                "cloid": query["oid"],
            },
            "status": "open",
            "statusTimestamp": NOW_MS,
        },
    }
    executions: list[Execution] = [TakeProfit(trigger_price=Decimal(70000)), Stop(trigger_price=Decimal(49000))]
    legs = [
        submission(
            hyperliquid.btc,
            execution,
            side=Side.SELL,
            reduce_only=True,
            client_id="0x" + f"{number}".zfill(32),
        )
        for number, execution in enumerate(executions)
    ]
    outcomes = await hyperliquid.session.place_orders(legs, Grouping.ONE_CANCELS_OTHER)
    assert [(o.order_id, o.status) for o in outcomes if isinstance(o, Order)] == [
        ("90", OrderStatus.PENDING),
        ("91", OrderStatus.PENDING),
    ]
    assert hyperliquid.actions[0]["action"]["grouping"] == "positionTpsl"


async def test_protection_that_cannot_be_found_again_is_left_open(hyperliquid: HyperliquidRig) -> None:
    hyperliquid.exchange = replied("waitingForTrigger")
    hyperliquid.infos["orderStatus"] = {"status": "unknownOid"}
    leg = submission(hyperliquid.btc, Stop(trigger_price=Decimal(49000)), side=Side.SELL)
    (outcome,) = await hyperliquid.session.place_orders([leg], Grouping.ONE_CANCELS_OTHER)
    assert isinstance(outcome, VenueUnclear)


async def test_cancels_name_the_order_by_either_id(hyperliquid: HyperliquidRig) -> None:
    hyperliquid.exchange = {"status": "ok", "response": {"type": "cancel", "data": {"statuses": ["success"]}}}
    await hyperliquid.session.cancel_order("77738308", hyperliquid.btc)
    await hyperliquid.session.cancel_by_client_id(CLOID, hyperliquid.btc)
    assert [document["action"] for document in hyperliquid.actions] == [
        {"type": "cancel", "cancels": [{"a": 0, "o": 77738308}]},
        {"type": "cancelByCloid", "cancels": [{"asset": 0, "cloid": CLOID}]},
    ]


async def test_canceling_what_is_gone_is_refused(hyperliquid: HyperliquidRig) -> None:
    text = "Order was never placed, already canceled, or filled. asset=0"
    hyperliquid.exchange = {"status": "ok", "response": {"type": "cancel", "data": {"statuses": [{"error": text}]}}}
    with pytest.raises(VenueRejected) as refusal:
        await hyperliquid.session.cancel_order("77738308", hyperliquid.btc)
    assert refusal.value.reason is Reason.ORDER_NOT_FOUND


async def test_leverage_is_changed_without_changing_the_margin_mode(hyperliquid: HyperliquidRig) -> None:
    hyperliquid.infos["activeAssetData"] = {"leverage": {"type": "isolated", "value": 3, "rawUsd": "0.0"}}
    hyperliquid.exchange = {"status": "ok", "response": {"type": "default"}}
    await hyperliquid.session.set_leverage(hyperliquid.btc, 5)
    assert hyperliquid.actions[0]["action"] == {
        "type": "updateLeverage",
        "asset": 0,
        "isCross": False,
        "leverage": 5,
    }
