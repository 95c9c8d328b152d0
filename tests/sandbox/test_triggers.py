from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from normalization.orders import Limit, Market, OrderStatus, OrderType, Side, Stop, TakeProfit
from normalization.venue_failures import Reason
from sandbox.engine import CancelOrder
from tests.sandbox.trading import WILD, Hand, wild

Kind = Callable[[Decimal], Stop | TakeProfit]


def stop(price: Decimal) -> Stop:
    return Stop(trigger_price=price)


def take_profit(price: Decimal) -> TakeProfit:
    return TakeProfit(trigger_price=price)


# Kind, side, and whether the mark price must rise to the trigger.
KINDS: list[tuple[Kind, Side, bool]] = [
    (stop, Side.BUY, True),
    (stop, Side.SELL, False),
    (take_profit, Side.BUY, False),
    (take_profit, Side.SELL, True),
]


@pytest.mark.parametrize(("kind", "side", "rising"), KINDS)
def test_a_trigger_waits_for_the_mark_price_and_then_is_a_market_order(kind: Kind, side: Side, rising: bool) -> None:
    hand = Hand(wild())
    market = hand.engine.markets[WILD]
    trigger = hand.mark() + (Decimal("0.4") if rising else Decimal("-0.4"))
    order = hand.place("ann", side, "1", kind(trigger), symbol=WILD)
    assert (order.status, order.trigger_price, order.price) == (OrderStatus.PENDING, trigger, None)
    hand.wait(86_400_000)
    done = hand.order("ann", order.order_id)
    assert done.status is OrderStatus.FILLED
    assert done.type is (OrderType.STOP if kind is stop else OrderType.TAKE_PROFIT)
    at = hand.fills("ann")[0].at_ms // 1_000
    reached, before = market.mark(at), market.mark(at - 1)
    assert before < trigger <= reached if rising else before > trigger >= reached
    # A taker: it pays the spread and the taker's fee.
    assert done.average_price is not None
    assert (done.average_price - reached) * side.sign > 0
    assert done.fee == (done.average_price * Decimal("0.0005")).quantize(Decimal("0.000001"))


@pytest.mark.parametrize(("kind", "side", "rising"), KINDS)
@pytest.mark.parametrize("beyond", [Decimal(0), Decimal("0.5")])
def test_a_trigger_that_would_fire_at_once_is_refused(kind: Kind, side: Side, rising: bool, beyond: Decimal) -> None:
    trigger = Decimal(100) - beyond if rising else Decimal(100) + beyond
    assert Hand().refusal("ann", side, "1", kind(trigger)) is Reason.TRIGGER_WOULD_FIRE


def test_a_trigger_may_wait_for_a_position_that_is_not_there_yet() -> None:
    hand = Hand()
    order = hand.place("ann", Side.SELL, "1", stop(Decimal(90)), reduce_only=True)
    hand.place("ann", Side.BUY, "1", Market())
    hand.place("ann", Side.SELL, "1", Market())
    assert hand.order("ann", order.order_id).status is OrderStatus.PENDING


def test_a_reduce_only_trigger_with_nothing_to_reduce_is_canceled_when_it_fires() -> None:
    hand = Hand(wild())
    order = hand.place("ann", Side.SELL, "1", stop(hand.mark() - Decimal("0.4")), symbol=WILD, reduce_only=True)
    hand.wait(86_400_000)
    assert hand.order("ann", order.order_id).status is OrderStatus.CANCELED
    assert hand.fills("ann") == []


def test_a_trigger_that_the_account_can_no_longer_bear_is_canceled_when_it_fires() -> None:
    hand = Hand(wild())
    order = hand.place("ann", Side.SELL, "20000", stop(hand.mark() - Decimal("0.4")), symbol=WILD)
    assert order.status is OrderStatus.PENDING
    hand.wait(86_400_000)
    assert hand.order("ann", order.order_id).status is OrderStatus.CANCELED
    assert hand.position("ann", WILD) == 0


def test_a_waiting_trigger_ties_up_no_margin() -> None:
    hand = Hand()
    hand.place("ann", Side.SELL, "20000", stop(Decimal(90)))
    assert hand.engine.views.balance(hand.engine.account("ann")).free_collateral == 100_000


def test_a_canceled_trigger_never_fires() -> None:
    hand = Hand(wild())
    order = hand.place("ann", Side.SELL, "1", stop(hand.mark() - Decimal("0.4")), symbol=WILD)
    hand.do(CancelOrder(account="ann", order_id=order.order_id))
    hand.wait(86_400_000)
    assert hand.fills("ann") == []


def test_triggers_that_are_reached_together_fire_in_the_order_of_their_placing() -> None:
    hand = Hand(wild())
    mark = hand.mark()
    orders = [
        hand.place(account, Side.SELL, "1", stop(mark - gap), symbol=WILD)
        for account, gap in (("ann", Decimal("0.2")), ("bob", Decimal("0.1")), ("ann", Decimal("0.1")))
    ]
    market = hand.engine.markets[WILD]
    hand.wait(86_400_000)
    fills = {fill.order_id: fill for account in ("ann", "bob") for fill in hand.fills(account)}
    fired = sorted(fills.values(), key=lambda fill: fill.fill_id)
    for fill in fired:
        assert market.mark(fill.at_ms // 1_000) < mark
    together = [fill.order_id for fill in fired if fill.at_ms == fired[0].at_ms]
    assert together == [order.order_id for order in orders if order.order_id in together]


def test_what_fires_meets_the_orders_of_other_users() -> None:
    hand = Hand(wild())
    trigger = hand.mark() - Decimal("0.4")
    bid = hand.place("bob", Side.BUY, "1", Limit(price=trigger + Decimal("0.1")), symbol=WILD)
    hand.place("ann", Side.SELL, "1", stop(trigger), symbol=WILD)
    hand.wait(86_400_000)
    assert hand.order("bob", bid.order_id).status is OrderStatus.FILLED
    assert len(hand.fills("ann")) == 1
