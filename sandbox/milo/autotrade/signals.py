"""What each style of trading sees in a token: a score, and the figures behind it."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Final, NamedTuple

from sandbox.milo.analysis import figures
from sandbox.milo.analysis import indicators as ind
from sandbox.milo.analysis.series import Horizon, MarketReader, Series, series_of
from sandbox.milo.autotrade.terms import Style
from sandbox.milo.tokens import AssetClass, Token

_FAST, _SLOW = 20, 50
_TOO_HOT: Final = 80.0
# A token that does not move is never divided by.
_LEAST_VOLATILITY: Final = 0.002
_HORIZONS: Final = {
    Style.VALUE_INVESTOR: Horizon("14 days", 14 * 1440),
    Style.SWING_TRADER: Horizon("3 days", 3 * 1440),
    Style.SCALPER: Horizon("5 hours", 300),
    Style.CUSTOM: Horizon("3 days", 3 * 1440),
}


class Signal(NamedTuple):
    """``score`` is from 0, stay out, over 1, as much as the allocation says, to 2."""

    score: float
    daily_volatility: float
    why: str


def signal(style: Style, market: MarketReader, token: Token) -> Signal:
    if token.asset_class is AssetClass.STABLES:
        return Signal(1.0, _LEAST_VOLATILITY, f"{token.symbol} is a stablecoin")
    series = series_of(market, token.symbol, _HORIZONS[style])
    volatility = (ind.volatility(series.recent_closes) or 0.0) * sqrt(series.steps_per_day)
    score, why = _STYLES[style](series)
    return Signal(score, max(volatility, _LEAST_VOLATILITY), f"{token.symbol}: {why}")


def _value(series: Series) -> tuple[float, str]:
    average = ind.moving_average(series.closes, _SLOW) or series.closes[-1]
    discount = average / series.closes[-1] - 1
    word = "below" if discount > 0 else "above"
    price = figures.share(abs(series.closes[-1] / average - 1))
    return _clamped(1 + 5 * discount), f"the price is {price} {word} its SMA{_SLOW} of {figures.usd(average)}"


def _swing(series: Series) -> tuple[float, str]:
    change = ind.change(series.recent_closes) or 0.0
    fast, slow = ind.moving_average(series.closes, _FAST), ind.moving_average(series.closes, _SLOW)
    strength = ind.rsi(series.closes) or 50.0
    is_rising = fast is not None and slow is not None and fast > slow
    why = f"{figures.change(change)} over 3 days, SMA{_FAST} {'above' if is_rising else 'below'} SMA{_SLOW}"
    score = 0.0 if strength > _TOO_HOT else _clamped(1 + 4 * change) * (1.0 if is_rising else 0.5)
    return score, f"{why}, RSI {strength:.0f}"


def _scalp(series: Series) -> tuple[float, str]:
    strength = ind.rsi(series.closes) or 50.0
    return _clamped((70 - strength) / 20), f"RSI of {figures.length(series.minutes)} candles at {strength:.0f}"


def _custom(series: Series) -> tuple[float, str]:
    change = ind.change(series.recent_closes) or 0.0
    return 1.0, f"held by instruction, {figures.change(change)} over 3 days"


def _clamped(score: float) -> float:
    return min(max(score, 0.0), 2.0)


_STYLES: Final[dict[Style, Callable[[Series], tuple[float, str]]]] = {
    Style.VALUE_INVESTOR: _value,
    Style.SWING_TRADER: _swing,
    Style.SCALPER: _scalp,
    Style.CUSTOM: _custom,
}
