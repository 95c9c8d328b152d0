"""Orders in Milo's words and back, without a Milo."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import Submission
from adapters.milo import orders
from adapters.milo.tokens import BY_MINT, MARKETS, TOKENS
from adapters.milo.trading import OrderLine, Position, WholeOrder
from adapters.milo.wire import decoded, encoded
from normalization.orders import (
    Execution,
    Limit,
    Market,
    OrderIntent,
    OrderStatus,
    OrderType,
    PostOnly,
    Side,
    Stop,
    TakeProfit,
    TimeInForce,
)
from normalization.venue_failures import Reason, VenueRejected
from sandbox.milo import tokens as sandbox

SOL = MARKETS.resolve("SOL-USD")
HELD = Position(thesis_id="t", status="active", amount="4", average_entry_price="100", token_address=SOL.venue_symbol)


def submission(side: Side, execution: Execution, size: str = "1", *, reduce_only: bool = False) -> Submission:
    intent = OrderIntent(symbol=SOL.symbol, side=side, size=Decimal(size), execution=execution, reduce_only=reduce_only)
    return Submission(intent=intent, instrument=SOL, client_id="c", valid_until_ms=1)


def shape(new: Any) -> tuple[str, str, str, str, str]:
    amount, trigger = new.payload.amount, new.payload.trigger
    number = amount.percentage if amount.type == "relative" else amount.amount
    return (new.type, amount.type, f"{number:f}", trigger.operator, f"{trigger.value:f}")


@pytest.mark.parametrize(
    ("side", "execution", "reduce_only", "expected"),
    [
        (Side.BUY, Market(), False, ("buy", "absolute", "1", "gte", "0")),
        (Side.SELL, Market(), False, ("sell", "relative", "25", "gte", "0")),
        (Side.BUY, Limit(price=Decimal(90)), False, ("buy", "absolute", "1", "lte", "90")),
        (Side.SELL, Limit(price=Decimal(110)), False, ("sell", "absolute", "1", "gte", "110")),
        (Side.SELL, Limit(price=Decimal(110)), True, ("sell", "relative", "25", "gte", "110")),
        (Side.BUY, Stop(trigger_price=Decimal(110)), False, ("buy", "absolute", "1", "gte", "110")),
        (Side.SELL, Stop(trigger_price=Decimal(90)), True, ("sell", "relative", "25", "lte", "90")),
    ],
)
def test_orders_become_triggers(side: Side, execution: Execution, reduce_only: bool, expected: tuple[str, ...]) -> None:
    assert shape(orders.new_order(submission(side, execution, reduce_only=reduce_only), HELD)) == expected


def test_more_than_a_position_is_all_of_it_where_it_only_reduces_and_a_number_of_tokens_where_not() -> None:
    all_of_it = orders.new_order(submission(Side.SELL, Market(), "9", reduce_only=True), HELD)
    assert shape(all_of_it)[1:3] == ("relative", "100")
    assert shape(orders.new_order(submission(Side.SELL, Market(), "9"), HELD))[1:3] == ("absolute", "9")
    assert shape(orders.new_order(submission(Side.SELL, Market(), "9"), None))[1:3] == ("absolute", "9")
    with pytest.raises(VenueRejected) as refused:
        orders.new_order(submission(Side.SELL, Market(), reduce_only=True), None)
    assert refused.value.reason is Reason.NO_POSITION


@given(held=st.integers(1, 10**14), sold=st.integers(1, 10**14))
def test_a_share_of_a_position_is_what_was_asked_for_to_the_smallest_unit(held: int, sold: int) -> None:
    held, sold = max(held, sold), min(held, sold)
    lot = Decimal("1E-9")
    position = Position(thesis_id="t", status="active", amount=f"{held * lot:f}")
    new = orders.new_order(submission(Side.SELL, Market(), f"{sold * lot:f}"), position)
    percentage = new.payload.amount.percentage
    assert isinstance(percentage, Decimal)
    # As Milo counts it: that share of the units, cut.
    assert int(Decimal(held) * percentage / 100) == sold


@pytest.mark.parametrize(
    ("execution", "expected"),
    [
        (TakeProfit(trigger_price=Decimal(120)), ("sell", "relative", "100", "rise", "20")),
        (Stop(trigger_price=Decimal("87.5")), ("sell", "relative", "100", "drop", "12.5")),
        # On the wrong side of Milo's entry price it is no rise and no drop.
        (TakeProfit(trigger_price=Decimal(95)), ("sell", "relative", "100", "gte", "95")),
        (Stop(trigger_price=Decimal(105)), ("sell", "relative", "100", "lte", "105")),
    ],
)
def test_protections_count_from_the_entry_price(execution: Execution, expected: tuple[str, ...]) -> None:
    asked = submission(Side.SELL, execution, "4", reduce_only=True)
    assert shape(orders.protection(asked, HELD)) == expected


def test_half_a_position_cannot_be_protected_nor_one_that_is_not_there() -> None:
    stop = Stop(trigger_price=Decimal(90))
    for asked, position, reason in (
        (submission(Side.SELL, stop, "2", reduce_only=True), HELD, Reason.INVALID_ORDER),
        (submission(Side.SELL, stop, "2", reduce_only=True), None, Reason.NO_POSITION),
        (submission(Side.BUY, stop, "4", reduce_only=True), HELD, Reason.NO_POSITION),
    ):
        with pytest.raises(VenueRejected) as refused:
            orders.protection(asked, position)
        assert refused.value.reason is reason


@pytest.mark.parametrize(
    ("side", "execution", "reduce_only"),
    [
        (Side.BUY, PostOnly(price=Decimal(1)), False),
        (Side.BUY, Limit(price=Decimal(1), time_in_force=TimeInForce.IOC), False),
        (Side.BUY, Limit(price=Decimal(1), time_in_force=TimeInForce.FOK), False),
        (Side.BUY, Stop(trigger_price=Decimal(1)), True),
    ],
)
def test_what_milo_has_nothing_like_is_refused(side: Side, execution: Execution, reduce_only: bool) -> None:
    with pytest.raises(VenueRejected):
        orders.refuse_what_cannot_be(submission(side, execution, reduce_only=reduce_only).intent)


def line(**changed: Any) -> OrderLine:
    amount = changed.pop("amount", {"type": "absolute", "amount": "2"})
    trigger = changed.pop("trigger", {"type": "absolute", "operator": "lte", "value": "90"})
    kind = changed.get("type", "buy")
    whole = {
        "id": "o",
        "type": kind,
        "status": "active",
        "tokenAddress": SOL.venue_symbol,
        "payload": {"type": kind, "amount": amount, "trigger": trigger},
        "createdAt": "2025-01-01T00:00:00.000Z",
    } | changed
    return decoded(json.dumps(whole).encode(), OrderLine)


RISE = {"type": "relative", "operator": "rise", "value": 20}
HALF = {"type": "relative", "percentage": 50}


@pytest.mark.parametrize(
    ("changed", "kind", "status", "size"),
    [
        ({}, OrderType.LIMIT, OrderStatus.OPEN, "2"),
        ({"status": "paused"}, OrderType.LIMIT, OrderStatus.PENDING, "2"),
        ({"status": "archived"}, OrderType.LIMIT, OrderStatus.CANCELED, "2"),
        ({"status": "error", "error": "no funds"}, OrderType.LIMIT, OrderStatus.REJECTED, "2"),
        ({"type": "sell", "trigger": {"type": "absolute", "operator": "lte", "value": 90}},
         OrderType.STOP, OrderStatus.PENDING, "2"),
        ({"trigger": {"type": "absolute", "operator": "gte", "value": 0}}, OrderType.MARKET, OrderStatus.OPEN, "2"),
        ({"type": "sell", "trigger": RISE, "amount": HALF, "thesisId": "t", "triggerPrice": 120},
         OrderType.TAKE_PROFIT, OrderStatus.PENDING, "2"),
        ({"amount": {"type": "absolute_usd", "amount": 90}}, OrderType.LIMIT, OrderStatus.OPEN, "1"),
        ({"status": "fulfilled", "fill": {"signature": "s", "amount": "1.5", "price": "89", "fee": 0.1}},
         OrderType.LIMIT, OrderStatus.FILLED, "1.5"),
    ],
)  # fmt: skip
def test_milos_orders_read_as_ours(changed: dict[str, Any], kind: OrderType, status: OrderStatus, size: str) -> None:
    order = orders.order_of(line(**changed), {"t": HELD}, {})
    assert order is not None
    assert (order.type, order.status, order.size) == (kind, status, Decimal(size))


def test_a_child_of_a_buy_that_waits_is_a_share_of_what_it_will_bring() -> None:
    parent = line(id="parent")
    child = line(id="child", type="sell", status="draft", parentId="parent", amount=HALF, trigger=RISE)
    order = orders.order_of(child, {}, {"parent": parent})
    assert order is not None
    assert (order.size, order.status) == (Decimal(1), OrderStatus.PENDING)


@pytest.mark.parametrize(
    "changed",
    [
        {"status": "frozen"},
        {"type": "swap"},
        {"trigger": {"type": "absolute", "operator": "eq", "value": 1}},
        {"trigger": {"type": "lunar", "operator": "gte", "value": 1}},
        {"amount": {"type": "all"}},
        {"amount": {"type": "absolute"}},
        {"createdAt": "soon"},
    ],
)
def test_a_word_that_nobody_knows_is_not_guessed(changed: dict[str, Any]) -> None:
    with pytest.raises((ValueError, LookupError)):
        orders.order_of(line(**changed), {}, {})


def test_an_order_for_another_token_is_no_order_of_ours() -> None:
    assert orders.order_of(line(tokenAddress="Unknown1111111111111111111111111111111111111"), {}, {}) is None


def test_an_acknowledgement_is_of_the_side_that_milo_says() -> None:
    asked = submission(Side.BUY, Limit(price=Decimal(90)))
    created = WholeOrder(id="o", type="sell", status="active")
    assert orders.acknowledged(created, asked).side is Side.SELL


def test_the_body_is_as_the_reference_has_it() -> None:
    new = orders.new_order(submission(Side.BUY, Market(), "0.5"), None)
    assert encoded(new) == (
        b'{"tokenAddress":"So11111111111111111111111111111111111111112","type":"buy","status":"active","payload":'
        b'{"type":"buy","amount":{"type":"absolute","amount":0.5},"trigger":{"type":"absolute","trigger":"price",'
        b'"operator":"gte","value":0}}}'
    )


def test_the_tokens_are_those_of_the_local_milo_and_are_found_by_ticker_and_by_mint() -> None:
    assert {(t.symbol, t.mint, t.decimals, t.asset_class) for t in TOKENS} == {
        (t.symbol, t.address, t.decimals, t.asset_class.value) for t in sandbox.TOKENS
    }
    for token in TOKENS:
        assert MARKETS.resolve(token.symbol) is MARKETS.resolve(token.mint) is BY_MINT[token.mint]
        assert MARKETS.resolve(f"{token.symbol}-USD").asset_class == token.asset_class
