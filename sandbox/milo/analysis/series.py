"""The market at one instant, as whoever analyses it sees it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple, Protocol

from normalization.market_data import Candle
from sandbox.milo.tokens import Token

_CANDLE_MINUTES: Final = (1, 5, 15, 60, 240, 1440)
_MOST_CANDLES: Final = 200
# So that an average over fifty candles exists at the first one of the horizon.
_WARM_UP: Final = 60


class Quote(NamedTuple):
    buy: Decimal
    sell: Decimal


class MarketReader(Protocol):
    """The market at one instant. Tokens are named by their symbols; prices are in USD."""

    def tokens(self) -> Sequence[Token]:
        """Every token, the main ones first."""
        ...

    def price(self, symbol: str) -> Decimal: ...

    def candles(self, symbol: str, minutes: int, count: int) -> Sequence[Candle]:
        """The latest ``count`` of 1, 5, 15, 60, 240 or 1440 ``minutes``, oldest first; the last one still grows."""
        ...

    def quote(self, symbol: str, usd: Decimal) -> Quote:
        """What a trade of that amount would be filled at."""
        ...


class Horizon(NamedTuple):
    """How far back somebody wants to look: ``words`` is "24 hours" or "7 days"."""

    words: str
    minutes: int

    @property
    def candle_minutes(self) -> int:
        """The shortest candles of which the horizon has not too many."""
        return next((length for length in _CANDLE_MINUTES if self.minutes <= length * _MOST_CANDLES), 1440)


class Series(NamedTuple):
    """Candles as columns of floats, oldest first; ``recent`` is how many of them lie within the horizon."""

    minutes: int
    recent: int
    closes: Sequence[float]
    highs: Sequence[float]
    lows: Sequence[float]
    volumes: Sequence[float]

    @property
    def recent_closes(self) -> Sequence[float]:
        return self.closes[-self.recent - 1 :]

    @property
    def steps_per_day(self) -> float:
        return 1440 / self.minutes


def series_of(market: MarketReader, symbol: str, horizon: Horizon) -> Series:
    minutes = horizon.candle_minutes
    recent = max(2, -(-horizon.minutes // minutes))
    candles = market.candles(symbol, minutes, recent + _WARM_UP)
    return Series(
        minutes=minutes,
        recent=min(recent, len(candles) - 1),
        closes=[float(candle.close) for candle in candles],
        highs=[float(candle.high) for candle in candles],
        lows=[float(candle.low) for candle in candles],
        volumes=[float(candle.volume) for candle in candles],
    )
