"""The sandbox's market at one instant."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from normalization.market_data import Candle
from sandbox.engine.path import LEVEL_OF_MINUTES, SECOND, SPANS, Node
from sandbox.milo.analysis.series import Quote
from sandbox.milo.market import Path, TokenMarket
from sandbox.milo.tokens import BY_SYMBOL, TOKENS, Token


class MarketAt:
    """A ``MarketReader``. It may be read in any thread: it is a function of the market's seed and ``now_ms``."""

    def __init__(self, market: TokenMarket, now_ms: int) -> None:
        self._market = market
        self._second = now_ms // 1_000
        # A comparison of all tokens asks for the same ones again and again.
        self._known: dict[tuple[str, int, int], Sequence[Candle]] = {}

    def tokens(self) -> Sequence[Token]:
        return TOKENS

    def price(self, symbol: str) -> Decimal:
        return self._market.price(BY_SYMBOL[symbol], self._second)

    def quote(self, symbol: str, usd: Decimal) -> Quote:
        token = BY_SYMBOL[symbol]
        return Quote(
            self._market.buy_price(token, self._second, usd), self._market.sell_price(token, self._second, usd)
        )

    def candles(self, symbol: str, minutes: int, count: int) -> Sequence[Candle]:
        place = (symbol, minutes, count)
        if place not in self._known:
            self._known[place] = self._drawn(*place)
        return self._known[place]

    def _drawn(self, symbol: str, minutes: int, count: int) -> Sequence[Candle]:
        token, level = BY_SYMBOL[symbol], LEVEL_OF_MINUTES[minutes]
        tick, lot = self._market.character(token).tick, Decimal(1).scaleb(-token.decimals)
        path, present = self._market.path(token), self._second // SPANS[level]
        nodes = [(index, path.node(level, index)) for index in range(present - count + 1, present)]
        nodes.append((present, _so_far(path, level, present, self._second)))
        return [_candle(index * SPANS[level] * 1_000, node, tick, lot) for index, node in nodes]


def _so_far(path: Path, level: int, index: int, second: int) -> Node:
    """A candle of the tree as it looks in ``second``, which lies within it or behind it."""
    start, node = index * SPANS[level], path.node(level, index)
    if second >= start + SPANS[level]:
        return node
    if level == SECOND:
        return Node(node.open, node.open, node.open, node.open, node.volume)
    fanout = SPANS[level] // SPANS[level + 1]
    last = (second - start) // SPANS[level + 1]
    parts = [_so_far(path, level + 1, index * fanout + child, second) for child in range(last + 1)]
    return Node(
        parts[0].open,
        max(part.high for part in parts),
        min(part.low for part in parts),
        parts[-1].close,
        sum(part.volume for part in parts),
    )


def _candle(opened_at_ms: int, node: Node, tick: Decimal, lot: Decimal) -> Candle:
    return Candle(
        opened_at_ms=opened_at_ms,
        open=node.open * tick,
        high=node.high * tick,
        low=node.low * tick,
        close=node.close * tick,
        volume=node.volume * lot,
    )
