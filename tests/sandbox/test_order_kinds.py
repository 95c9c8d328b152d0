from __future__ import annotations

from decimal import Decimal

import pytest

from normalization.orders import Execution, Limit, Market, OrderStatus, OrderType, PostOnly, Side, TimeInForce
from normalization.venue_failures import Reason, VenueDuplicate, VenueFailure, VenueRejected
from sandbox.engine import CancelAll, CancelByClientId, CancelOrder, NewOrder, PlaceOrders, SetLeverage
from sandbox.engine.floor import MAX_OPEN_ORDERS
from tests.sandbox.trading import FLAT, START_MS, Hand, intent

BID, MARK, ASK = Decimal("99.9"), Decimal(100), Decimal("100.1")


def gtc(price: str | Decimal) -> Limit:
    return Limit(price=Decimal(price))


def ioc(price: str | Decimal) -> Limit:
    return Limit(price=Decimal(price), time_in_force=TimeInForce.IOC)


def fok(price: str | Decimal) -> Limit:
    return Limit(price=Decimal(price), time_in_force=TimeInForce.FOK)


def offered(hand: Hand, levels: int) -> Decimal:
    """What the best ``levels`` of the asks hold together."""
    return sum((level.size for level in hand.engine.views.orderbook(FLAT, levels).asks), Decimal(0))


def test_a_limit_order_away_from_the_market_rests() -> None:
    hand = Hand()
    order = hand.place("ann", Side.BUY, "2", gtc("99"))
    assert (order.status, order.filled_size, order.price) == (OrderStatus.OPEN, Decimal(0), Decimal(99))
    assert order.type is OrderType.LIMIT
    assert order.order_id.startswith("ord_")
    assert hand.engine.views.open_orders(hand.engine.account("ann")) == [order]


def test_a_limit_order_through_the_market_takes_what_it_can_and_rests_with_the_remainder() -> None:
    hand = Hand()
    there = offered(hand, 1)
    order = hand.place("ann", Side.BUY, str(there + 1), gtc(ASK))
    assert (order.status, order.filled_size, order.average_price) == (OrderStatus.PARTIALLY_FILLED, there, ASK)
    assert hand.engine.views.orderbook(FLAT, 1).bids[0] == (ASK, Decimal(1))


def test_a_taker_gets_the_prices_in_the_book_not_its_own_limit() -> None:
    hand = Hand()
    order = hand.place("ann", Side.SELL, "1", gtc("95"))
    assert (order.status, order.average_price) == (OrderStatus.FILLED, BID)
    (fill,) = hand.fills("ann")
    assert (fill.price, fill.size, fill.side, fill.order_id) == (BID, Decimal(1), Side.SELL, order.order_id)
    assert fill.fee == order.fee == Decimal("0.04995")


def test_an_ioc_order_drops_what_does_not_fill_at_once() -> None:
    hand = Hand()
    there = offered(hand, 1)
    order = hand.place("ann", Side.BUY, str(there + 1), ioc(ASK))
    assert (order.status, order.filled_size) == (OrderStatus.CANCELED, there)
    assert hand.engine.views.open_orders(hand.engine.account("ann")) == []


def test_an_ioc_order_that_meets_nobody_is_refused() -> None:
    assert Hand().refusal("ann", Side.BUY, "1", ioc("100")) is Reason.NO_LIQUIDITY


def test_a_fok_order_fills_in_full() -> None:
    hand = Hand()
    there = offered(hand, 2)
    order = hand.place("ann", Side.BUY, str(there), fok("100.2"))
    assert (order.status, order.filled_size) == (OrderStatus.FILLED, there)


def test_a_fok_order_that_cannot_fill_in_full_is_refused_and_takes_nothing() -> None:
    hand = Hand()
    before = hand.engine.views.orderbook(FLAT, 5)
    too_much = str(offered(hand, 2) + Decimal("0.01"))
    assert hand.refusal("ann", Side.BUY, too_much, fok("100.2")) is Reason.NO_LIQUIDITY
    assert hand.engine.views.orderbook(FLAT, 5) == before


def test_a_post_only_order_rests_even_inside_the_spread() -> None:
    order = Hand().place("ann", Side.BUY, "1", PostOnly(price=MARK))
    assert (order.status, order.type) == (OrderStatus.OPEN, OrderType.LIMIT)


def test_a_post_only_order_that_would_take_is_refused() -> None:
    assert Hand().refusal("ann", Side.BUY, "1", PostOnly(price=ASK)) is Reason.POST_ONLY_WOULD_TAKE


def test_a_post_only_order_that_would_meet_its_own_account_is_refused_and_leaves_that_order_be() -> None:
    hand = Hand()
    own = hand.place("ann", Side.SELL, "1", gtc(MARK))
    assert hand.refusal("ann", Side.BUY, "1", PostOnly(price=MARK)) is Reason.POST_ONLY_WOULD_TAKE
    assert hand.order("ann", own.order_id).status is OrderStatus.OPEN


def test_a_market_order_walks_the_book_to_its_slippage_bound_and_drops_the_rest() -> None:
    hand = Hand()
    # 30 basis points above 100.1 is 100.4003: the levels at 100.1, 100.2, 100.3 and 100.4.
    there = offered(hand, 4)
    order = hand.place("ann", Side.BUY, str(there + 5), Market(max_slippage_bps=30))
    assert (order.status, order.filled_size) == (OrderStatus.CANCELED, there)
    assert max(fill.price for fill in hand.fills("ann")) == Decimal("100.4")
    assert order.type is OrderType.MARKET
    assert order.price is None


def test_a_market_sell_keeps_its_bound_on_the_other_side() -> None:
    hand = Hand()
    order = hand.place("ann", Side.SELL, "300", Market(max_slippage_bps=10))
    assert min(fill.price for fill in hand.fills("ann")) == Decimal("99.9")
    assert order.filled_size < 300


def test_half_of_a_market_order_fills_on_a_thin_day() -> None:
    order = Hand().place("ann", Side.BUY, "2", Market(), half=True)
    assert (order.status, order.filled_size) == (OrderStatus.CANCELED, Decimal(1))


def test_a_thin_day_is_nothing_to_an_order_that_may_rest() -> None:
    assert Hand().place("ann", Side.BUY, "2", gtc(ASK), half=True).status is OrderStatus.FILLED


def test_two_accounts_trade_with_each_other_at_the_price_of_the_one_who_waited() -> None:
    hand = Hand()
    resting = hand.place("ann", Side.SELL, "1", gtc(MARK))
    taking = hand.place("bob", Side.BUY, "1", gtc("100.1"))
    assert taking.average_price == MARK
    assert hand.order("ann", resting.order_id).status is OrderStatus.FILLED
    assert (hand.position("ann"), hand.position("bob")) == (Decimal(-1), Decimal(1))
    assert hand.fills("ann")[0].fee == Decimal("0.02")
    assert hand.fills("bob")[0].fee == Decimal("0.05")


def test_an_order_that_would_trade_with_its_own_account_cancels_the_one_that_rests() -> None:
    hand = Hand()
    resting = hand.place("ann", Side.SELL, "1", gtc(MARK))
    taking = hand.place("ann", Side.BUY, "1", gtc(MARK))
    assert hand.order("ann", resting.order_id).status is OrderStatus.CANCELED
    assert (taking.status, hand.position("ann")) == (OrderStatus.OPEN, Decimal(0))


@pytest.mark.parametrize(
    ("side", "size", "execution", "reason"),
    [
        (Side.BUY, "0.001", gtc("99"), Reason.INVALID_ORDER),
        (Side.BUY, "0", gtc("99"), Reason.INVALID_ORDER),
        (Side.BUY, "-1", gtc("99"), Reason.INVALID_ORDER),
        (Side.BUY, "NaN", gtc("99"), Reason.INVALID_ORDER),
        (Side.BUY, "1e30", gtc("99"), Reason.INVALID_ORDER),
        (Side.BUY, "1", gtc("99.95"), Reason.INVALID_ORDER),
        (Side.BUY, "1", gtc("-99"), Reason.INVALID_ORDER),
        (Side.BUY, "1", gtc("0"), Reason.INVALID_ORDER),
        (Side.BUY, "0.05", gtc("99"), Reason.INVALID_ORDER),
        (Side.BUY, "0.05", Market(), Reason.INVALID_ORDER),
        (Side.BUY, "1", gtc("150.1"), Reason.PRICE_OUT_OF_RANGE),
        (Side.SELL, "1", gtc("49.9"), Reason.PRICE_OUT_OF_RANGE),
        (Side.BUY, "1000000", gtc("99"), Reason.INSUFFICIENT_FUNDS),
        (Side.SELL, "1000000000", Market(), Reason.INSUFFICIENT_FUNDS),
    ],
)
def test_a_bad_order_is_refused_with_a_reason(side: Side, size: str, execution: Execution, reason: Reason) -> None:
    assert Hand().refusal("ann", side, size, execution) is reason


def test_prices_far_from_the_market_are_fine_where_they_only_wait() -> None:
    hand = Hand()
    hand.place("ann", Side.BUY, "100", gtc("0.1"))
    hand.place("ann", Side.SELL, "1", gtc("100000"))


def test_an_unknown_market_is_refused() -> None:
    assert Hand().refusal("ann", Side.BUY, "1", Market(), symbol="NO-USD-PERP") is Reason.INVALID_ORDER


def test_an_unknown_account_is_refused() -> None:
    hand = Hand()
    with pytest.raises(VenueRejected) as refused:
        hand.do(CancelAll(account="eve"))
    assert refused.value.reason is Reason.AUTHENTICATION_FAILED


def test_a_request_is_accepted_until_its_expiry_and_not_after() -> None:
    hand = Hand()
    hand.place("ann", Side.BUY, "1", gtc("99"), valid_until_ms=START_MS)
    hand.wait(1)
    assert hand.refusal("ann", Side.BUY, "1", gtc("99"), valid_until_ms=START_MS) is Reason.REQUEST_EXPIRED


def test_a_client_id_never_executes_twice_whatever_became_of_the_first_order() -> None:
    hand = Hand()
    first = hand.place("ann", Side.BUY, "1", Market(), client_id="x")
    hand.wait(3_600_000)
    with pytest.raises(VenueDuplicate):
        hand.place("ann", Side.BUY, "1", Market(), client_id="x")
    assert hand.position("ann") == 1
    assert hand.engine.views.find_by_client_id(hand.engine.account("ann"), "x") == first
    assert hand.engine.views.find_by_client_id(hand.engine.account("bob"), "x") is None


def test_a_client_id_belongs_to_its_account() -> None:
    hand = Hand()
    hand.place("ann", Side.BUY, "1", gtc("99"), client_id="x")
    hand.place("bob", Side.BUY, "1", gtc("99"), client_id="x")


def test_a_refused_order_does_not_use_its_client_id_up() -> None:
    hand = Hand()
    assert hand.refusal("ann", Side.BUY, "1", PostOnly(price=ASK), client_id="x") is Reason.POST_ONLY_WOULD_TAKE
    hand.place("ann", Side.BUY, "1", PostOnly(price=BID), client_id="x")


def test_orders_are_canceled_by_either_id_and_only_once() -> None:
    hand = Hand()
    one = hand.place("ann", Side.BUY, "1", gtc("99"))
    hand.place("ann", Side.BUY, "1", gtc("99"), client_id="x")
    hand.do(CancelOrder(account="ann", order_id=one.order_id))
    hand.do(CancelByClientId(account="ann", client_id="x"))
    assert hand.engine.views.open_orders(hand.engine.account("ann")) == []
    for again in (CancelOrder(account="ann", order_id=one.order_id), CancelByClientId(account="ann", client_id="x")):
        with pytest.raises(VenueRejected) as refused:
            hand.do(again)
        assert refused.value.reason is Reason.ORDER_ALREADY_CLOSED


def test_an_order_of_somebody_else_is_not_found() -> None:
    hand = Hand()
    order = hand.place("ann", Side.BUY, "1", gtc("99"), client_id="x")
    for attempt in (
        CancelOrder(account="bob", order_id=order.order_id),
        CancelByClientId(account="bob", client_id="x"),
    ):
        with pytest.raises(VenueRejected) as refused:
            hand.do(attempt)
        assert refused.value.reason is Reason.ORDER_NOT_FOUND
    assert hand.order("ann", order.order_id).status is OrderStatus.OPEN


def test_a_batch_is_judged_leg_by_leg_and_answered_in_order() -> None:
    hand = Hand()
    legs = [("99", "a"), ("99.95", "b"), ("98", "a"), ("97", "c")]
    outcomes = hand.do(
        PlaceOrders(
            account="ann",
            orders=tuple(NewOrder(intent=intent(Side.BUY, "1", gtc(price)), client_id=key) for price, key in legs),
        )
    )
    kinds = [o.reason if isinstance(o, VenueFailure) else o.status for o in outcomes]
    assert kinds == [OrderStatus.OPEN, Reason.INVALID_ORDER, Reason.DUPLICATE_ORDER_ID, OrderStatus.OPEN]


def test_canceling_all_of_a_market_leaves_the_others_alone() -> None:
    hand = Hand()
    hand.place("ann", Side.BUY, "1", gtc("99"))
    bobs = hand.place("bob", Side.BUY, "1", gtc("99"))
    hand.do(CancelAll(account="ann", symbol="OTHER-USD-PERP"))
    assert len(hand.engine.views.open_orders(hand.engine.account("ann"))) == 1
    hand.do(CancelAll(account="ann", symbol=FLAT))
    assert hand.engine.views.open_orders(hand.engine.account("ann")) == []
    assert hand.order("bob", bobs.order_id).status is OrderStatus.OPEN


def test_there_is_an_end_to_how_many_orders_may_be_open() -> None:
    hand = Hand()
    for _ in range(MAX_OPEN_ORDERS):
        hand.place("ann", Side.BUY, "0.2", gtc("99"))
    assert hand.refusal("ann", Side.BUY, "0.2", gtc("99")) is Reason.TOO_MANY_ORDERS


def test_leverage_is_set_within_the_instruments_maximum() -> None:
    hand = Hand()
    hand.do(SetLeverage(account="ann", symbol=FLAT, leverage=50))
    hand.place("ann", Side.BUY, "1", Market())
    assert hand.engine.views.positions(hand.engine.account("ann"))[0].leverage == 50
    for leverage in (0, -1, 51):
        with pytest.raises(VenueRejected) as refused:
            hand.do(SetLeverage(account="ann", symbol=FLAT, leverage=leverage))
        assert refused.value.reason is Reason.INVALID_LEVERAGE
