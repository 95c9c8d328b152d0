"""What a venue says of a market. Prices are in quote units, sizes in base units, rates per funding interval."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import msgspec


class Level(NamedTuple):
    price: Decimal
    size: Decimal


class OrderBook(msgspec.Struct, frozen=True, kw_only=True):
    """Best first on both sides."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class MarkPrice(msgspec.Struct, frozen=True, kw_only=True):
    mark_price: Decimal
    index_price: Decimal | None


class Candle(msgspec.Struct, frozen=True, kw_only=True):
    """``opened_at_ms`` is the start of the interval; the last candle of a list may still be growing."""

    opened_at_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class FundingRate(msgspec.Struct, frozen=True, kw_only=True):
    """``rate`` is the fraction of notional that longs pay shorts at ``next_funding_ms``."""

    rate: Decimal
    next_funding_ms: int


class MarketSummary(msgspec.Struct, frozen=True, kw_only=True):
    """``open_interest`` is in quote units."""

    symbol: str
    mark_price: Decimal
    funding_rate: Decimal
    open_interest: Decimal


class Fees(msgspec.Struct, frozen=True, kw_only=True):
    maker_bps: Decimal
    taker_bps: Decimal
