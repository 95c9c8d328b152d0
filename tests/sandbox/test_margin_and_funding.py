from __future__ import annotations

from decimal import Decimal

import pytest

from normalization.orders import Limit, Market, OrderStatus, PositionSide, Side, Stop
from normalization.venue_failures import Reason, VenueRejected
from sandbox.engine import OpenAccount, SetLeverage
from tests.sandbox.trading import FLAT, WILD, Hand, flat, listing, lots_in, money_in, wild

HOUR_MS = 3_600_000


def at(price: str | Decimal) -> Limit:
    return Limit(price=Decimal(price))


def free(hand: Hand, account: str = "ann") -> Decimal:
    return hand.engine.views.balance(hand.engine.account(account)).free_collateral


def test_an_account_starts_with_its_cash_and_nothing_tied_up() -> None:
    hand = Hand()
    balance = hand.engine.views.balance(hand.engine.account("ann"))
    assert (balance.equity, balance.free_collateral, balance.account_value) == (Decimal(100_000),) * 3


def test_a_position_ties_up_its_notional_over_its_leverage() -> None:
    hand = Hand()
    hand.place("ann", Side.BUY, "5", Market())
    # Bought at 100.1, a tick above the mark price, with a taker's fee of five basis points.
    assert hand.equity("ann") == Decimal("99999.24975")
    assert free(hand) == Decimal("99999.24975") - 50
    hand.do(SetLeverage(account="ann", symbol=FLAT, leverage=20))
    assert free(hand) == Decimal("99999.24975") - 25


def test_resting_orders_tie_up_the_larger_of_both_sides() -> None:
    hand = Hand()
    hand.place("ann", Side.BUY, "30", at("99"))
    assert free(hand) == 100_000 - 300
    hand.place("ann", Side.SELL, "20", at("101"))
    assert free(hand) == 100_000 - 300
    hand.place("ann", Side.SELL, "20", at("101"))
    assert free(hand) == 100_000 - 400


def test_an_order_beyond_what_the_leverage_allows_is_refused_and_one_within_it_is_not() -> None:
    hand = Hand(cash=1_000)
    assert hand.refusal("ann", Side.BUY, "101", at("99")) is Reason.INSUFFICIENT_FUNDS
    hand.place("ann", Side.BUY, "60", at("99"))
    assert hand.refusal("ann", Side.BUY, "41", at("99")) is Reason.INSUFFICIENT_FUNDS
    hand.place("ann", Side.BUY, "40", at("99"))


def test_a_market_order_is_margined_in_full_even_where_the_book_is_thin() -> None:
    assert Hand().refusal("ann", Side.SELL, "1000000", Market()) is Reason.INSUFFICIENT_FUNDS


def test_fees_and_the_spread_count_against_a_taker() -> None:
    hand = Hand(cash=1_000)
    assert hand.refusal("ann", Side.BUY, "100", Market()) is Reason.INSUFFICIENT_FUNDS
    hand.place("ann", Side.BUY, "90", Market())


def test_an_account_without_free_collateral_can_still_get_out() -> None:
    hand = Hand(cash=1_000)
    hand.place("ann", Side.BUY, "90", Market())
    assert hand.refusal("ann", Side.BUY, "8", Market()) is Reason.INSUFFICIENT_FUNDS
    assert hand.place("ann", Side.SELL, "90", Market()).status is OrderStatus.FILLED


def test_leverage_cannot_be_lowered_below_what_the_margin_bears() -> None:
    hand = Hand(cash=1_000)
    hand.place("ann", Side.BUY, "90", Market())
    with pytest.raises(VenueRejected) as refused:
        hand.do(SetLeverage(account="ann", symbol=FLAT, leverage=5))
    assert refused.value.reason is Reason.INSUFFICIENT_FUNDS
    assert hand.engine.views.positions(hand.engine.account("ann"))[0].leverage == 10


def test_profit_is_realized_at_the_average_price_and_a_turn_starts_afresh() -> None:
    hand = Hand()
    hand.place("bob", Side.SELL, "2", at("100"))
    hand.place("ann", Side.BUY, "2", at("100"))
    hand.wait(1_000)
    hand.place("ann", Side.SELL, "3", Market())
    (position,) = hand.engine.views.positions(hand.engine.account("ann"))
    assert (position.side, position.size, position.entry_price) == (PositionSide.SHORT, Decimal(1), Decimal("99.9"))
    assert position.unrealized_pnl == Decimal("-0.1")
    closing = hand.engine.ended[1][-1]
    assert closing.realized_pnl == Decimal("-0.2")
    assert closing.position_before == 2


@pytest.mark.parametrize("side", list(Side))
def test_a_position_is_liquidated_where_its_liquidation_price_said(side: Side) -> None:
    hand = Hand(wild(), cash=1_000)
    hand.do(SetLeverage(account="ann", symbol=WILD, leverage=50))
    size = (Decimal(42_000) / hand.mark()).quantize(Decimal(1))
    hand.place("ann", side, str(size), Market(), symbol=WILD)
    said = hand.engine.views.positions(hand.engine.account("ann"))[0].liquidation_price
    assert said is not None
    waiting = hand.place(
        "ann", side, "0.1", Stop(trigger_price=hand.mark() * (1 + Decimal(side.sign) / 2)), symbol=WILD
    )
    market = hand.engine.markets[WILD]
    while hand.position("ann", WILD):
        hand.wait(60_000)
    fill = hand.fills("ann")[-1]
    at_s = fill.at_ms // 1_000
    assert (market.mark(at_s) - said) * side.sign <= 0 < (market.mark(at_s - 1) - said) * side.sign
    assert hand.engine.account("ann").liquidations == 1
    assert hand.order("ann", waiting.order_id).status is OrderStatus.CANCELED
    assert hand.equity("ann") >= 0


def test_what_a_liquidated_account_owes_is_paid_by_the_insurance_fund() -> None:
    # A book so thin that closing costs more than the account still has when its maintenance margin is gone.
    hand = Hand(listing("WILD", volatility=0.33, depth=10.0), accounts=("bob",))
    hand.do(OpenAccount(account="ann", cash=Decimal(80)))
    hand.do(SetLeverage(account="ann", symbol=WILD, leverage=50))
    size = str((Decimal(3_500) / hand.mark()).quantize(Decimal("0.01")))
    hand.place("bob", Side.SELL, size, at(hand.mark()), symbol=WILD)
    hand.place("ann", Side.BUY, size, at(hand.mark()), symbol=WILD)
    before = hand.engine.ledger.books.insurance
    hand.wait(7 * 86_400_000)
    assert hand.engine.account("ann").liquidations == 1
    assert hand.equity("ann") == 0
    assert hand.engine.ledger.books.insurance < before
    assert (money_in(hand.engine), lots_in(hand.engine, WILD)) == (Decimal(0), 0)


def test_a_position_that_has_just_grown_is_watched_from_that_second_on() -> None:
    liquidated = 0
    for start in range(20):
        hand = Hand(listing("WILD", volatility=0.33, depth=100_000.0), cash=1_000)
        hand.wait(start * 1_000_000)
        hand.do(SetLeverage(account="ann", symbol=WILD, leverage=50))
        hand.place("ann", Side.BUY, "1", Market(), symbol=WILD)
        hand.wait(1_000)
        hand.place("ann", Side.BUY, str((Decimal(46_000) / hand.mark()).quantize(Decimal(1))), Market(), symbol=WILD)
        for _ in range(60):
            hand.wait(1_000)
            assert not hand.engine.ledger.is_liquidatable(hand.engine.account("ann"), hand.now_ms // 1_000)
        liquidated += hand.engine.account("ann").liquidations
    assert liquidated > 0


def test_longs_pay_shorts_at_the_full_hour_what_the_rate_said() -> None:
    hand = Hand(flat())
    hand.place("bob", Side.SELL, "50", at("100"))
    hand.place("ann", Side.BUY, "50", at("100"))
    before = hand.equity("ann"), hand.equity("bob")
    house = hand.engine.ledger.books.house_cash
    hand.wait(HOUR_MS - 1_000)
    rate = hand.engine.views.funding_rate(FLAT).rate
    assert (hand.equity("ann"), hand.equity("bob")) == before
    hand.wait(1_000)
    due = (5_000 * rate).quantize(Decimal("0.000001"))
    assert rate != 0
    assert hand.equity("ann") == before[0] - due
    assert hand.equity("bob") == before[1] + due
    assert hand.engine.ledger.books.house_cash == house


def test_funding_goes_on_while_nobody_looks() -> None:
    looked, left = Hand(flat()), Hand(flat())
    for hand in (looked, left):
        hand.place("ann", Side.BUY, "50", Market())
    for _ in range(48):
        looked.wait(HOUR_MS // 2)
    left.wait(24 * HOUR_MS)
    assert looked.equity("ann") == left.equity("ann") != Decimal(100_000)
    assert (money_in(left.engine), lots_in(left.engine, FLAT)) == (Decimal(0), 0)
