"""What the venue shows of its markets. Funding is told per eight hours, an eighth of which is paid every hour."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from normalization.decimals import BPS, floor_to, trimmed
from normalization.instruments import Instrument
from sandbox.engine import Engine, Listing
from sandbox.engine.ledger import MAKER_BPS, TAKER_BPS
from sandbox.engine.market import HOUR_S, Market
from sandbox.paradex.errors import bad_parameter, no_market
from sandbox.paradex.pages import Page
from sandbox.wires.candles import candles

MAX_OPEN_ORDERS: Final = 1_000
FUNDING_HOURS: Final = 8
_DAY_S: Final = 86_400
_RATE: Final = Decimal("1E-10")
# Down, so that the leverage which a client makes of it is not a step lower.
_MARGIN_STEP: Final = Decimal("1E-6")
_RESOLUTIONS: Final = frozenset({"1", "3", "5", "15", "30", "60"})
_MOST_CANDLES: Final = 5_000
_OPENED_AT_MS: Final = 1_698_756_879_745


def market_shown(instrument: Instrument) -> dict[str, Any]:
    fees = {
        kind: {"maker_fee": _fee(MAKER_BPS), "taker_fee": _fee(TAKER_BPS)}
        for kind in ("api_fee", "interactive_fee", "rpi_fee")
    }
    return {
        "symbol": instrument.symbol,
        "base_currency": instrument.base,
        "quote_currency": instrument.quote,
        "settlement_currency": instrument.settle,
        "asset_kind": "PERP",
        "market_kind": "cross",
        "price_tick_size": trimmed(instrument.tick_size),
        "order_size_increment": trimmed(instrument.lot_size),
        "min_notional": trimmed(instrument.min_notional),
        "max_order_size": trimmed(instrument.lot_size * 10**9),
        "position_limit": trimmed(instrument.lot_size * 10**9),
        "max_open_orders": MAX_OPEN_ORDERS,
        "price_bands_width": "0.5",
        "max_slippage": "0.05",
        "max_tob_spread": "0.2",
        "max_funding_rate": "0.02",
        "max_funding_rate_change": "0.0005",
        "interest_rate": "0.0001",
        "clamp_rate": "0.0005",
        "funding_period_hours": FUNDING_HOURS,
        "funding_multiplier": 1,
        "open_at": _OPENED_AT_MS,
        "expiry_at": 0,
        "oracle_ewma_factor": "0.2",
        "price_feed_id": "",
        "delta1_cross_margin_params": {
            "imf_base": trimmed(floor_to(Decimal(1) / instrument.max_leverage, _MARGIN_STEP)),
            "imf_shift": "0",
            "imf_factor": "0",
            "mmf_factor": "0.5",
        },
        "fee_config": fees,
        "tags": [],
        "trading_mode": "STANDARD",
    }


def _fee(bps: Decimal) -> dict[str, str]:
    return {"fee": trimmed(bps / BPS), "fee_cap": trimmed(bps / BPS), "fee_floor": trimmed(bps / BPS)}


def summary(engine: Engine, symbol: str) -> dict[str, Any]:
    market, second = _market(engine, symbol), engine.now_ms // 1_000
    book, mark = engine.views.orderbook(symbol, 1), market.mark(second)
    bid, ask = (side[0] if side else None for side in (book.bids, book.asks))
    hour = second // HOUR_S
    volume = sum((market.candle(60, number, second).volume for number in range(hour - 23, hour + 1)), Decimal(0))
    before = market.mark(second - _DAY_S)
    interest = next(s.open_interest for s in engine.views.summaries() if s.symbol == symbol)
    rate = trimmed(market.funding_rate(second) * FUNDING_HOURS)
    return {
        "symbol": symbol,
        "bid": "" if bid is None else trimmed(bid.price),
        "bid_size": "" if bid is None else trimmed(bid.size),
        "ask": "" if ask is None else trimmed(ask.price),
        "ask_size": "" if ask is None else trimmed(ask.size),
        "last_traded_price": trimmed(mark),
        "mark_price": trimmed(mark),
        "underlying_price": trimmed(market.index(second)),
        "external_fair_price": trimmed(market.index(second)),
        "volume_24h": trimmed((volume * mark).quantize(Decimal("0.01"))),
        "total_volume": trimmed((volume * mark * 365).quantize(Decimal("0.01"))),
        "open_interest": trimmed(market.size(round(interest / mark / market.instrument.lot_size))),
        "funding_rate": rate,
        "future_funding_rate": rate,
        "price_change_rate_24h": trimmed(((mark - before) / before).quantize(Decimal("1E-6"))),
        "created_at": engine.now_ms,
    }


def orderbook(engine: Engine, symbol: str, depth: int) -> dict[str, Any]:
    _market(engine, symbol)
    book = engine.views.orderbook(symbol, depth)
    sides = {
        name: [[trimmed(level.price), trimmed(level.size)] for level in levels]
        for name, levels in (("asks", book.asks), ("bids", book.bids))
    }
    best = {
        f"best_{name}_{kind}": levels[0] if levels else ["", ""]
        for name, levels in (("ask", sides["asks"]), ("bid", sides["bids"]))
        for kind in ("api", "interactive")
    }
    return {"market": symbol, "seq_no": engine.now_ms, "last_updated_at": engine.now_ms, **sides, **best}


def best_prices(engine: Engine, symbol: str) -> dict[str, Any]:
    book = orderbook(engine, symbol, 1)
    (bid, bid_size), (ask, ask_size) = book["best_bid_api"], book["best_ask_api"]
    return {
        "market": symbol,
        "bid": bid,
        "bid_size": bid_size,
        "ask": ask,
        "ask_size": ask_size,
        "seq_no": engine.now_ms,
        "last_updated_at": engine.now_ms,
    }


def klines(engine: Engine, query: Mapping[str, str], page: Page) -> dict[str, Any]:
    """:raises ApiError: one of the four parameters is missing or wrong."""
    market = _market(engine, query.get("symbol", ""))
    resolution = query.get("resolution", "")
    if resolution not in _RESOLUTIONS:
        raise bad_parameter("resolution must be one of 1, 3, 5, 15, 30, 60")
    if not query.get("start_at") or not query.get("end_at"):
        raise bad_parameter("start_at and end_at are required")
    found = candles(market, int(resolution), page.start_ms, page.end_ms, engine.now_ms // 1_000, _MOST_CANDLES)
    return {
        "results": [
            [one.opened_at_ms, *(float(v) for v in (one.open, one.high, one.low, one.close, one.volume))]
            for one in found
        ]
    }


def funding_data(engine: Engine, symbol: str, page: Page) -> list[tuple[int, dict[str, Any]]]:
    """Hourly observations, newest first."""
    market = _market(engine, symbol)
    latest = min(page.end_ms, engine.now_ms) // (HOUR_S * 1_000)
    if page.before is not None:
        latest = min(latest, page.before - 1)
    first = max(-(-page.start_ms // (HOUR_S * 1_000)), latest - page.size)
    return [(hour, _observation(market, hour)) for hour in range(latest, first - 1, -1)]


def _observation(market: Market, hour: int) -> dict[str, Any]:
    second = hour * HOUR_S - 1
    index = market.index(second)
    premium = ((market.mark(second) - index) / index).quantize(_RATE, ROUND_HALF_EVEN)
    rate = trimmed(market.funding_rate(second) * FUNDING_HOURS)
    return {
        "market": market.symbol,
        "funding_index": "0",
        "funding_premium": trimmed(premium * index),
        "funding_rate": rate,
        "funding_rate_8h": rate,
        "funding_period_hours": FUNDING_HOURS,
        "created_at": hour * HOUR_S * 1_000,
        "impact_premium_rate": trimmed(premium),
    }


def instruments_of(listings: tuple[Listing, ...]) -> dict[str, Instrument]:
    return {listing.instrument.symbol: listing.instrument for listing in listings}


def _market(engine: Engine, symbol: str) -> Market:
    if symbol not in engine.markets:
        raise no_market(symbol)
    return engine.markets[symbol]
