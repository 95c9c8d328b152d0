from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from normalization.orders import Limit, Market, OrderStatus, Side
from tests.sandbox.trading import FLAT, WILD, Hand, flat, wild

ASK = Decimal("100.1")


def at(price: str | Decimal) -> Limit:
    return Limit(price=Decimal(price))


def test_a_better_price_is_met_first() -> None:
    hand = Hand(accounts=("ann", "bob", "cat"))
    worse = hand.place("ann", Side.SELL, "1", at("100.1"))
    better = hand.place("bob", Side.SELL, "1", at("100.0"))
    hand.place("cat", Side.BUY, "1", Market())
    assert hand.order("bob", better.order_id).status is OrderStatus.FILLED
    assert hand.order("ann", worse.order_id).status is OrderStatus.OPEN


def test_of_two_orders_at_one_price_the_earlier_is_met_first() -> None:
    hand = Hand(accounts=("ann", "bob", "cat"))
    first = hand.place("ann", Side.SELL, "1", at("100"))
    second = hand.place("bob", Side.SELL, "1", at("100"))
    hand.place("cat", Side.BUY, "1.5", Market())
    assert hand.order("ann", first.order_id).status is OrderStatus.FILLED
    assert hand.order("bob", second.order_id).filled_size == Decimal("0.5")


def test_an_order_waits_behind_the_background_that_was_quoted_before_it() -> None:
    hand = Hand()
    quoted = hand.engine.views.orderbook(FLAT, 1).asks[0].size
    order = hand.place("ann", Side.SELL, "1", at(ASK))
    hand.place("bob", Side.BUY, str(quoted), Market())
    assert hand.order("ann", order.order_id).filled_size == 0
    hand.place("bob", Side.BUY, "1", Market())
    assert hand.order("ann", order.order_id).status is OrderStatus.FILLED


def test_an_order_comes_before_the_background_that_is_quoted_after_it() -> None:
    hand = Hand()
    order = hand.place("ann", Side.SELL, "1", at(ASK))
    hand.wait(1_000)
    hand.place("bob", Side.BUY, "1", Market())
    assert hand.order("ann", order.order_id).status is OrderStatus.FILLED


@settings(max_examples=100, deadline=None)
@given(
    asks=st.lists(st.tuples(st.integers(995, 1_000), st.integers(20, 300), st.integers(0, 1_500)), max_size=12),
    wanted=st.integers(20, 2_000),
)
def test_nobody_is_passed_over_for_a_worse_price_or_a_later_order(
    asks: list[tuple[int, int, int]], wanted: int
) -> None:
    hand = Hand(flat(), accounts=("bob", *(f"a{i}" for i in range(12))))
    placed = []
    for number, (ticks, lots, pause_ms) in enumerate(asks):
        price, size = Decimal(ticks) / 10, Decimal(lots) / 100
        # Nobody takes from the bid at 99.9 here: an ask below it rests only while it is above the best bid.
        if price > Decimal("99.9"):
            order = hand.place(f"a{number}", Side.SELL, str(size), at(price))
            placed.append((price, number, order.order_id))
        hand.wait(pause_ms)
    hand.place("bob", Side.BUY, str(Decimal(wanted) / 100), Market())
    found = [hand.order(f"a{number}", order_id) for _, number, order_id in sorted(placed)]
    left = [order.size - order.filled_size for order in found]
    touched = [order.filled_size > 0 for order in found]
    # In priority order: filled ones, at most one in part, then untouched ones.
    assert touched == sorted(touched, reverse=True)
    assert sum(0 < rest < order.size for rest, order in zip(left, found, strict=True)) <= 1
    if Decimal(wanted) / 100 >= sum(order.size for order in found):
        assert not any(left)


def test_a_resting_order_fills_as_maker_at_its_own_price_once_the_market_comes_to_it() -> None:
    hand = Hand(wild())
    price = (hand.mark() * Decimal("0.99")).quantize(Decimal("0.1"))
    order = hand.place("ann", Side.BUY, "1", at(price), symbol=WILD)
    assert order.status is OrderStatus.OPEN
    hand.wait(86_400_000)
    (fill,) = hand.fills("ann")
    assert fill.price == price
    assert fill.fee == (price * Decimal("0.0002")).quantize(Decimal("0.000001"))
    second = fill.at_ms // 1_000
    market = hand.engine.markets[WILD]
    # The best ask is one tick above the mark price: it was at the order's price then, and not a second before.
    assert market.mark(second) + Decimal("0.1") <= price < market.mark(second - 1) + Decimal("0.1")


def test_a_large_resting_order_fills_in_parts_no_larger_than_what_comes_to_its_price() -> None:
    hand = Hand(wild())
    price = (hand.mark() * Decimal("0.995")).quantize(Decimal("0.1"))
    order = hand.place("ann", Side.BUY, "900", at(price), symbol=WILD)
    hand.wait(86_400_000)
    fills = hand.fills("ann")
    assert hand.order("ann", order.order_id).status is OrderStatus.FILLED
    assert len(fills) > 3
    assert sum(fill.size for fill in fills) == 900
    market = hand.engine.markets[WILD]
    first = fills[0].at_ms
    there = sum(
        (level.size for level in market.levels(Side.SELL, first // 1_000, 100) if level.price <= price), Decimal(0)
    )
    assert sum((fill.size for fill in fills if fill.at_ms == first), Decimal(0)) <= there
