"""Candles of any length, put together from those that the exchange has."""

from __future__ import annotations

from typing import Final

from normalization.market_data import Candle
from sandbox.engine.market import Market

MINUTE_MS: Final = 60_000
# What the exchange has, in minutes; the longest that divides a length makes the fewest parts.
_NATIVE: Final = (1440, 240, 60, 15, 5, 1)


def parts_of(minutes: int) -> tuple[int, int]:
    """The length of the exchange's candles, in minutes, and how many of them make one of ``minutes``."""
    native = next(length for length in _NATIVE if minutes % length == 0)
    return native, minutes // native


def candle(market: Market, native: int, first: int, last: int, second: int) -> Candle | None:
    """The exchange's candles ``first`` to ``last`` as one; None where all of them lie ahead of ``second``."""
    present = second // (native * 60)
    parts = [market.candle(native, number, second) for number in range(first, min(last, present) + 1)]
    if not parts:
        return None
    return Candle(
        opened_at_ms=parts[0].opened_at_ms,
        open=parts[0].open,
        high=max(part.high for part in parts),
        low=min(part.low for part in parts),
        close=parts[-1].close,
        volume=sum((part.volume for part in parts[1:]), parts[0].volume),
    )


def candles(market: Market, minutes: int, start_ms: int, end_ms: int, second: int, most: int) -> list[Candle]:
    """Oldest first, the latest ``most``, from the one that covers ``start_ms`` to the one that covers ``end_ms``."""
    native, count = parts_of(minutes)
    last = min(end_ms, second * 1_000) // (minutes * MINUTE_MS)
    numbers = range(max(start_ms // (minutes * MINUTE_MS), last - most + 1), last + 1)
    found = [candle(market, native, number * count, number * count + count - 1, second) for number in numbers]
    return [one for one in found if one is not None]
