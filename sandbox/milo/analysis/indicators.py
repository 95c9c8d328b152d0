"""Technical indicators over closing prices, oldest first.

These are statistics and not money, so they are floats. Each returns None where there are too few values for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import log, sqrt
from typing import Final, NamedTuple

RSI_LENGTH: Final = 14
_MACD: Final = (12, 26, 9)


class Drawdown(NamedTuple):
    """Fractions of the highest value before: the deepest, and how far below it the last one is."""

    deepest: float
    peak: int
    trough: int
    now: float


class Fit(NamedTuple):
    """A straight line through the logarithms: ``growth`` per step, and the share of the movement that it explains."""

    growth: float
    explained: float


class Macd(NamedTuple):
    line: float
    signal: float

    @property
    def histogram(self) -> float:
        return self.line - self.signal


def change(values: Sequence[float]) -> float | None:
    """From the first value to the last, as a fraction."""
    return values[-1] / values[0] - 1 if len(values) > 1 else None


def moving_average(values: Sequence[float], length: int) -> float | None:
    return sum(values[-length:]) / length if len(values) >= length else None


def moving_averages(values: Sequence[float], length: int) -> list[float]:
    """The average at every value that has enough before it."""
    averages: list[float] = []
    total = sum(values[: length - 1])
    for place in range(length - 1, len(values)):
        total += values[place]
        averages.append(total / length)
        total -= values[place - length + 1]
    return averages


def exponential_averages(values: Sequence[float], length: int) -> list[float]:
    """Weight 2 / (length + 1) for the newest, begun with the plain average of the first ``length``."""
    if len(values) < length:
        return []
    averages = [sum(values[:length]) / length]
    weight = 2 / (length + 1)
    for value in values[length:]:
        averages.append(averages[-1] + weight * (value - averages[-1]))
    return averages


def macd(values: Sequence[float]) -> Macd | None:
    fast, slow, smooth = _MACD
    slow_averages = exponential_averages(values, slow)
    fast_averages = exponential_averages(values, fast)[slow - fast :]
    line = [quick - steady for quick, steady in zip(fast_averages, slow_averages, strict=True)] if slow_averages else []
    signal = exponential_averages(line, smooth)
    return Macd(line[-1], signal[-1]) if signal else None


def rsi(values: Sequence[float], length: int = RSI_LENGTH) -> float | None:
    """Wilder's relative strength index: 50 where nothing moved."""
    if len(values) <= length:
        return None
    moves = [after - before for before, after in pairwise(values)]
    gain = sum(max(move, 0.0) for move in moves[:length]) / length
    loss = sum(max(-move, 0.0) for move in moves[:length]) / length
    for move in moves[length:]:
        gain += (max(move, 0.0) - gain) / length
        loss += (max(-move, 0.0) - loss) / length
    return 100 * gain / (gain + loss) if gain + loss else 50.0


def log_returns(values: Sequence[float]) -> list[float]:
    return [log(after / before) for before, after in pairwise(values)]


def volatility(values: Sequence[float]) -> float | None:
    """The standard deviation of the returns, per step."""
    returns = log_returns(values)
    if len(returns) < 2:
        return None
    mean = sum(returns) / len(returns)
    return sqrt(sum((one - mean) ** 2 for one in returns) / (len(returns) - 1))


def correlation(left: Sequence[float], right: Sequence[float]) -> float | None:
    """Of the returns; None also where one of them did not move."""
    ours, theirs = log_returns(left), log_returns(right)
    if len(ours) < 3 or len(ours) != len(theirs):
        return None
    our_mean, their_mean = sum(ours) / len(ours), sum(theirs) / len(theirs)
    together = sum((a - our_mean) * (b - their_mean) for a, b in zip(ours, theirs, strict=True))
    spread = sqrt(sum((a - our_mean) ** 2 for a in ours) * sum((b - their_mean) ** 2 for b in theirs))
    return together / spread if spread else None


def fit(values: Sequence[float]) -> Fit | None:
    if len(values) < 3:
        return None
    logs = [log(value) for value in values]
    middle, mean = (len(logs) - 1) / 2, sum(logs) / len(logs)
    across = sum((place - middle) ** 2 for place in range(len(logs)))
    along = sum((place - middle) * (one - mean) for place, one in enumerate(logs))
    total = sum((one - mean) ** 2 for one in logs)
    growth = along / across
    return Fit(growth, growth * along / total if total else 0.0)


def drawdown(values: Sequence[float]) -> Drawdown | None:
    if not values:
        return None
    peak = deepest_peak = trough = 0
    deepest = 0.0
    for place, value in enumerate(values):
        if value > values[peak]:
            peak = place
        below = 1 - value / values[peak]
        if below > deepest:
            deepest, deepest_peak, trough = below, peak, place
    return Drawdown(deepest, deepest_peak, trough, 1 - values[-1] / values[peak])


def average_true_range(
    highs: Sequence[float], lows: Sequence[float], closes: Sequence[float], length: int = RSI_LENGTH
) -> float | None:
    if len(closes) <= length:
        return None
    ranges = [
        max(high, before) - min(low, before) for high, low, before in zip(highs[1:], lows[1:], closes[:-1], strict=True)
    ]
    return sum(ranges[-length:]) / length


def turning_points(values: Sequence[float], reach: int) -> tuple[list[float], list[float]]:
    """The lows and the highs that no value within ``reach`` steps on either side undercuts or exceeds."""
    lows: list[float] = []
    highs: list[float] = []
    for place in range(reach, len(values) - reach):
        around = values[place - reach : place + reach + 1]
        if values[place] == min(around):
            lows.append(values[place])
        elif values[place] == max(around):
            highs.append(values[place])
    return lows, highs


def last_crossing(fast: Sequence[float], slow: Sequence[float]) -> int | None:
    """How many steps ago ``fast`` last went through ``slow``; both end at the present."""
    length = min(len(fast), len(slow))
    above = [quick > steady for quick, steady in zip(fast[-length:], slow[-length:], strict=True)] if length else []
    for ago in range(1, length):
        if above[-ago] != above[-ago - 1]:
            return ago - 1
    return None
