from __future__ import annotations

from decimal import Decimal

import pytest

from normalization.orders import Limit, Market, OrderStatus, Side, Stop, TakeProfit, TimeInForce
from normalization.venue_failures import Reason, VenueFailure
from sandbox.engine import CancelOrder, NewOrder, PlaceOrders
from tests.sandbox.trading import WILD, Hand, intent, wild


def at(price: str) -> Limit:
    return Limit(price=Decimal(price))


def fok(price: str) -> Limit:
    return Limit(price=Decimal(price), time_in_force=TimeInForce.FOK)


def long_of(size: str, *accounts: str) -> Hand:
    hand = Hand(accounts=("ann", "bob", *accounts))
    hand.place("ann", Side.BUY, size, Market())
    return hand


def test_a_reduce_only_order_larger_than_the_position_closes_it_and_no_more() -> None:
    hand = long_of("2")
    order = hand.place("ann", Side.SELL, "5", Market(), reduce_only=True)
    assert (order.status, order.filled_size) == (OrderStatus.FILLED, Decimal(2))
    assert hand.position("ann") == 0


@pytest.mark.parametrize("side", list(Side))
def test_a_reduce_only_order_without_a_position_is_refused(side: Side) -> None:
    assert Hand().refusal("ann", side, "1", Market(), reduce_only=True) is Reason.REDUCE_ONLY_WOULD_INCREASE


def test_a_reduce_only_order_on_the_side_of_the_position_is_refused() -> None:
    refusal = long_of("2").refusal("ann", Side.BUY, "1", at("99"), reduce_only=True)
    assert refusal is Reason.REDUCE_ONLY_WOULD_INCREASE


def test_reduce_only_may_be_worth_less_than_the_least_notional() -> None:
    hand = long_of("2")
    assert hand.place("ann", Side.SELL, "0.01", Market(), reduce_only=True).status is OrderStatus.FILLED


def test_a_resting_reduce_only_order_is_cut_when_the_position_shrinks() -> None:
    hand = long_of("2")
    order = hand.place("ann", Side.SELL, "2", at("101"), reduce_only=True)
    hand.place("ann", Side.SELL, "1.5", Market())
    cut = hand.order("ann", order.order_id)
    assert (cut.status, cut.size) == (OrderStatus.OPEN, Decimal("0.5"))


def test_a_resting_reduce_only_order_is_canceled_when_the_position_is_gone() -> None:
    hand = long_of("2")
    order = hand.place("ann", Side.SELL, "2", at("101"), reduce_only=True)
    hand.place("ann", Side.SELL, "2", Market())
    assert hand.order("ann", order.order_id).status is OrderStatus.CANCELED


def test_a_resting_reduce_only_order_is_canceled_when_the_position_turns() -> None:
    hand = long_of("2")
    order = hand.place("ann", Side.SELL, "2", at("101"), reduce_only=True)
    hand.place("ann", Side.SELL, "3", Market())
    assert hand.position("ann") == -1
    assert hand.order("ann", order.order_id).status is OrderStatus.CANCELED


def test_one_sweep_through_several_orders_of_an_account_never_turns_its_position() -> None:
    hand = long_of("2")
    hand.wait(1_000)
    plain = hand.place("ann", Side.SELL, "1", at("100"))
    first = hand.place("ann", Side.SELL, "2", at("100"), reduce_only=True)
    second = hand.place("ann", Side.SELL, "2", at("100"), reduce_only=True)
    taker = hand.place("bob", Side.BUY, "4", at("100"))
    assert hand.position("ann") == 0
    assert taker.filled_size == 2
    assert hand.order("ann", plain.order_id).status is OrderStatus.FILLED
    assert hand.order("ann", first.order_id).filled_size == 1
    assert hand.order("ann", second.order_id).status is OrderStatus.CANCELED


def test_reduce_only_orders_count_for_a_fok_order_only_as_far_as_they_can_fill() -> None:
    hand = long_of("2")
    hand.wait(1_000)
    hand.place("ann", Side.SELL, "2", at("100"), reduce_only=True)
    hand.place("ann", Side.SELL, "2", at("100"), reduce_only=True)
    assert hand.refusal("bob", Side.BUY, "3", fok("100")) is Reason.NO_LIQUIDITY
    assert hand.place("bob", Side.BUY, "2", fok("100")).status is OrderStatus.FILLED


def test_a_pair_counts_once_for_a_fok_order() -> None:
    hand = Hand()
    hand.pair("ann", intent(Side.SELL, "1", at("100")), intent(Side.SELL, "1", at("100")))
    assert hand.refusal("bob", Side.BUY, "2", fok("100")) is Reason.NO_LIQUIDITY
    assert hand.place("bob", Side.BUY, "1", fok("100")).status is OrderStatus.FILLED


def test_of_a_pair_the_first_to_fill_cancels_the_other() -> None:
    hand = Hand()
    low, high = hand.pair("ann", intent(Side.BUY, "1", at("99")), intent(Side.SELL, "1", at("100")))
    hand.place("bob", Side.BUY, "0.4", at("100"))
    assert hand.order("ann", low.order_id).status is OrderStatus.CANCELED
    assert hand.order("ann", high.order_id).status is OrderStatus.PARTIALLY_FILLED


def test_one_sweep_meets_only_one_of_a_pair() -> None:
    hand = Hand()
    hand.wait(1_000)
    one, other = hand.pair("ann", intent(Side.SELL, "1", at("100")), intent(Side.SELL, "1", at("100")))
    taker = hand.place("bob", Side.BUY, "2", at("100"))
    assert taker.filled_size == 1
    assert hand.order("ann", one.order_id).status is OrderStatus.FILLED
    assert hand.order("ann", other.order_id).status is OrderStatus.CANCELED


def test_a_pair_whose_first_order_fills_at_once_takes_no_second() -> None:
    hand = Hand()
    first, second = hand.do(
        PlaceOrders(
            account="ann",
            orders=(
                NewOrder(intent=intent(Side.BUY, "1", at("101"))),
                NewOrder(intent=intent(Side.BUY, "1", at("99"))),
            ),
            one_cancels_other=True,
        )
    )
    assert isinstance(second, VenueFailure)
    assert not isinstance(first, VenueFailure)
    assert first.status is OrderStatus.FILLED


def test_a_pair_whose_second_order_fills_at_once_cancels_the_first() -> None:
    hand = Hand()
    first, second = hand.pair("ann", intent(Side.BUY, "1", at("99")), intent(Side.BUY, "1", at("101")))
    assert (first.status, second.status) == (OrderStatus.CANCELED, OrderStatus.FILLED)


def test_canceling_one_of_a_pair_leaves_the_other() -> None:
    hand = Hand()
    first, second = hand.pair("ann", intent(Side.BUY, "1", at("99")), intent(Side.BUY, "1", at("98")))
    hand.do(CancelOrder(account="ann", order_id=first.order_id))
    assert hand.order("ann", second.order_id).status is OrderStatus.OPEN


def protection(size: str = "2") -> tuple[Hand, str, str]:
    """A long position in a flat market, with a take-profit and a stop around it."""
    hand = long_of(size)
    high, low = hand.pair(
        "ann",
        intent(Side.SELL, size, TakeProfit(trigger_price=Decimal(110)), reduce_only=True),
        intent(Side.SELL, size, Stop(trigger_price=Decimal(90)), reduce_only=True),
    )
    assert (high.status, low.status) == (OrderStatus.PENDING, OrderStatus.PENDING)
    return hand, high.order_id, low.order_id


def test_both_of_a_protection_die_when_the_position_is_closed() -> None:
    hand, high, low = protection()
    hand.place("ann", Side.SELL, "2", Market())
    assert [hand.order("ann", key).status for key in (high, low)] == [OrderStatus.CANCELED] * 2


def test_both_of_a_protection_live_on_when_the_position_shrinks() -> None:
    hand, high, low = protection()
    hand.place("ann", Side.SELL, "1", Market())
    assert [hand.order("ann", key).status for key in (high, low)] == [OrderStatus.PENDING] * 2


def test_a_protection_needs_a_position() -> None:
    hand = Hand()
    outcomes = hand.do(
        PlaceOrders(
            account="ann",
            orders=(
                NewOrder(intent=intent(Side.SELL, "1", TakeProfit(trigger_price=Decimal(110)), reduce_only=True)),
                NewOrder(intent=intent(Side.SELL, "1", Stop(trigger_price=Decimal(90)), reduce_only=True)),
            ),
            one_cancels_other=True,
        )
    )
    assert [o.reason for o in outcomes if isinstance(o, VenueFailure)] == [Reason.NO_POSITION] * 2


def test_a_protection_that_fires_closes_the_position_and_cancels_its_other_half() -> None:
    hand = Hand(wild())
    hand.place("ann", Side.BUY, "2", Market(), symbol=WILD)
    step = (hand.mark() * Decimal("0.01")).quantize(Decimal("0.1"))
    pair = hand.pair(
        "ann",
        intent(Side.SELL, "5", TakeProfit(trigger_price=hand.mark() + step), symbol=WILD, reduce_only=True),
        intent(Side.SELL, "5", Stop(trigger_price=hand.mark() - step), symbol=WILD, reduce_only=True),
    )
    hand.wait(86_400_000)
    assert hand.position("ann", WILD) == 0
    ended = [hand.order("ann", order.order_id) for order in pair]
    assert sorted(order.status for order in ended) == [OrderStatus.CANCELED, OrderStatus.FILLED]
    assert sum(order.filled_size for order in ended) == 2
