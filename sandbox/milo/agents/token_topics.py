"""One paragraph per topic about one token, every number computed from its market."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import cached_property
from math import sqrt
from typing import Final

from sandbox.milo.analysis import figures
from sandbox.milo.analysis import indicators as ind
from sandbox.milo.analysis.series import Horizon, MarketReader, Series, series_of
from sandbox.milo.tokens import Token

NATIVE: Final = "SOL"
_FAST, _SLOW = 20, 50
_OVERSOLD, _OVERBOUGHT = 30, 70
_A_TREND: Final = 0.35
_SIZES_USD: Final = (Decimal(1_000), Decimal(10_000), Decimal(100_000))
_DAYS_A_YEAR: Final = 365


class Subject:
    """One token over one horizon."""

    def __init__(self, token: Token, market: MarketReader, horizon: Horizon) -> None:
        self.token = token
        self.market = market
        self.horizon = horizon
        self.price = market.price(token.symbol)

    @cached_property
    def series(self) -> Series:
        return series_of(self.market, self.token.symbol, self.horizon)

    @cached_property
    def closes(self) -> Sequence[float]:
        """Over the horizon only."""
        return self.series.recent_closes

    @cached_property
    def change(self) -> float:
        return ind.change(self.closes) or 0.0

    @cached_property
    def daily_volatility(self) -> float:
        return (ind.volatility(self.closes) or 0.0) * sqrt(self.series.steps_per_day)

    @property
    def candles(self) -> str:
        return f"{figures.length(self.series.minutes)} candles"


def price(subject: Subject) -> str:
    high, low = max(subject.series.highs[-subject.series.recent :]), min(subject.series.lows[-subject.series.recent :])
    text = f"{subject.token.symbol} trades at {figures.usd(subject.price)}, {figures.change(subject.change)} over"
    text += f" {subject.horizon.words} (range {figures.usd(low)} to {figures.usd(high)})."
    if subject.token.symbol == NATIVE:
        return text
    return f"{text[:-1]}, which is {figures.quantity(subject.price / subject.market.price(NATIVE))} SOL."


def trend(subject: Subject) -> str:
    line = ind.fit(subject.closes)
    if line is None:
        return _too_little(subject, "a trend")
    per_day = line.growth * subject.series.steps_per_day
    if line.explained < _A_TREND:
        verdict = "sideways"
    else:
        verdict = "up" if line.growth > 0 else "down"
    return (
        f"Trend over {subject.horizon.words}: {verdict}. The fitted line moves {figures.change(per_day)} a day and"
        f" explains {figures.share(line.explained)} of the movement ({len(subject.closes)} {subject.candles})."
    )


def averages(subject: Subject) -> str:
    closes = subject.series.closes
    fast, slow = ind.moving_averages(closes, _FAST), ind.moving_averages(closes, _SLOW)
    if not slow:
        return _too_little(subject, f"an average over {_SLOW}")
    now, above = closes[-1], "above" if closes[-1] >= slow[-1] else "below"
    text = (
        f"Moving averages ({subject.candles}): SMA{_FAST} {figures.usd(fast[-1])}, SMA{_SLOW} {figures.usd(slow[-1])};"
        f" the price is {figures.share(abs(now / slow[-1] - 1))} {above} the slower one, and the faster one is"
        f" {'above' if fast[-1] > slow[-1] else 'below'} it"
    )
    ago = ind.last_crossing(fast, slow)
    return f"{text}, {_since(ago, subject)}." if ago is not None else f"{text}, throughout this history."


def momentum(subject: Subject) -> str:
    closes = subject.series.closes
    strength, macd = ind.rsi(closes), ind.macd(closes)
    if strength is None or macd is None:
        return _too_little(subject, "momentum")
    if strength >= _OVERBOUGHT:
        word = "overbought"
    elif strength <= _OVERSOLD:
        word = "oversold"
    else:
        word = "neutral"
    turn = "positive" if macd.histogram > 0 else "negative"
    return (
        f"Momentum: RSI{ind.RSI_LENGTH} is {strength:.1f} ({word}); the MACD histogram is {turn} at"
        f" {figures.usd(macd.histogram)} ({subject.candles})."
    )


def volatility(subject: Subject) -> str:
    daily = subject.daily_volatility
    text = (
        f"Volatility over {subject.horizon.words}: {figures.share(daily)} a day,"
        f" {figures.share(daily * sqrt(_DAYS_A_YEAR))} a year"
    )
    true_range = ind.average_true_range(subject.series.highs, subject.series.lows, subject.series.closes)
    if true_range is None:
        return f"{text}."
    of_price = figures.share(true_range / subject.series.closes[-1])
    return f"{text}; a {figures.length(subject.series.minutes)} candle ranges over {of_price} of the price."


def levels(subject: Subject) -> str:
    closes, now = subject.closes, subject.closes[-1]
    lows, highs = ind.turning_points(closes, max(2, len(closes) // 30))
    below = sorted({*(low for low in lows if low < now), min(closes)}, reverse=True)
    above = sorted({*(high for high in highs if high > now), max(closes)})
    return (
        f"Levels over {subject.horizon.words}: {_nearest(below, now, 'support')}; {_nearest(above, now, 'resistance')}."
    )


def strength(subject: Subject) -> str:
    others = [
        (ind.change(series_of(subject.market, token.symbol, subject.horizon).recent_closes) or 0.0, token.symbol)
        for token in subject.market.tokens()
        if token.asset_class != "stables"
    ]
    ranking = sorted(others, reverse=True)
    text = f"Relative strength over {subject.horizon.words}: {figures.change(subject.change)}"
    if subject.token.symbol in (symbol for _, symbol in ranking):
        place = 1 + [symbol for _, symbol in ranking].index(subject.token.symbol)
        text += f", number {place} of {len(ranking)} tokens"
    middle = ranking[len(ranking) // 2][0]
    text += f"; the median token did {figures.change(middle)}"
    if subject.token.symbol != NATIVE:
        native = next(change for change, symbol in others if symbol == NATIVE)
        text += f", SOL {figures.change(native)}"
    return f"{text}."


def drawdown(subject: Subject) -> str:
    fall = ind.drawdown(subject.closes)
    if fall is None or fall.deepest == 0:
        return f"Drawdown over {subject.horizon.words}: none, it never closed below an earlier close."
    peak, trough = subject.closes[fall.peak], subject.closes[fall.trough]
    return (
        f"Drawdown over {subject.horizon.words}: at most {figures.share(fall.deepest)}, from {figures.usd(peak)} to"
        f" {figures.usd(trough)} within {figures.duration((fall.trough - fall.peak) * subject.series.minutes)}; now"
        f" {figures.share(fall.now)} below the highest close."
    )


def volume(subject: Subject) -> str:
    series = subject.series
    per_day = round(series.steps_per_day) or 1
    if len(series.volumes) <= per_day:
        return _too_little(subject, "a day's volume")
    # The present candle is not whole; a day of whole ones is what can be compared.
    day = sum(series.volumes[-1 - per_day : -1])
    usual = sum(series.volumes[:-1]) / (len(series.volumes) - 1) * per_day
    if not usual:
        return f"Volume: none of {subject.token.symbol} is known."
    worth, against_usual = figures.usd(day * float(subject.price)), figures.change(day / usual - 1)
    return (
        f"Volume: {figures.quantity(day)} {subject.token.symbol} ({worth}) in the last whole day, {against_usual}"
        " against the average of this history."
    )


def correlation(subject: Subject) -> str:
    if subject.token.symbol == NATIVE:
        others = [
            token for token in subject.market.tokens() if token.symbol != NATIVE and token.asset_class != "stables"
        ]
        found = [(_correlated(subject, token.symbol), token.symbol) for token in others]
        ordered = sorted(((value, symbol) for value, symbol in found if value is not None), reverse=True)
        if not ordered:
            return _too_little(subject, "a correlation")
        most, least = ordered[0], ordered[-1]
        return (
            f"Correlation with SOL over {subject.horizon.words}: most with {most[1]} ({most[0]:+.2f}), least with"
            f" {least[1]} ({least[0]:+.2f})."
        )
    value = _correlated(subject, NATIVE)
    if value is None:
        return f"{subject.token.symbol} does not move enough for a correlation."
    return f"Correlation with SOL over {subject.horizon.words}: {value:+.2f}, from {subject.candles}."


def outlook(subject: Subject) -> str:
    """Not a forecast: what the volatility makes likely."""
    daily, now = subject.daily_volatility, float(subject.price)
    weekly = daily * sqrt(7)
    return (
        f"Outlook: I do not forecast. With a volatility of {figures.share(daily)} a day, two days out of three end"
        f" between {figures.usd(now * (1 - daily))} and {figures.usd(now * (1 + daily))}, and two weeks out of three"
        f" between {figures.usd(now * max(0.0, 1 - weekly))} and {figures.usd(now * (1 + weekly))}."
    )


def depth(subject: Subject, amounts_usd: Sequence[Decimal] = _SIZES_USD) -> str:
    symbol = subject.token.symbol
    small = subject.market.quote(symbol, Decimal(0))
    spread = (small.buy - small.sell) / subject.price
    text = f"Depth: a small trade finds {figures.usd(small.sell)} bid and {figures.usd(small.buy)} asked, a spread of"
    text += f" {figures.share(spread)}."
    for amount in amounts_usd:
        quote = subject.market.quote(symbol, amount)
        text += f" {figures.usd(amount)} moves it: buying costs {figures.share(quote.buy / subject.price - 1)} over the"
        text += f" middle, selling {figures.share(1 - quote.sell / subject.price)} under it."
    return text


def _correlated(subject: Subject, other: str) -> float | None:
    theirs = series_of(subject.market, other, subject.horizon).recent_closes
    length = min(len(theirs), len(subject.closes))
    return ind.correlation(subject.closes[-length:], theirs[-length:])


def _nearest(found: Sequence[float], now: float, what: str) -> str:
    if not found or found[0] == now:
        return f"no {what} left, this is the {'lowest' if what == 'support' else 'highest'} close"
    away = [f"{figures.usd(one)} ({figures.change(one / now - 1)})" for one in found[:2]]
    return f"{what} at {figures.listed(away)}"


def _since(steps: int, subject: Subject) -> str:
    return f"for {figures.duration(steps * subject.series.minutes)}" if steps else "since the present candle"


def _too_little(subject: Subject, what: str) -> str:
    return f"There are too few {subject.candles} of {subject.token.symbol} for {what}."
