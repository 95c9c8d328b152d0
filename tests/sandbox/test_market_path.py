from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.engine.listings import Listing, listings
from sandbox.engine.path import LEVEL_OF_MINUTES, SECOND, SPANS, MarketPath, Node, first_second
from tests.sandbox.trading import START_MS, flat

NOW = START_MS // 1_000
MARKETS = listings()
levels = st.integers(0, SECOND - 1)
seconds = st.integers(NOW - 400 * 86_400, NOW + 400 * 86_400)
markets = st.sampled_from(MARKETS)
seeds = st.integers(0, 5)


def btc(seed: int = 1) -> MarketPath:
    return MarketPath(seed, MARKETS[0])


def test_the_price_is_a_function_of_seed_instrument_and_time() -> None:
    here, there, elsewhere = btc(), btc(), btc(seed=2)
    after_a_detour = [there.price(NOW + ago) for ago in range(5_000_000, 0, -999_983)] and there.price(NOW)
    assert here.price(NOW) == after_a_detour
    assert [here.price(NOW + s) for s in range(10)] != [elsewhere.price(NOW + s) for s in range(10)]


@settings(max_examples=100, deadline=None)
@given(seed=seeds, market=markets, level=levels, second=seconds)
def test_a_candle_is_exactly_what_its_parts_make_of_it(seed: int, market: Listing, level: int, second: int) -> None:
    path = MarketPath(seed, market)
    index, fanout = second // SPANS[level], SPANS[level] // SPANS[level + 1]
    whole = path.node(level, index)
    parts = [path.node(level + 1, index * fanout + part) for part in range(fanout)]
    assert whole == Node(
        parts[0].open,
        max(part.high for part in parts),
        min(part.low for part in parts),
        parts[-1].close,
        sum(part.volume for part in parts),
    )
    assert all(one.close == following.open for one, following in pairwise(parts))
    assert all(part.low <= min(part.open, part.close) <= max(part.open, part.close) <= part.high for part in parts)
    assert all(part.low > 0 and part.volume >= 0 for part in parts)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, market=markets, second=seconds)
def test_the_seconds_of_a_five_minute_candle_reach_its_extremes_and_no_further(
    seed: int, market: Listing, second: int
) -> None:
    path, level = MarketPath(seed, market), LEVEL_OF_MINUTES[5]
    index = second // SPANS[level]
    candle = path.node(level, index)
    start = index * SPANS[level]
    prices = [path.price(s) for s in range(start, start + SPANS[level] + 1)]
    assert (prices[0], max(prices), min(prices), prices[-1]) == candle[:4]


@settings(max_examples=50, deadline=None)
@given(seed=seeds, market=markets, level=st.sampled_from(sorted(LEVEL_OF_MINUTES.values())), second=seconds)
def test_a_growing_candle_only_ever_widens_until_it_closes(seed: int, market: Listing, level: int, second: int) -> None:
    path = MarketPath(seed, market)
    index = second // SPANS[level]
    earlier, later = path.so_far(level, index, second), path.so_far(level, index, second + SPANS[level] // 3)
    closed = path.so_far(level, index, (index + 1) * SPANS[level])
    assert earlier.open == later.open == closed.open
    assert earlier.close == path.price(second)
    assert closed.low <= later.low <= earlier.low <= earlier.high <= later.high <= closed.high
    assert earlier.volume <= later.volume <= closed.volume
    assert closed == path.so_far(level, index, NOW + 10**9) == path.node(level, index)


@settings(max_examples=100, deadline=None)
@given(
    seed=seeds,
    market=markets,
    after=seconds,
    length=st.integers(0, 1_500),
    away_bps=st.tuples(st.integers(0, 60), st.integers(0, 60)),
)
def test_the_first_second_at_a_price_is_the_one_that_stepping_finds(
    seed: int, market: Listing, after: int, length: int, away_bps: tuple[int, int]
) -> None:
    path = MarketPath(seed, market)
    here = path.price(after)
    low, high = here - here * away_bps[0] // 10_000, here + here * away_bps[1] // 10_000 + 1

    def may_hit(level: int, index: int) -> bool:
        node = path.node(level, index)
        return (node.open <= low or node.open >= high) if level == SECOND else (node.low <= low or node.high >= high)

    stepped = (s for s in range(after + 1, after + length + 1) if path.price(s) <= low or path.price(s) >= high)
    assert first_second(after, after + length, may_hit) == next(stepped, None)


@pytest.mark.parametrize("market", MARKETS, ids=lambda market: market.instrument.symbol)
def test_a_market_moves_within_seconds_and_by_a_few_percent_a_day(market: Listing) -> None:
    path = MarketPath(7, market)
    steps = [path.price(NOW + s) != path.price(NOW + s + 10) for s in range(0, 3_600, 10)]
    assert sum(steps) > len(steps) / 4
    days = [path.node(0, NOW // 86_400 + day) for day in range(100)]
    typical = sorted((day.high - day.low) / day.open for day in days)[50]
    assert market.daily_volatility < typical < 4 * market.daily_volatility
    assert all(0.6 < float(market.instrument.tick_size) * day.close / market.base_price < 1.6 for day in days)


def test_a_market_without_volatility_stands_still() -> None:
    path = MarketPath(1, flat())
    assert {path.price(NOW + s) for s in range(0, 500_000, 997)} == {1_000}


def test_the_listed_instruments_have_the_steps_of_real_venues() -> None:
    by_base = {market.instrument.base: market.instrument for market in MARKETS}
    assert len(by_base) >= 15
    assert {"BTC", "ETH", "SOL"} <= by_base.keys()
    assert by_base["kPEPE"].contract_multiplier == 1_000
    assert all(i.symbol == f"{i.base}-USD-PERP" and i.settle == "USDC" for i in by_base.values())
    assert all(i.min_notional == Decimal(10) and 1 < i.max_leverage <= 50 for i in by_base.values())
    assert min(market.base_price for market in MARKETS) < 0.001
    # A tick is some basis points at most, and a lot is affordable.
    assert all(float(m.instrument.tick_size) / m.base_price < 1e-3 for m in MARKETS)
    assert all(float(m.instrument.lot_size) * m.base_price < 10 for m in MARKETS)
