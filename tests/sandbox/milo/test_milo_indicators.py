from __future__ import annotations

from math import exp, isclose, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.milo.analysis import indicators as ind

# The example that the textbooks on Wilder's index go through.
CLOSES = [
    44.34, 44.09, 44.15, 43.61, 44.33, 44.83, 45.10, 45.42, 45.84, 46.08, 45.89, 46.03, 45.61, 46.28, 46.28, 46.00,
    46.03, 46.41, 46.22, 45.64,
]  # fmt: skip
PRICES = st.lists(st.floats(0.0001, 100_000.0), min_size=30, max_size=60)


def test_rsi_is_wilders_of_the_textbook() -> None:
    found = [ind.rsi(CLOSES[:length]) for length in (15, 16, 17, 20)]
    assert found == [pytest.approx(expected, abs=0.05) for expected in (70.46, 66.25, 66.48, 57.92)]


def test_rsi_of_what_only_rises_is_100_only_falls_0_and_stands_still_50() -> None:
    assert ind.rsi([float(n) for n in range(1, 40)]) == 100
    assert ind.rsi([float(n) for n in range(40, 1, -1)]) == 0
    assert ind.rsi([7.0] * 40) == 50


def test_averages_are_those_of_the_last_values() -> None:
    assert ind.moving_average([1.0, 2.0, 3.0, 4.0], 2) == 3.5
    assert ind.moving_averages([1.0, 2.0, 3.0, 4.0], 2) == [1.5, 2.5, 3.5]
    assert ind.exponential_averages([2.0, 4.0, 6.0, 8.0], 3) == [4.0, 6.0]


def test_macd_of_a_straight_line_is_its_slope_times_the_lag_between_the_averages() -> None:
    # Each average lags (length - 1) / 2 steps behind a straight line: 12.5 and 5.5.
    found = ind.macd([100.0 + 2 * step for step in range(200)])
    assert found is not None
    assert found.line == pytest.approx(2 * (12.5 - 5.5))
    assert found.histogram == pytest.approx(0, abs=1e-6)


def test_volatility_is_the_deviation_of_the_returns() -> None:
    steady = [exp(0.01 * step) for step in range(20)]
    assert ind.volatility(steady) == pytest.approx(0, abs=1e-12)
    alternating = [1.0, 1.1] * 10
    up = log(1.1)
    expected = (sum((up if step % 2 == 0 else -up) ** 2 for step in range(19)) - up * up / 19) / 18
    assert ind.volatility(alternating) == pytest.approx(expected**0.5)


def test_drawdown_is_the_deepest_fall_from_a_peak_and_where_it_stands_now() -> None:
    assert ind.drawdown([10, 8, 12, 6, 9]) == ind.Drawdown(deepest=0.5, peak=2, trough=3, now=0.25)
    assert ind.drawdown([1, 2, 3]) == ind.Drawdown(deepest=0.0, peak=0, trough=0, now=0.0)


def test_a_fit_finds_the_growth_of_an_exact_exponential_and_explains_all_of_it() -> None:
    found = ind.fit([100 * 1.02**step for step in range(30)])
    assert found is not None
    assert exp(found.growth) == pytest.approx(1.02)
    assert found.explained == pytest.approx(1)


def test_correlation_is_one_with_itself_and_minus_one_with_its_mirror() -> None:
    left = [1.0, 1.2, 1.1, 1.4, 1.3, 1.5]
    mirror = [1 / value for value in left]
    assert ind.correlation(left, left) == pytest.approx(1)
    assert ind.correlation(left, mirror) == pytest.approx(-1)
    assert ind.correlation(left, [1.0] * 6) is None


def test_the_true_range_counts_gaps() -> None:
    # From a close of 10 to a candle between 12 and 13: three, not one.
    highs, lows, closes = [11.0] * 14 + [11.0, 13.0], [9.0] * 14 + [9.0, 12.0], [10.0] * 15 + [12.5]
    assert ind.average_true_range(highs, lows, closes) == pytest.approx((13 * 2 + 3) / 14)


def test_turning_points_are_what_nothing_around_undercuts_or_exceeds() -> None:
    assert ind.turning_points([3, 2, 1, 2, 3, 4, 5, 4, 3], 2) == ([1], [5])


def test_a_crossing_is_counted_back_from_the_present() -> None:
    assert ind.last_crossing([1, 1, 3, 3], [2, 2, 2, 2]) == 1
    assert ind.last_crossing([3, 3, 3], [2, 2, 2]) is None


def test_too_few_values_are_no_indicator() -> None:
    assert ind.rsi(CLOSES[:14]) is None
    assert ind.moving_average([1.0], 2) is None
    assert ind.macd(CLOSES) is None
    assert ind.fit([1.0, 2.0]) is None
    assert ind.change([1.0]) is None
    assert ind.volatility([1.0, 2.0]) is None


@given(PRICES)
@settings(max_examples=60)
def test_indicators_stay_within_their_bounds(prices: list[float]) -> None:
    rsi, fall, line, together = ind.rsi(prices), ind.drawdown(prices), ind.fit(prices), ind.correlation(prices, prices)
    assert rsi is not None
    assert fall is not None
    assert line is not None
    assert 0 <= rsi <= 100
    assert 0 <= fall.now <= fall.deepest < 1
    assert -1e-9 <= line.explained <= 1 + 1e-9
    assert together is None or isclose(together, 1, abs_tol=1e-6)
    assert all(min(prices) * 0.999 <= average <= max(prices) * 1.001 for average in ind.moving_averages(prices, 5))
