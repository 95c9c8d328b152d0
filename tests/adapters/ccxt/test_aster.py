"""Aster through the bridge: what ccxt is made to send, and how strictly its readings are taken."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest

from adapters.base import Grouping
from adapters.ccxt_venues.aster import ASTER, QUIRKS
from adapters.ccxt_venues.bridge.library import exchange_class, keccak256
from normalization.errors import UnsupportedOperation
from normalization.orders import (
    Execution,
    Limit,
    Market,
    Order,
    OrderStatus,
    OrderType,
    PositionSide,
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
    VenueRejected,
    VenueUnclear,
)
from tests.adapters.ccxt.bridge_rig import BridgedRig, bridged_rig, path_of
from tests.adapters.ccxt.hyperliquid_rig import ACCOUNT, AGENT, KEY
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recorded.aster import MARKET, is_signed
from tests.adapters.ccxt.recording_server import Answer, said

CLIENT_ID = "000102030405060708090a0b0c0d0e0f"
ORDER: dict[str, Any] = {
    "orderId": 17338441758,
    "symbol": "BTCUSDT",
    "status": "NEW",
    "clientOrderId": CLIENT_ID,
    "price": "50000",
    "avgPrice": "0.00000",
    "origQty": "0.010",
    "executedQty": "0",
    "cumQuote": "0",
    "timeInForce": "GTC",
    "type": "LIMIT",
    "reduceOnly": False,
    "side": "BUY",
    "positionSide": "BOTH",
    "stopPrice": "0",
    "origType": "LIMIT",
    "time": NOW_MS,
    "updateTime": NOW_MS,
}


REPLIES: dict[str, Any] = {
    "GET /fapi/v3/exchangeInfo": {"symbols": [MARKET]},
    "GET /api/v3/exchangeInfo": {"symbols": []},
    "POST /fapi/v3/order": ORDER,
    "GET /fapi/v3/depth": {"bids": [["59999.90", "1.5"]], "asks": [["60000.10", "0.25"]], "T": 1, "E": 1},
}


def placed(aster: BridgedRig) -> list[dict[str, str]]:
    return [dict(parse_qsl(sent.body.decode())) for sent in aster.sent_to("POST", "/fapi/v3/order")]


@pytest.fixture
async def aster(tmp_path: Path) -> AsyncIterator[BridgedRig]:
    async with bridged_rig(ASTER, {"account_address": ACCOUNT, "private_key": KEY}, REPLIES, tmp_path) as rig:
        yield rig


async def test_the_steps_of_a_market_are_exact(aster: BridgedRig) -> None:
    assert (aster.btc.symbol, aster.btc.venue_symbol) == ("BTC-USDT-PERP", "BTCUSDT")
    assert (aster.btc.tick_size, aster.btc.lot_size, aster.btc.min_notional) == (
        Decimal("0.1"),
        Decimal("0.001"),
        Decimal(5),
    )


async def test_a_limit_order_leaves_as_exactly_these_bytes_signed_by_the_api_wallet(aster: BridgedRig) -> None:
    await aster.session.place_order(aster.order(Limit(price=Decimal("50000.0")), size="0.010"))
    (sent,) = aster.server.sent
    text, _, _ = sent.body.decode().rpartition("&signature=")
    nonce, _, rest = text.partition("&user=")
    assert int(nonce.removeprefix("nonce=")) >= NOW_MS * 1000
    assert rest == (
        f"{ACCOUNT}&signer={AGENT}&symbol=BTCUSDT&side=BUY&newClientOrderId={CLIENT_ID}"
        "&type=LIMIT&quantity=0.01&price=50000&timeInForce=GTC"
    )
    assert is_signed(sent.body.decode())


@pytest.mark.parametrize(
    ("execution", "side", "expected"),
    [
        (PostOnly(price=Decimal(50000)), Side.BUY, {"type": "LIMIT", "timeInForce": "GTX", "price": "50000"}),
        (
            Limit(price=Decimal(50000), time_in_force=TimeInForce.FOK),
            Side.BUY,
            {"type": "LIMIT", "timeInForce": "FOK", "price": "50000"},
        ),
        (Market(max_slippage_bps=100), Side.BUY, {"type": "LIMIT", "timeInForce": "IOC", "price": "60600.1"}),
        (Market(max_slippage_bps=100), Side.SELL, {"type": "LIMIT", "timeInForce": "IOC", "price": "59400"}),
        (
            Stop(trigger_price=Decimal(49000)),
            Side.SELL,
            {"type": "STOP_MARKET", "stopPrice": "49000", "workingType": "MARK_PRICE"},
        ),
        (
            TakeProfit(trigger_price=Decimal(70000)),
            Side.SELL,
            {"type": "TAKE_PROFIT_MARKET", "stopPrice": "70000", "workingType": "MARK_PRICE"},
        ),
    ],
)
async def test_every_kind_of_order_says_what_was_meant(
    aster: BridgedRig, execution: Execution, side: Side, expected: dict[str, str]
) -> None:
    aster.replies["POST /fapi/v3/order"] = {**ORDER, "side": side}
    await aster.session.place_order(aster.order(execution, side=side, reduce_only=True))
    (sent,) = placed(aster)
    for signed in ("nonce", "user", "signer", "signature"):
        del sent[signed]
    assert sent == {
        "symbol": "BTCUSDT",
        "side": side,
        "newClientOrderId": CLIENT_ID,
        "quantity": "0.01",
        "reduceOnly": "true",
        **expected,
    }


async def test_nobody_is_paid_a_builder_fee_and_none_is_approved(aster: BridgedRig) -> None:
    for _ in range(2):
        await aster.session.place_order(aster.order(PostOnly(price=Decimal(50000))))
    assert aster.asked() == [("POST", "/fapi/v3/order")] * 2
    assert all("builder" not in sent and "feeRate" not in sent for sent in placed(aster))


async def test_no_two_requests_share_a_nonce(aster: BridgedRig) -> None:
    for _ in range(5):
        await aster.session.place_order(aster.order(PostOnly(price=Decimal(50000))))
    nonces = [int(sent["nonce"]) for sent in placed(aster)]
    assert nonces == sorted(set(nonces))


@pytest.mark.parametrize(
    ("answer", "failure", "reason"),
    [
        (said({"code": -2019, "msg": "Margin is insufficient."}, 400), VenueRejected, Reason.INSUFFICIENT_FUNDS),
        (said({"code": -5022, "msg": "Post only"}, 400), VenueRejected, Reason.POST_ONLY_WOULD_TAKE),
        (said({"code": -4116, "msg": "ClientOrderId is duplicated"}, 400), VenueDuplicate, Reason.DUPLICATE_ORDER_ID),
        (said({"code": -1003, "msg": "Too many requests"}, 429), VenueDeferred, Reason.VENUE_RATE_LIMITED),
        (said({"code": -1000, "msg": "Unknown"}, 400), VenueUnclear, None),
        (said({"code": -2019, "msg": "Margin is insufficient."}, 503), VenueUnclear, None),
        (said({"code": -99999, "msg": "New"}, 400), VenueUnclear, None),
        (Answer(b""), VenueUnclear, None),
        (Answer(b"<html>"), VenueUnclear, None),
        (said([]), VenueUnclear, None),
        (said({}), VenueUnclear, None),
        (said({**ORDER, "orderId": None}), VenueUnclear, None),
        (said({**ORDER, "clientOrderId": "another"}), VenueUnclear, None),
        (said({**ORDER, "origQty": "0.02"}), VenueUnclear, None),
        (Answer(b"", 307, {"Location": "/elsewhere"}), VenueUnclear, None),
    ],
)
async def test_a_refusal_is_judged_by_the_venues_code_and_anything_else_is_open(
    aster: BridgedRig, answer: Answer, failure: type[VenueFailure], reason: Reason | None
) -> None:
    aster.replies["POST /fapi/v3/order"] = answer
    with pytest.raises(VenueFailure) as raised:
        await aster.session.place_order(aster.order(PostOnly(price=Decimal(50000))))
    assert type(raised.value) is failure
    assert reason in (None, raised.value.reason)
    assert len(aster.server.sent) == 1


async def test_what_ccxt_itself_refuses_was_not_sent(aster: BridgedRig) -> None:
    aster.session._exchange.privateKey = ""
    with pytest.raises(VenueRejected, match="nothing was sent"):
        await aster.session.place_order(aster.order(PostOnly(price=Decimal(50000))))
    assert aster.server.sent == []


async def test_legs_are_sent_one_by_one_and_each_has_its_own_outcome(aster: BridgedRig) -> None:
    bad = aster.order(PostOnly(price=Decimal(50000)), size="0.0001")
    outcomes = await aster.session.place_orders([bad, aster.order(PostOnly(price=Decimal(50000)))], Grouping.NONE)
    assert [type(outcome) for outcome in outcomes] == [VenueRejected, Order]


async def test_an_order_is_found_by_our_id_or_said_not_to_be(aster: BridgedRig) -> None:
    aster.replies["GET /fapi/v3/order"] = {**ORDER, "status": "FILLED", "executedQty": "0.010", "avgPrice": "49999.5"}
    found = await aster.session.find_order(CLIENT_ID, aster.btc)
    assert found is not None
    assert (found.status, found.average_price, found.type) == (
        OrderStatus.FILLED,
        Decimal("49999.5"),
        OrderType.LIMIT,
    )
    aster.replies["GET /fapi/v3/order"] = said({"code": -2013, "msg": "Order does not exist."}, 400)
    assert await aster.session.find_order(CLIENT_ID, aster.btc) is None
    for unclear in (said({}), said([]), Answer(b"", 502), said({**ORDER, "clientOrderId": "another"})):
        aster.replies["GET /fapi/v3/order"] = unclear
        with pytest.raises(VenueUnclear):
            await aster.session.find_order(CLIENT_ID, aster.btc)


async def test_positions_and_balance_are_exact_and_never_empty_by_accident(aster: BridgedRig) -> None:
    position = {
        "symbol": "BTCUSDT",
        "positionAmt": "-0.500",
        "entryPrice": "60000.5",
        "markPrice": "60010.12345678",
        "unRealizedProfit": "-4.81172839",
        "liquidationPrice": "0",
        "leverage": "10",
        "marginType": "cross",
        "notional": "-30005.06",
        "isolatedMargin": "0",
        "positionSide": "BOTH",
        "updateTime": NOW_MS,
    }
    aster.replies["GET /fapi/v3/positionRisk"] = [position]
    (found,) = await aster.session.get_positions(None)
    assert (found.side, found.size, found.mark_price, found.leverage) == (
        PositionSide.SHORT,
        Decimal("0.5"),
        Decimal("60010.12345678"),
        10,
    )
    asset = {"asset": "USDT", "marginAvailable": True, "crossWalletBalance": "100.5", "crossUnPnl": "-0.25"}
    aster.replies["GET /fapi/v3/balance"] = [{**asset, "balance": "100.5", "availableBalance": "80.125"}]
    balance = await aster.session.get_balance()
    assert (balance.equity, balance.free_collateral) == (Decimal("100.25"), Decimal("80.125"))
    for path in ("positionRisk", "balance"):
        aster.replies[f"GET /fapi/v3/{path}"] = {}
    with pytest.raises(VenueUnclear):
        await aster.session.get_positions(None)
    with pytest.raises(VenueUnclear):
        await aster.session.get_balance()


async def test_market_data_keeps_every_digit(aster: BridgedRig) -> None:
    book = await aster.session.get_orderbook(aster.btc, 5)
    assert (book.bids[0], book.asks[0]) == (
        (Decimal("59999.90"), Decimal("1.5")),
        (Decimal("60000.10"), Decimal("0.25")),
    )
    aster.replies["GET /fapi/v3/premiumIndex"] = {
        "symbol": "BTCUSDT",
        "markPrice": "106729.84047826",
        "indexPrice": "106775.72673913",
        "lastFundingRate": "0.00010000",
        "nextFundingTime": NOW_MS + 1,
        "time": NOW_MS,
    }
    mark = await aster.session.get_mark_price(aster.btc)
    assert (mark.mark_price, mark.index_price) == (Decimal("106729.84047826"), Decimal("106775.72673913"))
    assert (await aster.session.get_funding_rate(aster.btc)).next_funding_ms == NOW_MS + 1


async def test_leverage_and_cancels_go_to_the_venues_own_paths(aster: BridgedRig) -> None:
    aster.replies |= {
        "POST /fapi/v3/leverage": {"symbol": "BTCUSDT", "leverage": 5, "maxNotionalValue": "1"},
        "DELETE /fapi/v3/order": {**ORDER, "status": "CANCELED"},
        "DELETE /fapi/v3/allOpenOrders": {"code": 200, "msg": "done"},
    }
    await aster.session.set_leverage(aster.btc, 5)
    await aster.session.cancel_order("123", aster.btc)
    await aster.session.cancel_by_client_id(CLIENT_ID, aster.btc)
    await aster.session.cancel_all(aster.btc)
    sent = [(s.method, path_of(s), dict(parse_qsl(s.body.decode()))) for s in aster.server.sent]
    assert [(method, path) for method, path, _ in sent] == [
        ("POST", "/fapi/v3/leverage"),
        ("DELETE", "/fapi/v3/order"),
        ("DELETE", "/fapi/v3/order"),
        ("DELETE", "/fapi/v3/allOpenOrders"),
    ]
    assert sent[0][2]["leverage"] == "5"
    assert sent[1][2]["orderId"] == "123"
    assert sent[2][2]["origClientOrderId"] == CLIENT_ID


def test_its_signatures_are_hashed_in_c() -> None:
    exchange_class(QUIRKS)
    assert sys.modules["ccxt.static_dependencies.ethabi.typed_data"].keccak is keccak256


def test_without_ccxt_the_venue_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ccxt.async_support", None)
    with pytest.raises(UnsupportedOperation, match="needs ccxt"):
        exchange_class(msgspec.structs.replace(QUIRKS, ccxt_id="not-guarded-yet"))
