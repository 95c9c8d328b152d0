"""What ``POST /info`` tells of markets: functions of the engine at one instant."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from normalization.market_data import Level
from normalization.orders import Side
from sandbox.engine import Engine
from sandbox.engine.market import HOUR_S, Market
from sandbox.hyperliquid.spelling import SIGNIFICANT, spelled
from sandbox.hyperliquid.universe import Asset, Universe

BOOK_DEPTH: Final = 20
_DAY_S: Final = 86_400
_RATE: Final = Decimal("1E-10")
_MOST_ELEMENTS: Final = 500
_BACKGROUND_ORDERS: Final = 3
# The venue publishes a rate a moment after its hour.
_PUBLISHED_AFTER_MS: Final = 13


def contexts(engine: Engine, universe: Universe) -> list[dict[str, Any]]:
    interest = {summary.symbol: summary.open_interest for summary in engine.views.summaries()}
    return [_context(engine, asset, interest[asset.symbol]) for asset in universe.assets]


def mids(engine: Engine, universe: Universe) -> dict[str, str]:
    return {asset.coin: spelled(mid(engine, asset)) for asset in universe.assets}


def mid(engine: Engine, asset: Asset) -> Decimal:
    """The mark price where a side of the book is empty."""
    book = engine.views.orderbook(asset.symbol, 1)
    if book.bids and book.asks:
        return (book.bids[0].price + book.asks[0].price) / 2
    return engine.views.mark_price(asset.symbol).mark_price


def book(engine: Engine, asset: Asset, significant: int | None, mantissa: int | None) -> dict[str, Any]:
    found = engine.views.orderbook(asset.symbol, 100 if significant else BOOK_DEPTH)
    sides = []
    for side, levels in ((Side.BUY, found.bids), (Side.SELL, found.asks)):
        grouped = levels if significant is None else _grouped(side, levels, significant, mantissa or 1)
        sides.append(
            [
                {"px": spelled(level.price), "sz": spelled(level.size), "n": _BACKGROUND_ORDERS}
                for level in grouped[:BOOK_DEPTH]
            ]
        )
    return {"coin": asset.coin, "time": engine.now_ms, "levels": sides}


def funding_history(engine: Engine, asset: Asset, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
    market = engine.views.market(asset.symbol)
    first = -(-(start_ms - _PUBLISHED_AFTER_MS) // (HOUR_S * 1_000))
    last = (min(end_ms, engine.now_ms) - _PUBLISHED_AFTER_MS) // (HOUR_S * 1_000)
    return [
        {
            "coin": asset.coin,
            "fundingRate": spelled(market.funding_rate(hour * HOUR_S - 1)),
            "premium": spelled(_premium(market, hour * HOUR_S - 1)),
            "time": hour * HOUR_S * 1_000 + _PUBLISHED_AFTER_MS,
        }
        for hour in range(first, min(last, first + _MOST_ELEMENTS - 1) + 1)
    ]


def predicted_fundings(engine: Engine, universe: Universe) -> list[Any]:
    found = []
    for asset in universe.assets:
        funding = engine.views.funding_rate(asset.symbol)
        told = {
            "fundingRate": spelled(funding.rate),
            "nextFundingTime": funding.next_funding_ms,
            "fundingIntervalHours": 1,
        }
        found.append([asset.coin, [["HlPerp", told], ["BinPerp", None], ["BybitPerp", None]]])
    return found


def _context(engine: Engine, asset: Asset, open_interest: Decimal) -> dict[str, Any]:
    market, second = engine.views.market(asset.symbol), engine.now_ms // 1_000
    found, mark = engine.views.orderbook(asset.symbol, 1), market.mark(second)
    hour = second // HOUR_S
    volume = sum((market.candle(60, number, second).volume for number in range(hour - 23, hour + 1)), Decimal(0))
    best = [side[0].price for side in (found.bids, found.asks) if side]
    return {
        "funding": spelled(market.funding_rate(second)),
        "openInterest": spelled(market.size(round(open_interest / mark / market.instrument.lot_size))),
        "prevDayPx": spelled(market.mark(second - _DAY_S)),
        "dayNtlVlm": spelled(volume * mark),
        "premium": spelled(_premium(market, second)),
        "oraclePx": spelled(market.index(second)),
        "markPx": spelled(mark),
        "midPx": spelled(sum(best, Decimal(0)) / 2) if len(best) == 2 else None,
        "impactPxs": [spelled(price) for price in best] if len(best) == 2 else None,
        "dayBaseVlm": spelled(volume),
    }


def _premium(market: Market, second: int) -> Decimal:
    index = market.index(second)
    return ((market.mark(second) - index) / index).quantize(_RATE, ROUND_HALF_EVEN)


def _grouped(side: Side, levels: tuple[Level, ...], significant: int, mantissa: int) -> list[Level]:
    """Levels rounded away from the middle of the book and added up."""
    merged: dict[Decimal, Decimal] = {}
    for level in levels:
        exponent = level.price.adjusted() - min(significant, SIGNIFICANT) + 1
        step = Decimal(mantissa).scaleb(exponent)
        whole = level.price // step * step
        price = whole if side is Side.BUY or whole == level.price else whole + step
        merged[price] = merged.get(price, Decimal(0)) + level.size
    return [Level(price, size) for price, size in merged.items()]
