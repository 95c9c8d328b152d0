"""Candles in this venue's intervals and spelling."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from normalization.market_data import Candle
from sandbox.engine.market import Market
from sandbox.hyperliquid.spelling import spelled
from sandbox.wires import candles as wire
from sandbox.wires.candles import MINUTE_MS

MOST: Final = 5_000
_MINUTES: Final = {
    "1m": 1,
    "3m": 3,
    "5m": 5,
    "15m": 15,
    "30m": 30,
    "1h": 60,
    "2h": 120,
    "4h": 240,
    "8h": 480,
    "12h": 720,
    "1d": 1_440,
    "3d": 4_320,
    "1w": 10_080,
}
_DAY: Final = 1_440


def candles(market: Market, coin: str, interval: str, start_ms: int, end_ms: int, second: int) -> list[dict[str, Any]]:
    """Oldest first, from the one that covers ``start_ms`` to the one that covers ``end_ms`` or grows in ``second``."""
    if interval == "1M":
        return list(_months(market, coin, start_ms, min(end_ms, second * 1_000), second))
    length_ms = _MINUTES[interval] * MINUTE_MS
    found = wire.candles(market, _MINUTES[interval], start_ms, end_ms, second, MOST)
    return [_shown(market, coin, interval, one, one.opened_at_ms + length_ms) for one in found]


def _months(market: Market, coin: str, start_ms: int, end_ms: int, second: int) -> Iterator[dict[str, Any]]:
    first_ms = max(start_ms, end_ms - MOST * _DAY * MINUTE_MS)
    begin = datetime.fromtimestamp(first_ms / 1_000, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while begin.timestamp() * 1_000 <= end_ms:
        following = begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
        days = [int(at.timestamp()) // (_DAY * 60) for at in (begin, following)]
        one = wire.candle(market, _DAY, days[0], days[1] - 1, second)
        if one is not None:
            yield _shown(market, coin, "1M", one, days[1] * _DAY * MINUTE_MS)
        begin = following


def _shown(market: Market, coin: str, interval: str, candle: Candle, following_ms: int) -> dict[str, Any]:
    return {
        "t": candle.opened_at_ms,
        "T": following_ms - 1,
        "s": coin,
        "i": interval,
        "o": spelled(candle.open),
        "c": spelled(candle.close),
        "h": spelled(candle.high),
        "l": spelled(candle.low),
        "v": spelled(candle.volume),
        "n": 1 + int(candle.volume / market.instrument.lot_size) % 997,
    }
