"""Nado: what is signed, how an order is known again without a client order id, and what a fill really cost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.ccxt_venues.nado.wire import Mark, client_id, from_x18, to_x18
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
    VenueDuplicate,
    VenueFailure,
    VenueRejected,
    VenueUnclear,
)
from tests.adapters.ccxt.bridge_rig import path_of
from tests.adapters.ccxt.orders_to_place import NOW_MS, TOKEN
from tests.adapters.ccxt.recorded.desk import Desk, desk
from tests.adapters.ccxt.recorded.nado import SECRETS, SENDER, NadoWire, error, is_signed, ok
from tests.adapters.ccxt.recording_server import said

REDUCE_ONLY = 1 << 11
BY_PRICE = 1 << 12
GTC, IOC, FOK, POST_ONLY = (1 | kind << 9 for kind in range(4))


@pytest.fixture
async def nado(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk("nado", tmp_path) as found:
        yield found


@pytest.mark.parametrize(
    ("execution", "terms", "price", "appendix", "trigger"),
    [
        (Limit(price=Decimal(50_000)), {}, "50000", GTC, None),
        (PostOnly(price=Decimal(50_000)), {}, "50000", POST_ONLY, None),
        (Limit(price=Decimal(50_000), time_in_force=TimeInForce.FOK), {}, "50000", FOK, None),
        (
            Limit(price=Decimal(50_000), time_in_force=TimeInForce.IOC),
            {"reduce_only": True},
            "50000",
            IOC | REDUCE_ONLY,
            None,
        ),
        (Market(max_slippage_bps=100), {}, "60610", IOC, None),
        (
            Stop(trigger_price=Decimal(49_000)),
            {"side": Side.SELL, "reduce_only": True},
            "46550",
            IOC | REDUCE_ONLY | BY_PRICE,
            {"oracle_price_below": "49000" + "0" * 18},
        ),
        (
            TakeProfit(trigger_price=Decimal(70_000)),
            {"side": Side.SELL},
            "66500",
            IOC | BY_PRICE,
            {"oracle_price_above": "70000" + "0" * 18},
        ),
        (Stop(trigger_price=Decimal(70_000)), {}, "73500", IOC | BY_PRICE, {"oracle_price_above": "70000" + "0" * 18}),
    ],
)
async def test_every_kind_of_order_leaves_as_exactly_this(
    nado: Desk,
    execution: Execution,
    terms: dict[str, Any],
    price: str,
    appendix: int,
    trigger: dict[str, str] | None,
) -> None:
    nado.wire.book.position = Decimal(-1)
    await nado.place(execution, **terms)
    (sent,) = nado.placements()
    body = sent.document["place_order"]
    mark = Mark.of(nado.client_id)
    sign = "-" if terms.get("side") is Side.SELL else ""
    assert body.pop("signature")[:2] == "0x"
    waits_for = body.pop("trigger")["price_trigger"]["price_requirement"] if "trigger" in body else None
    assert waits_for == trigger
    assert body == {
        "product_id": 2,
        "order": {
            "sender": SENDER,
            "priceX18": price + "0" * 18,
            "amount": sign + "1" + "0" * 16,
            "expiration": str(mark.expiration),
            "nonce": str((NOW_MS + 10_000) << 20 | mark.random),
            "appendix": str(appendix),
        },
    }
    assert sent.path.startswith("/trigger." if trigger else "/gateway.")


async def test_nothing_is_said_of_a_builder_and_its_fee(nado: Desk) -> None:
    """ccxt fills in its own builder, who would get a hundredth of a percent."""
    await nado.place(PostOnly(price=Decimal(50_000)))
    (sent,) = nado.placements()
    assert int(sent.document["place_order"]["order"]["appendix"]) < 1 << 13


@pytest.mark.parametrize("execution", [PostOnly(price=Decimal(50_000)), Limit(price=Decimal(50_000))])
async def test_a_reduce_only_order_that_would_rest_is_not_sent(nado: Desk, execution: Execution) -> None:
    with pytest.raises(VenueRejected, match="cannot rest"):
        await nado.place(execution, reduce_only=True)
    assert nado.asked() == []


async def test_what_signatures_are_made_over_is_asked_once(nado: Desk) -> None:
    for number in range(2):
        nado.rig.client_id = f"{number:012x}"
        await nado.place(PostOnly(price=Decimal(50_000)))
    assert nado.asked() == [("GET", "/v1/query"), ("POST", "/v1/execute"), ("POST", "/v1/execute")]


@given(st.binary(min_size=16, max_size=16), st.integers(NOW_MS, NOW_MS + 10**9))
@settings(max_examples=200, deadline=None)
def test_an_order_is_known_again_by_what_stands_for_chance_in_it(token: bytes, until_ms: int) -> None:
    number = client_id(token)
    mark = Mark.of(number)
    told = {"nonce": str(mark.nonce(until_ms)), "expiration": str(mark.expiration)}
    assert mark.is_on(told)
    assert mark.nonce(until_ms) >> 20 == until_ms
    assert mark.expiration > 4_100_000_000
    assert not Mark.of(f"{int(number, 16) ^ 1:012x}").is_on(told)
    assert not Mark.of(f"{int(number, 16) ^ 1 << 46:012x}").is_on(told)


def test_a_client_id_is_47_bits_of_the_token() -> None:
    assert client_id(TOKEN) == f"{int.from_bytes(TOKEN[:6]) >> 1:012x}"
    assert len(client_id(b"\xff" * 16)) == 12


async def test_an_order_is_found_among_the_triggers_the_open_and_the_archived(nado: Desk) -> None:
    waiting = await nado.place(Stop(trigger_price=Decimal(70_000)))
    found = await nado.session.find_order(nado.client_id, nado.btc)
    assert (found.order_id, found.status, found.type, found.trigger_price) == (
        waiting.order_id,
        OrderStatus.PENDING,
        OrderType.STOP,
        Decimal(70_000),
    )
    nado.rig.client_id = "0123456789ab"
    await nado.place(Market())
    filled = await nado.session.find_order("0123456789ab", nado.btc)
    assert (filled.status, filled.average_price) == (OrderStatus.FILLED, Decimal(60_010))
    assert filled.fee == Decimal("0.01") * 60_010 * Decimal("0.00035")
    assert await nado.session.find_order("7fffffffffff", nado.btc) is None


async def test_a_trigger_order_is_canceled_where_it_waits(nado: Desk) -> None:
    order = await nado.place(Stop(trigger_price=Decimal(70_000)))
    nado.asked()
    await nado.session.cancel_order(order.order_id, nado.btc)
    hosts = [sent.path.split("/")[1].split(".")[0] for sent in nado.rig.server.sent]
    assert hosts == ["gateway", "trigger"]
    with pytest.raises(VenueRejected) as refused:
        await nado.session.cancel_order(order.order_id, nado.btc)
    assert refused.value.reason is Reason.ORDER_NOT_FOUND


async def test_everything_on_a_market_is_canceled_at_both_services(nado: Desk) -> None:
    for number, execution in enumerate((PostOnly(price=Decimal(50_000)), Stop(trigger_price=Decimal(70_000)))):
        nado.rig.client_id = f"{number:012x}"
        await nado.place(execution)
    nado.asked()
    await nado.session.cancel_all(nado.btc)
    assert nado.wire.book.open_orders() == []
    assert [list(sent.document) for sent in nado.rig.server.sent] == [["cancel_product_orders"]] * 2


async def test_a_list_that_may_be_cut_short_proves_nothing(nado: Desk) -> None:
    await nado.place(Market())
    (placed,) = nado.wire.placed.values()
    row = {**nado.wire._finished(placed), "nonce": "1"}
    nado.answer_instead("POST /v1", said({"orders": [row] * 500}))
    with pytest.raises(VenueUnclear, match="longer"):
        await nado.session.find_order("7fffffffffff", nado.btc)


async def test_a_fill_cost_what_changed_hands_and_not_what_the_order_said(nado: Desk) -> None:
    """ccxt takes the order's limit for the price; the quote that the venue tells has the fee taken off."""
    await nado.place(Market())
    (fill,) = await nado.session.get_fills(nado.btc, 10)
    assert (fill.price, fill.size, fill.side) == (Decimal(60_010), Decimal("0.01"), Side.BUY)
    assert fill.fee == Decimal("0.01") * 60_010 * Decimal("0.0005")
    await nado.place(Market(), side=Side.SELL, size="0.02")
    newest, _ = await nado.session.get_fills(nado.btc, 10)
    assert (newest.price, newest.side) == (Decimal(59_990), Side.SELL)
    (position,) = await nado.session.get_positions(None)
    assert (position.entry_price, position.mark_price) == (Decimal(60_010), Decimal(60_000))


async def test_funding_is_told_by_the_hour(nado: Desk) -> None:
    assert (await nado.session.get_funding_rate(nado.btc)).rate == Decimal("0.0000125")


async def test_leverage_follows_from_the_weight_of_the_market(nado: Desk) -> None:
    assert (nado.btc.venue_symbol, nado.btc.max_leverage, nado.btc.min_notional) == ("2", 20, Decimal(10))


@pytest.mark.parametrize(
    ("answer", "failure", "reason"),
    [
        (error(2006, "Insufficient account health"), VenueRejected, Reason.INSUFFICIENT_FUNDS),
        (error(2008, "Post-only order crosses the book"), VenueRejected, Reason.POST_ONLY_WOULD_TAKE),
        (error(2013, "Order digest exists"), VenueDuplicate, Reason.DUPLICATE_ORDER_ID),
        (error(2010, "Not enough health, or something else"), VenueUnclear, None),
        (error(99_999, "New"), VenueUnclear, None),
        (said(ok({})), VenueUnclear, None),
        (said(ok({"digest": None})), VenueUnclear, None),
    ],
)
async def test_what_is_answered_to_an_order_is_judged_by_the_venues_code(
    nado: Desk, answer: Any, failure: type[VenueFailure], reason: Reason | None
) -> None:
    nado.answer_instead("POST /v1/execute", answer)
    with pytest.raises(VenueFailure) as raised:
        await nado.place(PostOnly(price=Decimal(50_000)))
    assert type(raised.value) is failure
    assert reason in (None, raised.value.reason)


async def test_whose_key_it_is_is_asked_of_the_venue(nado: Desk) -> None:
    assert "linked signer can also withdraw" in (await nado.session.test())[0]
    nado.answer_instead("GET /v1/query", said(ok({"linked_signer": "0x" + "0" * 40})))
    with pytest.raises(VenueRejected) as refused:
        await nado.session.test()
    assert refused.value.reason is Reason.AUTHENTICATION_FAILED


async def test_another_subaccount_is_signed_for_by_its_name(tmp_path: Path) -> None:
    wire = NadoWire()
    wire.sender = SECRETS["account_address"] + b"desk".hex() + "0" * 16
    async with desk("nado", tmp_path, secrets={**SECRETS, "subaccount": "desk"}, wire=wire) as nado:
        await nado.place(PostOnly(price=Decimal(50_000)))
        (sent,) = nado.placements()
        body = sent.document["place_order"]
        contract = "0x" + "0" * 39 + "2"
        assert is_signed("Order", body["order"], body["signature"], contract, sender=wire.sender)
        assert [path_of(s) for s in nado.rig.server.sent] == ["/v1/query", "/v1/execute"]


@given(st.integers(-(10**29), 10**29))
@settings(max_examples=200, deadline=None)
def test_amounts_cross_exactly(whole: int) -> None:
    assert to_x18(from_x18(str(whole))) == str(whole)


@pytest.mark.parametrize("value", ["1e-19", "123456789012345678901234567890.1234567890123456789"])
def test_an_amount_that_has_more_places_than_the_venue_does_not_cross(value: str) -> None:
    with pytest.raises(ValueError, match="places"):
        to_x18(Decimal(value))


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999999", "9" * 70, "", "x", None])
def test_what_is_no_amount_is_none(text: Any) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        from_x18(text)
