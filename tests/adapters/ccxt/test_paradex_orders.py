"""The exact bytes that leave for Paradex, and what its answers to them mean."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import fast_stark_crypto
import msgspec
import pytest

from adapters.ccxt_venues.paradex.signing import Signer
from normalization.orders import (
    Execution,
    Limit,
    Market,
    OrderStatus,
    OrderType,
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
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.paradex_rig import (
    ACCOUNT,
    CHAIN,
    CLIENT_ID,
    ORDER_ID,
    SUBKEY,
    ParadexRig,
    buy,
    page,
    refusal,
    report,
)
from tests.adapters.ccxt.recording_server import Answer, said

SIGNER = Signer(SUBKEY, ACCOUNT, CHAIN)


async def test_a_limit_order_leaves_as_exactly_these_bytes(paradex: ParadexRig) -> None:
    await paradex.session.place_order(buy(paradex, Limit(price=Decimal("50000.0")), size="0.010"))
    sign_in, sent = paradex.server.sent
    assert sign_in.path == f"/v1/auth/{SIGNER.public_key:#x}"
    assert (sent.method, sent.path, sent.headers["Authorization"]) == ("POST", "/v1/orders", "Bearer token-1")
    head, _, tail = sent.body.partition(b',"signature":')
    assert head == (
        b'{"market":"BTC-USD-PERP","side":"BUY","type":"LIMIT","size":"0.01","price":"50000","instruction":"GTC",'
        b'"client_id":"' + CLIENT_ID.encode() + b'","recv_window":10000'
    )
    assert tail.endswith(b',"signature_timestamp":1800000000000}')


@pytest.mark.parametrize(
    ("execution", "side", "expected"),
    [
        (PostOnly(price=Decimal(50000)), Side.BUY, {"type": "LIMIT", "instruction": "POST_ONLY", "price": "50000"}),
        (
            Limit(price=Decimal(50000), time_in_force=TimeInForce.IOC),
            Side.SELL,
            {"type": "LIMIT", "instruction": "IOC", "price": "50000"},
        ),
        # One percent beyond the best ask, and the best bid, rounded so that the bound is never crossed.
        (Market(max_slippage_bps=100), Side.BUY, {"type": "LIMIT", "instruction": "IOC", "price": "60600.1"}),
        (Market(max_slippage_bps=100), Side.SELL, {"type": "LIMIT", "instruction": "IOC", "price": "59400"}),
        (
            Stop(trigger_price=Decimal(49000)),
            Side.SELL,
            {"type": "STOP_MARKET", "instruction": "GTC", "trigger_price": "49000"},
        ),
        (
            TakeProfit(trigger_price=Decimal(70000)),
            Side.SELL,
            {"type": "TAKE_PROFIT_MARKET", "instruction": "GTC", "trigger_price": "70000"},
        ),
    ],
)
async def test_every_kind_of_order_says_what_was_meant_and_is_signed_so(
    paradex: ParadexRig, execution: Execution, side: Side, expected: dict[str, Any]
) -> None:
    order = await paradex.session.place_order(buy(paradex, execution, side=side, reduce_only=True))
    (sent,) = paradex.placed
    signature = [int(part) for part in json.loads(sent.pop("signature"))]
    timestamp_ms = sent.pop("signature_timestamp")
    assert sent == {
        "market": "BTC-USD-PERP",
        "side": side,
        "size": "0.01",
        "client_id": CLIENT_ID,
        "flags": ["REDUCE_ONLY"],
        "recv_window": 10_000,
        **expected,
    }
    price = Decimal(sent.get("price", "0"))
    message = SIGNER.order_hash(timestamp_ms, "BTC-USD-PERP", side, sent["type"], Decimal("0.01"), price)
    assert fast_stark_crypto.verify(SIGNER.public_key, message, *signature)
    assert order.status is (OrderStatus.OPEN if price else OrderStatus.PENDING)
    assert order.price == (execution.price if isinstance(execution, Limit | PostOnly) else None)


async def test_orders_of_one_account_never_share_a_timestamp(paradex: ParadexRig) -> None:
    for _ in range(3):
        await paradex.session.place_order(buy(paradex))
    assert [sent["signature_timestamp"] for sent in paradex.placed] == [NOW_MS, NOW_MS + 1, NOW_MS + 2]


async def test_an_order_whose_time_is_over_is_not_given_a_new_window(paradex: ParadexRig) -> None:
    late = msgspec.structs.replace(buy(paradex), valid_until_ms=NOW_MS + 9)
    with pytest.raises(VenueRejected) as refused:
        await paradex.session.place_order(late)
    assert refused.value.reason is Reason.REQUEST_EXPIRED
    assert paradex.placed == []


async def test_fill_or_kill_is_refused_before_anything_is_sent(paradex: ParadexRig) -> None:
    with pytest.raises(VenueRejected, match="no fill-or-kill"):
        await paradex.session.place_order(buy(paradex, Limit(price=Decimal(50000), time_in_force=TimeInForce.FOK)))
    assert paradex.placed == []


@pytest.mark.parametrize(("size", "price"), [("0", "50000"), ("-1", "50000"), ("0.000001", "50000"), ("1", "0.05")])
async def test_sizes_and_prices_off_their_steps_are_never_rounded_but_refused(
    paradex: ParadexRig, size: str, price: str
) -> None:
    with pytest.raises(VenueRejected) as refused:
        await paradex.session.place_order(buy(paradex, Limit(price=Decimal(price)), size=size))
    assert refused.value.reason is Reason.INVALID_ORDER
    assert paradex.placed == []


@pytest.mark.parametrize(
    ("answer", "failure", "reason"),
    [
        (refusal("VALIDATION_ERROR", "price is invalid"), VenueRejected, Reason.INVALID_ORDER),
        (refusal("INVALID_ORDER_SIGNATURE"), VenueRejected, Reason.AUTHENTICATION_FAILED),
        (refusal("MARKET_NOT_OPEN"), VenueRejected, Reason.MARKET_CLOSED),
        (refusal("GEO_IP_BLOCK", status=403), VenueRejected, Reason.PERMISSION_DENIED),
        (refusal("DUPLICATED_CLIENT_ID"), VenueDuplicate, Reason.DUPLICATE_ORDER_ID),
        (refusal("INVALID_TOKEN", status=401), VenueDeferred, Reason.AUTHENTICATION_FAILED),
        (
            said({"message": "missing or malformed jwt: token is expired by 9.4s"}, 401),
            VenueDeferred,
            Reason.AUTHENTICATION_FAILED,
        ),
        (
            Answer(b"{}", 429, {"X-RateLimit-Limit": "800", "Retry-After": "7"}),
            VenueDeferred,
            Reason.VENUE_RATE_LIMITED,
        ),
        (refusal("INTERNAL_ERROR", status=500), VenueUnclear, None),
        (refusal("VALIDATION_ERROR", status=500), VenueUnclear, None),
        (refusal("SOMETHING_NEW"), VenueUnclear, Reason.OTHER),
    ],
)
async def test_a_refusal_is_judged_by_the_venues_own_code(
    paradex: ParadexRig, answer: Answer, failure: type[VenueFailure], reason: Reason | None
) -> None:
    paradex.replies["POST /v1/orders"] = answer
    with pytest.raises(VenueFailure) as raised:
        await paradex.session.place_order(buy(paradex))
    assert type(raised.value) is failure
    assert reason in (None, raised.value.reason)
    assert len(paradex.placed) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"", 201),
        Answer(b"null", 200),
        Answer(b"<html>maintenance</html>", 200),
        said({}, 201),
        said(report(id=""), 201),
        said(report(id=None), 201),
        said(report(client_id="another"), 201),
        said(report(size="0.02", remaining_size="0.02"), 201),
        said(report(remaining_size="NaN"), 201),
        said(report(status="SOMETHING_NEW"), 201),
        said(report(market="NOT-LISTED"), 201),
        Answer(b'{"error":"VALIDATION_ERROR","error":"x","message":""}', 201),
        Answer(b"<html>Bad Request</html>", 400),
        Answer(b"{}", 403),
        Answer(b"{}", 429),
        Answer(b"", 408),
        Answer(b"<html>", 502),
    ],
)
async def test_an_answer_that_is_not_one_leaves_the_outcome_open(paradex: ParadexRig, answer: Answer) -> None:
    paradex.replies["POST /v1/orders"] = answer
    with pytest.raises(VenueUnclear):
        await paradex.session.place_order(buy(paradex))
    assert len(paradex.placed) == 1


async def test_a_redirect_is_not_followed_and_the_token_stays_here(paradex: ParadexRig) -> None:
    paradex.replies["POST /v1/orders"] = Answer(b"", 307, {"Location": f"{paradex.server.url}/elsewhere"})
    with pytest.raises(VenueUnclear, match="redirect"):
        await paradex.session.place_order(buy(paradex))
    assert not paradex.server.to("/elsewhere")


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("NOT_ENOUGH_MARGIN", Reason.INSUFFICIENT_FUNDS),
        ("ORDER_EXCEEDS_POSITION_LIMIT", Reason.POSITION_LIMIT),
        ("POST_ONLY_WOULD_CROSS", Reason.POST_ONLY_WOULD_TAKE),
    ],
)
async def test_an_order_that_is_taken_and_then_refused_is_told_as_refused(
    paradex: ParadexRig, reason: str, expected: Reason
) -> None:
    paradex.replies["POST /v1/orders"] = said(report(status="NEW"), 201)
    paradex.replies[f"GET /v1/orders/{ORDER_ID}"] = report(status="CLOSED", cancel_reason=reason)
    with pytest.raises(VenueRejected) as refused:
        await paradex.session.place_order(buy(paradex))
    assert refused.value.reason is expected


async def test_an_order_that_filled_before_it_was_given_up_did_execute(paradex: ParadexRig) -> None:
    paradex.replies["POST /v1/orders"] = said(report(status="NEW"), 201)
    paradex.replies[f"GET /v1/orders/{ORDER_ID}"] = report(
        status="CLOSED", cancel_reason="NOT_ENOUGH_MARGIN", remaining_size="0.004", avg_fill_price="50000.5"
    )
    order = await paradex.session.place_order(buy(paradex))
    assert (order.status, order.filled_size, order.average_price) == (
        OrderStatus.CANCELED,
        Decimal("0.006"),
        Decimal("50000.5"),
    )


async def test_an_order_that_nobody_says_more_about_stays_accepted(paradex: ParadexRig) -> None:
    paradex.replies["POST /v1/orders"] = said(report(status="NEW"), 201)
    paradex.replies[f"GET /v1/orders/{ORDER_ID}"] = Answer(b"", 500)
    order = await paradex.session.place_order(buy(paradex))
    assert (order.order_id, order.status) == (ORDER_ID, OrderStatus.OPEN)


async def test_a_market_order_that_filled_is_told_so(paradex: ParadexRig) -> None:
    filled: dict[str, Any] = {
        "status": "CLOSED",
        "remaining_size": "0",
        "avg_fill_price": "60000.1",
        "price": "60600.1",
    }
    paradex.replies["POST /v1/orders"] = said(report(**filled), 201)
    order = await paradex.session.place_order(buy(paradex, Market()))
    assert (order.status, order.type, order.average_price) == (
        OrderStatus.FILLED,
        OrderType.MARKET,
        Decimal("60000.1"),
    )


async def test_a_market_order_without_a_price_to_start_from_was_not_sent(paradex: ParadexRig) -> None:
    paradex.replies["GET /v1/bbo/BTC-USD-PERP"] = Answer(b"", 500)
    with pytest.raises(VenueNotReached):
        await paradex.session.place_order(buy(paradex, Market()))
    paradex.replies["GET /v1/bbo/BTC-USD-PERP"] = {"market": "BTC-USD-PERP", "bid": "", "ask": ""}
    with pytest.raises(VenueRejected) as refused:
        await paradex.session.place_order(buy(paradex, Market()))
    assert refused.value.reason is Reason.NO_LIQUIDITY
    assert paradex.placed == []


@pytest.mark.parametrize("status", [400, 401, 500])
async def test_a_venue_that_repeats_our_token_is_not_quoted(paradex: ParadexRig, status: int) -> None:
    paradex.replies["POST /v1/orders"] = lambda sent: refusal("X", sent.headers["Authorization"], status)
    with pytest.raises(VenueFailure) as raised:
        await paradex.session.place_order(buy(paradex))
    assert "token-1" not in raised.value.text


async def test_a_cancel_names_the_order_by_either_id(paradex: ParadexRig) -> None:
    paradex.replies |= {
        f"DELETE /v1/orders/{ORDER_ID}": Answer(b"", 204),
        f"DELETE /v1/orders/by_client_id/{CLIENT_ID}": Answer(b"", 204),
        "DELETE /v1/orders": Answer(b"{}", 200),
    }
    await paradex.session.cancel_order(ORDER_ID, paradex.btc)
    await paradex.session.cancel_by_client_id(CLIENT_ID, paradex.btc)
    await paradex.session.cancel_all(paradex.btc)
    assert [(sent.method, sent.path, sent.body) for sent in paradex.server.sent[1:]] == [
        ("DELETE", f"/v1/orders/{ORDER_ID}", b""),
        ("DELETE", f"/v1/orders/by_client_id/{CLIENT_ID}?market=BTC-USD-PERP", b""),
        ("DELETE", "/v1/orders?market=BTC-USD-PERP", b""),
    ]


@pytest.mark.parametrize(
    ("code", "reason"),
    [("ORDER_ID_NOT_FOUND", Reason.ORDER_NOT_FOUND), ("ORDER_IS_CLOSED", Reason.ORDER_ALREADY_CLOSED)],
)
async def test_canceling_what_is_gone_is_refused(paradex: ParadexRig, code: str, reason: Reason) -> None:
    paradex.replies[f"DELETE /v1/orders/{ORDER_ID}"] = refusal(code)
    with pytest.raises(VenueRejected) as refused:
        await paradex.session.cancel_order(ORDER_ID, paradex.btc)
    assert refused.value.reason is reason


async def test_leverage_is_changed_without_changing_the_margin_mode(paradex: ParadexRig) -> None:
    config = {"market": "BTC-USD-PERP", "leverage": 50, "margin_type": "ISOLATED"}
    paradex.replies["GET /v1/account/margin"] = {"account": ACCOUNT, "configs": [config]}
    paradex.replies["POST /v1/account/margin/BTC-USD-PERP"] = {**config, "leverage": 5}
    await paradex.session.set_leverage(paradex.btc, 5)
    (sent,) = paradex.server.to("/v1/account/margin/BTC-USD-PERP")
    assert sent.document == {"leverage": 5, "margin_type": "ISOLATED"}


async def test_an_order_is_found_by_our_id_among_the_open_ones_or_in_the_history(paradex: ParadexRig) -> None:
    paradex.replies[f"GET /v1/orders/by_client_id/{CLIENT_ID}"] = report()
    found = await paradex.session.find_order(CLIENT_ID, paradex.btc)
    assert found is not None
    assert (found.order_id, found.status) == (ORDER_ID, OrderStatus.OPEN)
    paradex.replies[f"GET /v1/orders/by_client_id/{CLIENT_ID}"] = refusal("CLIENT_ORDER_ID_NOT_FOUND")
    paradex.replies["GET /v1/orders-history"] = page(report(status="CLOSED", cancel_reason="USER_CANCELED"))
    found = await paradex.session.find_order(CLIENT_ID, paradex.btc)
    assert found is not None
    assert found.status is OrderStatus.CANCELED
    paradex.replies["GET /v1/orders-history"] = page()
    assert await paradex.session.find_order(CLIENT_ID, paradex.btc) is None


@pytest.mark.parametrize("answer", [Answer(b"", 500), {}, Answer(b"<html>"), {"results": None}])
async def test_a_lookup_without_an_answer_is_not_an_order_that_is_not_there(paradex: ParadexRig, answer: Any) -> None:
    paradex.replies[f"GET /v1/orders/by_client_id/{CLIENT_ID}"] = refusal("CLIENT_ORDER_ID_NOT_FOUND")
    paradex.replies["GET /v1/orders-history"] = answer
    with pytest.raises(VenueUnclear):
        await paradex.session.find_order(CLIENT_ID, paradex.btc)
