"""Hibachi: what is signed and sent, how finely its markets are traded, and what one flag leaves impossible."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Network
from adapters.ccxt_venues.adapter import CcxtAdapter
from adapters.ccxt_venues.rows import ROWS
from adapters.transport import Transport
from normalization.errors import UnsupportedOperation
from normalization.orders import (
    Execution,
    Limit,
    Market,
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
    VenueFailure,
    VenueRejected,
    VenueUnclear,
)
from tests.adapters.ccxt.bridge_rig import path_of
from tests.adapters.ccxt.hyperliquid_rig import surroundings
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recorded.desk import Desk, desk
from tests.adapters.ccxt.recorded.hibachi import FEES, MARKET, PRICES, SECRETS, HibachiWire, error, signed_bytes
from tests.adapters.ccxt.recorded.wire import query
from tests.adapters.ccxt.recording_server import said

CLIENT_ID = "000102030405060708090a0b0c0d0e0f"
COMMON = {
    "accountId": 128,
    "symbol": "BTC/USDT-P",
    "clientId": CLIENT_ID,
    "quantity": "0.01",
    "maxFeesPercent": "0.0009",
    "creationDeadline": NOW_MS // 1000 + 10,
}
BID = {**COMMON, "side": "BID", "orderType": "LIMIT", "price": "50000"}
ASK = {**COMMON, "side": "ASK", "orderType": "MARKET"}


@pytest.fixture
async def hibachi(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk("hibachi", tmp_path) as found:
        yield found


@pytest.mark.parametrize(
    ("execution", "terms", "body"),
    [
        (Limit(price=Decimal(50_000)), {}, BID),
        (Limit(price=Decimal(50_000)), {"reduce_only": True}, {**BID, "orderFlags": "REDUCE_ONLY"}),
        (PostOnly(price=Decimal(50_000)), {}, {**BID, "orderFlags": "POST_ONLY"}),
        (Limit(price=Decimal(50_000), time_in_force=TimeInForce.IOC), {}, {**BID, "orderFlags": "IOC"}),
        (Market(max_slippage_bps=100), {}, {**BID, "orderFlags": "IOC", "price": "60610.1"}),
        (Market(), {"side": Side.SELL, "reduce_only": True}, {**ASK, "orderFlags": "REDUCE_ONLY"}),
        (
            Stop(trigger_price=Decimal(49_000)),
            {"side": Side.SELL, "reduce_only": True},
            {**ASK, "orderFlags": "REDUCE_ONLY", "triggerPrice": "49000", "triggerDirection": "LOW"},
        ),
        (
            TakeProfit(trigger_price=Decimal(70_000)),
            {"side": Side.SELL},
            {**ASK, "triggerPrice": "70000", "triggerDirection": "HIGH"},
        ),
    ],
)
async def test_every_kind_of_order_leaves_as_exactly_this(
    hibachi: Desk, execution: Execution, terms: dict[str, Any], body: dict[str, Any]
) -> None:
    await hibachi.place(execution, **terms)
    (sent,) = hibachi.placements()
    document = sent.document
    del document["signature"]
    assert NOW_MS * 1000 <= document.pop("nonce") < (NOW_MS + 1_000) * 1000
    assert document == body


@pytest.mark.parametrize(
    ("execution", "terms"),
    [
        (Limit(price=Decimal(50_000), time_in_force=TimeInForce.FOK), {}),
        (Limit(price=Decimal(50_000), time_in_force=TimeInForce.IOC), {"reduce_only": True}),
        (PostOnly(price=Decimal(50_000)), {"reduce_only": True}),
    ],
)
async def test_what_would_need_two_flags_or_one_that_there_is_not_is_not_sent(
    hibachi: Desk, execution: Execution, terms: dict[str, Any]
) -> None:
    with pytest.raises(VenueRejected, match="nothing was sent"):
        await hibachi.place(execution, **terms)
    assert hibachi.asked() == []


async def test_an_account_made_by_e_mail_signs_with_its_hmac_secret(tmp_path: Path) -> None:
    secret = "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE="
    wire = HibachiWire()
    wire._place = lambda body: {"orderId": "1"}  # type: ignore[method-assign]  # it cannot check this signature
    async with desk("hibachi", tmp_path, secrets={**SECRETS, "private_key": secret}, wire=wire) as hibachi:
        await hibachi.place(PostOnly(price=Decimal(50_000)))
        (sent,) = hibachi.placements()
        expected = hmac.new(secret.encode(), signed_bytes(sent.document), sha256).hexdigest()
        assert sent.document["signature"] == expected


async def test_its_markets_are_traded_in_the_steps_that_it_publishes(tmp_path: Path) -> None:
    """ccxt says a price step of 0.00001 where the book is shown in tenths, and sizes in the token's decimals."""
    wire = HibachiWire()
    wire.routes["GET /market/exchange-info"] = lambda sent: {
        "feeConfig": FEES,
        "futureContracts": [{**MARKET, "tickSize": "0.25", "stepSize": "0.003", "initialMarginRate": "0.02"}],
    }
    async with desk("hibachi", tmp_path, wire=wire) as hibachi:
        assert (hibachi.btc.tick_size, hibachi.btc.lot_size, hibachi.btc.max_leverage) == (
            Decimal("0.25"),
            Decimal("0.003"),
            50,
        )


async def test_mark_price_and_spot_are_read_where_ccxt_drops_them(hibachi: Desk) -> None:
    mark = await hibachi.session.get_mark_price(hibachi.btc)
    assert (mark.mark_price, mark.index_price) == (Decimal(PRICES["markPrice"]), Decimal("59999.715"))


async def test_an_order_is_asked_for_by_our_id_and_canceled_by_the_venues(hibachi: Desk) -> None:
    order = await hibachi.place(Stop(trigger_price=Decimal(70_000)))
    hibachi.asked()
    found = await hibachi.session.find_order(CLIENT_ID, hibachi.btc)
    assert (found.client_id, found.type, found.status) == (CLIENT_ID, OrderType.STOP, OrderStatus.PENDING)
    await hibachi.session.cancel_by_client_id(CLIENT_ID, hibachi.btc)
    assert [(sent.method, path_of(sent), query(sent)) for sent in hibachi.rig.server.sent] == [
        ("GET", "/trade/order", {"accountId": "128", "clientId": CLIENT_ID}),
        ("GET", "/trade/order", {"accountId": "128", "clientId": CLIENT_ID}),
        ("DELETE", "/trade/order", {}),
    ]
    assert hibachi.rig.server.sent[-1].document["orderId"] == order.order_id


async def test_everything_is_canceled_one_by_one_and_only_on_that_market(hibachi: Desk) -> None:
    for number in range(3):
        hibachi.rig.client_id = f"{number:032x}"
        await hibachi.place(PostOnly(price=Decimal(50_000)))
    hibachi.asked()
    await hibachi.session.cancel_all(hibachi.btc)
    assert hibachi.asked() == [("GET", "/trade/orders"), *[("DELETE", "/trade/order")] * 3]


@pytest.mark.parametrize(("leverage", "rate"), [(1, "1"), (3, "0.333334"), (15, "0.066667")])
async def test_leverage_is_told_as_its_inverse_and_never_above_what_was_asked(
    hibachi: Desk, leverage: int, rate: str
) -> None:
    await hibachi.session.set_leverage(hibachi.btc, leverage)
    (sent,) = hibachi.rig.server.sent
    assert (sent.method, path_of(sent)) == ("POST", "/trade/account/leverage")
    assert sent.document == {"accountId": 128, "symbol": "BTC/USDT-P", "initialMarginRate": rate}
    await hibachi.place(Market())
    (position,) = await hibachi.session.get_positions(hibachi.btc)
    assert (position.side, position.leverage) == (PositionSide.LONG, leverage)


async def test_fees_are_the_accounts_or_else_the_published_ones(hibachi: Desk) -> None:
    assert (await hibachi.session.get_fees(hibachi.btc)).taker_bps == Decimal("4.5")
    own = {**hibachi.wire._account(), "tradeMakerFeeRate": "0.0001", "tradeTakerFeeRate": "0.0002"}
    hibachi.answer_instead("GET /trade/account/info", said(own))
    fees = await hibachi.session.get_fees(hibachi.btc)
    assert (fees.maker_bps, fees.taker_bps) == (1, 2)


@pytest.mark.parametrize(
    ("answer", "failure", "reason"),
    [
        (error(4, "Missing quantity"), VenueRejected, Reason.INVALID_ORDER),
        (error(2, "Invalid signature", 401), VenueRejected, Reason.AUTHENTICATION_FAILED),
        (
            said({"name": "orders", "count": 11, "limit": 10}, 429),
            VenueDeferred,
            Reason.VENUE_RATE_LIMITED,
        ),
        (error(4, "Missing quantity", 500), VenueUnclear, None),
        # A code without the word that it failed, and with a good status: ccxt would make an order without an id of it.
        (said({"errorCode": 4, "message": "Missing quantity"}), VenueUnclear, None),
        (said({"orderId": None}), VenueUnclear, None),
        (error(5, "New"), VenueUnclear, None),
    ],
)
async def test_what_is_answered_to_an_order_is_judged_by_the_venues_code(
    hibachi: Desk, answer: Any, failure: type[VenueFailure], reason: Reason | None
) -> None:
    hibachi.answer_instead("POST /trade/order", answer)
    with pytest.raises(VenueFailure) as raised:
        await hibachi.place(PostOnly(price=Decimal(50_000)))
    assert type(raised.value) is failure
    assert reason in (None, raised.value.reason)


async def test_that_it_has_no_testnet_is_said_in_so_many_words(tmp_path: Path) -> None:
    transport = Transport()
    adapter = CcxtAdapter(ROWS["hibachi"], surroundings(tmp_path, transport))
    with pytest.raises(UnsupportedOperation, match=r"hibachi has no testnet; real networks are mainnet"):
        await adapter.markets(Network.TESTNET)
    await transport.close()
