"""A market whose candles a test draws itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from normalization.market_data import Candle
from sandbox.milo.analysis.series import Quote
from sandbox.milo.tokens import TOKENS, Token

Curve = Callable[[int], float]


class DrawnMarket:
    """A ``MarketReader``. ``curves`` give a token's close so many candles ago; the others stand still at 1."""

    def __init__(self, **curves: Curve) -> None:
        self._curves = {"SOL": _flat(100.0)} | curves

    def tokens(self) -> Sequence[Token]:
        return TOKENS

    def price(self, symbol: str) -> Decimal:
        return self._close(symbol, 0)

    def quote(self, symbol: str, usd: Decimal) -> Quote:
        slippage = Decimal("0.001") * (1 + usd / 10_000)
        return Quote(self.price(symbol) * (1 + slippage), self.price(symbol) / (1 + slippage))

    def candles(self, symbol: str, minutes: int, count: int) -> Sequence[Candle]:
        return [self._candle(symbol, minutes, ago) for ago in range(count - 1, -1, -1)]

    def _candle(self, symbol: str, minutes: int, ago: int) -> Candle:
        before, close = self._close(symbol, ago + 1), self._close(symbol, ago)
        return Candle(
            opened_at_ms=-ago * minutes * 60_000,
            open=before,
            high=max(before, close),
            low=min(before, close),
            close=close,
            volume=Decimal(1_000),
        )

    def _close(self, symbol: str, ago: int) -> Decimal:
        return Decimal(str(self._curves.get(symbol, _flat(1.0))(ago)))


def _flat(value: float) -> Curve:
    return lambda _: value


def rising(percent_per_candle: float, now: float = 1.0) -> Curve:
    """It has come to ``now`` by so much a candle, with a little noise that changes its sign every candle."""

    def curve(ago: int) -> float:
        wobble = 0.002 if ago % 2 else -0.002
        return now * (1 + percent_per_candle / 100) ** -ago * (1 + wobble * (ago > 0))

    return curve
