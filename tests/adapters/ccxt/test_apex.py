"""ApeX: what works without the library that signs its orders, and what is signed and sent with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.ccxt_venues.apex import signing
from adapters.ccxt_venues.apex.signing import Contract
from normalization.orders import (
    Execution,
    Limit,
    Market,
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
    VenueFailure,
    VenueNotReached,
    VenueRejected,
    VenueUnclear,
)
from tests.adapters.ccxt.bridge_rig import path_of
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recorded.apex import ACCOUNT_ID, SEEDS, TICKER, body_of, error, is_zk_signed
from tests.adapters.ccxt.recorded.desk import Desk, desk
from tests.adapters.ccxt.recording_server import Answer, said

SIGNS = pytest.mark.skipif(not signing.is_installed(), reason="the library that signs ApeX orders is missing")
CLIENT_ID = "000102030405060708090a0b0c0d0e0f"
HOUR_MS = 3_600_000
COMMON = {
    "clientId": CLIENT_ID,
    "symbol": "BTC-USDT",
    "size": "0.01",
    "expiration": str((NOW_MS + 28 * 24 * HOUR_MS) // HOUR_MS * HOUR_MS),
}
BUY = {**COMMON, "side": "BUY", "price": "50000", "limitFee": "0.25", "type": "LIMIT"}
WAITS = {**COMMON, "side": "SELL", "timeInForce": "GOOD_TIL_CANCEL", "triggerPriceType": "INDEX"}
CONTRACT = Contract(
    account_id=int(ACCOUNT_ID),
    client_id=CLIENT_ID,
    pair_id=50_001,
    size=Decimal("0.01"),
    price=Decimal(50_000),
    buys=True,
    maker_fee_rate=Decimal("0.0002"),
    taker_fee_rate=Decimal("0.00051"),
    decimals=18,
)


@pytest.fixture
async def apex(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk("apex", tmp_path) as found:
        yield found


@pytest.fixture
def without_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where it was never installed."""
    monkeypatch.setattr(signing, "PACKAGE", "a_package_that_nobody_has")
    signing.load.cache_clear()


@pytest.mark.usefixtures("without_library")
async def test_without_the_library_an_order_says_what_to_install_and_is_not_sent(apex: Desk) -> None:
    with pytest.raises(VenueRejected, match=r"nothing was sent: .* pip install --no-deps"):
        await apex.place(PostOnly(price=Decimal(50_000)))
    assert apex.asked() == []
    assert signing.INSTALL in (await apex.session.test())[0]


@pytest.mark.usefixtures("without_library")
async def test_without_the_library_everything_else_works(apex: Desk) -> None:
    book = await apex.session.get_orderbook(apex.btc, 5)
    assert book.asks[0].price == 60_010
    assert (await apex.session.get_balance()).equity == Decimal("10000.5")
    assert await apex.session.get_open_orders(apex.btc) == []
    assert await apex.session.find_order(CLIENT_ID, apex.btc) is None
    await apex.session.cancel_all(apex.btc)
    await apex.session.set_leverage(apex.btc, 3)
    for cancel in (apex.session.cancel_order("7", apex.btc), apex.session.cancel_by_client_id(CLIENT_ID, apex.btc)):
        with pytest.raises(VenueRejected) as refused:
            await cancel
        assert refused.value.reason is Reason.ORDER_NOT_FOUND


@SIGNS
@pytest.mark.parametrize(
    ("execution", "terms", "body"),
    [
        (Limit(price=Decimal(50_000)), {}, {**BUY, "timeInForce": "GOOD_TIL_CANCEL"}),
        (PostOnly(price=Decimal(50_000)), {}, {**BUY, "timeInForce": "POST_ONLY"}),
        (
            Limit(price=Decimal(50_000), time_in_force=TimeInForce.FOK),
            {"reduce_only": True},
            {**BUY, "timeInForce": "FILL_OR_KILL", "reduceOnly": "true"},
        ),
        (
            Market(max_slippage_bps=100),
            {},
            {**BUY, "timeInForce": "IMMEDIATE_OR_CANCEL", "price": "60610.1", "limitFee": "0.303051"},
        ),
        (
            Stop(trigger_price=Decimal(49_000)),
            {"reduce_only": True, "side": Side.SELL},
            {
                **WAITS,
                "type": "STOP_MARKET",
                "triggerPrice": "49000",
                "price": "44100",
                "limitFee": "0.2205",
                "reduceOnly": "true",
            },
        ),
        (
            TakeProfit(trigger_price=Decimal(70_000)),
            {"side": Side.SELL},
            {**WAITS, "type": "TAKE_PROFIT_MARKET", "triggerPrice": "70000", "price": "63000", "limitFee": "0.315"},
        ),
    ],
)
async def test_every_kind_of_order_leaves_as_exactly_this(
    apex: Desk, execution: Execution, terms: dict[str, Any], body: dict[str, str]
) -> None:
    order = await apex.place(execution, **terms)
    (sent,) = apex.placements()
    told = body_of(sent)
    assert is_zk_signed(told)
    assert not is_zk_signed({**told, "price": "1"})
    del told["signature"]
    assert told == body
    waits = isinstance(execution, Stop | TakeProfit)
    assert order.status is (OrderStatus.PENDING if waits else OrderStatus.OPEN)


@SIGNS
async def test_the_account_that_an_order_is_signed_for_is_asked_once(apex: Desk) -> None:
    for number in range(2):
        apex.rig.client_id = f"{number:032x}"
        await apex.place(PostOnly(price=Decimal(50_000)))
    assert apex.asked() == [
        ("GET", "/api/v3/account"),
        ("POST", "/api/v3/order"),
        ("POST", "/api/v3/order"),
    ]


@SIGNS
async def test_an_account_that_cannot_be_asked_for_leaves_the_order_unsent(apex: Desk) -> None:
    apex.answer_instead("GET /api/v3/account", Answer(b"", 502))
    with pytest.raises(VenueNotReached):
        await apex.place(PostOnly(price=Decimal(50_000)))
    assert apex.placements() == []


@SIGNS
@pytest.mark.parametrize(
    ("answer", "failure", "reason"),
    [
        (
            error("ORDER_THERE_IS_NOT_ENOUGH_MARGIN_TO_OPEN_POSITION", "no"),
            VenueRejected,
            Reason.INSUFFICIENT_FUNDS,
        ),
        (said({"code": 20006, "msg": "apikey sign error"}), VenueRejected, Reason.AUTHENTICATION_FAILED),
        (said({"code": 10003, "msg": "too many"}), VenueDeferred, Reason.VENUE_RATE_LIMITED),
        (error("SOMETHING_NEW", "no"), VenueUnclear, None),
        (said({"data": {"id": "1"}}), VenueUnclear, None),
        (said({"data": None}), VenueUnclear, None),
        (said({"code": 0}), VenueUnclear, None),
    ],
)
async def test_what_is_answered_to_an_order_is_judged_by_the_venues_word(
    apex: Desk, answer: Any, failure: type[VenueFailure], reason: Reason | None
) -> None:
    apex.answer_instead("POST /api/v3/order", answer)
    with pytest.raises(VenueFailure) as raised:
        await apex.place(PostOnly(price=Decimal(50_000)))
    assert type(raised.value) is failure
    assert reason in (None, raised.value.reason)


def test_what_is_signed_is_what_the_venues_documents_say() -> None:
    """Slot and nonce are of the client order id's hash, fee rates whole basis points, rounded up."""
    account, _, slot, nonce, *rest = CONTRACT.fields()
    assert account == int(ACCOUNT_ID) % (2**32 - 1)
    assert (0 < slot < 2**32, 0 < nonce < 2**32) == (True, True)
    assert rest == [50_001, "1" + "0" * 16, "5" + "0" * 22, True, 6, 2, False]
    other = msgspec.structs.replace(CONTRACT, client_id="f" * 32).fields()
    assert (slot, nonce) != other[2:4]


@SIGNS
def test_the_same_order_has_one_signature_with_and_without_0x() -> None:
    assert signing.sign(CONTRACT, SEEDS) == signing.sign(CONTRACT, "0x" + SEEDS)
    assert signing.sign(CONTRACT, SEEDS) != signing.sign(CONTRACT, "4d" * 65)


@SIGNS
def test_what_the_library_cannot_sign_is_told_without_the_key() -> None:
    with pytest.raises(VenueRejected, match="nothing was sent: the order could not be signed") as refused:
        signing.sign(msgspec.structs.replace(CONTRACT, pair_id=-1), SEEDS)
    assert SEEDS not in str(refused.value)


@pytest.mark.parametrize(("leverage", "rate"), [(3, "0.3334"), (10, "0.1"), (7, "0.1429"), (1, "1")])
async def test_leverage_is_told_as_its_inverse_and_never_above_what_was_asked(
    apex: Desk, leverage: int, rate: str
) -> None:
    """ccxt cuts 0.33333 to 0.3333, which is more than three times."""
    await apex.session.set_leverage(apex.btc, leverage)
    (sent,) = apex.rig.server.sent
    assert (path_of(sent), body_of(sent)) == (
        "/api/v3/set-initial-margin-rate",
        {"symbol": "BTC-USDT", "initialMarginRate": rate},
    )


async def test_the_funding_that_will_be_paid_is_told_and_when(apex: Desk) -> None:
    funding = await apex.session.get_funding_rate(apex.btc)
    assert (funding.rate, funding.next_funding_ms) == (Decimal("0.0000125"), NOW_MS + HOUR_MS)
    for broken in ("10:00:00", "", None, "2026-10-06T01:00:00"):
        ticker = {**TICKER, "nextFundingTime": broken}
        apex.answer_instead("GET /api/v3/ticker", said({"data": [ticker]}))
        with pytest.raises(VenueUnclear):
            await apex.session.get_funding_rate(apex.btc)


async def test_another_markets_ticker_is_not_taken_for_it(apex: Desk) -> None:
    for rows in ([], [{**TICKER, "symbol": "ETHUSDT"}], [TICKER, TICKER]):
        apex.answer_instead("GET /api/v3/ticker", said({"data": rows}))
        with pytest.raises(VenueUnclear):
            await apex.session.get_mark_price(apex.btc)


async def test_a_fill_that_the_chain_refused_is_none(apex: Desk) -> None:
    row = {"id": "1", "orderId": "2", "side": "BUY", "size": "1", "price": "2", "fee": "0.1", "createdAt": NOW_MS}
    rows = [{**row, "status": "SUCCESS"}, {**row, "id": "3", "status": "FAILED_L2_REJECTED"}]
    apex.answer_instead("GET /api/v3/fills", said({"data": {"orders": rows}}))
    (fill,) = await apex.session.get_fills(apex.btc, 10)
    assert (fill.fill_id, fill.order_id, fill.fee) == ("1", "2", Decimal("0.1"))
