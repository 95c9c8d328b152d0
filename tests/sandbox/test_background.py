from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest

from normalization.orders import Limit, Market, PostOnly, Side
from normalization.venue_failures import VenueRejected
from sandbox.engine import Engine, listings
from tests.sandbox.trading import FLAT, START_MS, Hand, wild

SYMBOLS = [listing.instrument.symbol for listing in listings()]


def exchange() -> Engine:
    engine = Engine(7)
    engine.advance(START_MS)
    return engine


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_the_background_quotes_25_levels_and_more_on_each_side_of_the_mark_price(symbol: str) -> None:
    views = exchange().views
    book, mark = views.orderbook(symbol, 100), views.mark_price(symbol).mark_price
    instrument = views.market(symbol).instrument
    assert min(len(book.bids), len(book.asks)) >= 25
    assert all(better.price > worse.price for better, worse in pairwise(book.bids))
    assert all(better.price < worse.price for better, worse in pairwise(book.asks))
    assert book.bids[0].price < mark < book.asks[0].price
    assert (book.asks[0].price - book.bids[0].price) / mark < Decimal("0.003")
    for level in (*book.bids, *book.asks):
        instrument.check_price(level.price)
        instrument.check_size(level.size)
        assert level.size > 0


def test_the_book_is_the_same_all_through_a_second_and_another_in_the_next() -> None:
    engine = exchange()
    now = engine.views.orderbook("BTC-USD-PERP", 30)
    engine.advance(START_MS + 999)
    assert engine.views.orderbook("BTC-USD-PERP", 30) == now
    engine.advance(START_MS + 1_000)
    assert engine.views.orderbook("BTC-USD-PERP", 30) != now


def test_a_depth_of_three_shows_three_levels() -> None:
    book = exchange().views.orderbook("ETH-USD-PERP", 3)
    assert (len(book.bids), len(book.asks)) == (3, 3)


def test_what_was_taken_stays_taken_until_the_second_is_over() -> None:
    hand = Hand()
    before = hand.engine.views.orderbook(FLAT, 5)
    hand.place("ann", Side.BUY, str(before.asks[0].size), Market())
    hand.wait(900)
    assert hand.engine.views.orderbook(FLAT, 4).asks == before.asks[1:]
    assert hand.engine.views.orderbook(FLAT, 5).bids == before.bids
    hand.wait(100)
    anew = hand.engine.views.orderbook(FLAT, 1).asks[0]
    assert anew.price == before.asks[0].price
    hand.place("ann", Side.BUY, "1", Market())
    assert hand.engine.views.orderbook(FLAT, 1).asks[0] == (anew.price, anew.size - 1)


def test_a_users_order_is_in_the_book_that_everybody_sees() -> None:
    hand = Hand()
    best = hand.engine.views.orderbook(FLAT, 1).bids[0]
    hand.place("ann", Side.BUY, "3", Limit(price=best.price))
    hand.place("ann", Side.BUY, "1", PostOnly(price=Decimal(100)))
    bids = hand.engine.views.orderbook(FLAT, 2).bids
    assert bids[0] == (Decimal(100), Decimal(1))
    assert bids[1] == (best.price, best.size + 3)


def test_the_index_stays_within_some_basis_points_of_the_mark_price() -> None:
    engine = exchange()
    for hour in range(200):
        engine.advance(START_MS + hour * 3_600_000)
        prices = engine.views.mark_price("BTC-USD-PERP")
        assert prices.index_price is not None
        assert abs(prices.mark_price / prices.index_price - 1) < Decimal("0.0007")


def test_funding_is_hourly_small_and_settled_within_its_hour() -> None:
    engine = exchange()
    for hour in range(100):
        engine.advance(START_MS + hour * 3_600_000 + 3_599_000)
        funding = engine.views.funding_rate("SOL-USD-PERP")
        assert funding.next_funding_ms == START_MS + (hour + 1) * 3_600_000
        assert abs(funding.rate) < Decimal("0.0002")
    start = START_MS + 1000 * 3_600_000
    engine.advance(start + 3_300_000)
    last_sample = engine.views.funding_rate("SOL-USD-PERP")
    engine.advance(start + 3_599_999)
    assert engine.views.funding_rate("SOL-USD-PERP") == last_sample


@pytest.mark.parametrize("minutes", [1, 5, 15, 60, 240, 1440])
def test_candles_come_oldest_first_and_the_closed_ones_never_change(minutes: int) -> None:
    engine = exchange()
    before = engine.views.candles("ETH-USD-PERP", minutes, 500)
    assert len(before) == 500
    assert all(b.opened_at_ms - a.opened_at_ms == minutes * 60_000 for a, b in pairwise(before))
    assert all(a.close == b.open for a, b in pairwise(before))
    assert before[-1].close == engine.views.mark_price("ETH-USD-PERP").mark_price
    engine.advance(START_MS + minutes * 60_000)
    after = engine.views.candles("ETH-USD-PERP", minutes, 3)
    assert after[0] == before[-2]
    assert after[1].open == before[-1].open


def test_an_hour_is_made_of_its_minutes() -> None:
    engine = exchange()
    engine.advance(START_MS // 3_600_000 * 3_600_000 + 3_600_000)
    hour = engine.views.candles("BTC-USD-PERP", 60, 2)[0]
    minutes = engine.views.candles("BTC-USD-PERP", 1, 61)[:60]
    assert minutes[0].opened_at_ms == hour.opened_at_ms
    assert hour.high == max(minute.high for minute in minutes)
    assert hour.low == min(minute.low for minute in minutes)
    assert hour.volume == sum(minute.volume for minute in minutes)
    assert (hour.open, hour.close) == (minutes[0].open, minutes[-1].close)


def test_a_resting_order_fills_within_the_candle_of_its_minute() -> None:
    hand = Hand(wild())
    price = (hand.mark() * Decimal("0.995")).quantize(Decimal("0.1"))
    hand.place("ann", Side.BUY, "1", Limit(price=price), symbol="WILD-USD-PERP")
    hand.wait(86_400_000)
    (fill,) = hand.fills("ann")
    minutes = hand.engine.views.market("WILD-USD-PERP").candle(1, fill.at_ms // 60_000, hand.now_ms // 1_000)
    assert minutes.low < fill.price <= minutes.high


def test_candles_of_an_odd_interval_are_refused() -> None:
    with pytest.raises(VenueRejected):
        exchange().views.candles("BTC-USD-PERP", 7, 10)


def test_every_market_is_summed_up_with_its_open_interest() -> None:
    hand = Hand()
    (before,) = hand.engine.views.summaries()
    hand.place("ann", Side.BUY, "2", Market())
    (after,) = hand.engine.views.summaries()
    assert before.symbol == FLAT
    assert before.open_interest > 0
    assert after.open_interest - before.open_interest == 200
