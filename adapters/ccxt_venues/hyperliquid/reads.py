"""What Hyperliquid tells of markets and accounts, in our words. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from adapters.ccxt_venues.hyperliquid.orders import SIDES
from adapters.ccxt_venues.hyperliquid.wire import (
    AccountState,
    AssetContext,
    AssetMeta,
    Book,
    BookLevel,
    CandleWire,
    FillWire,
    Meta,
    PositionWire,
    UserFees,
)
from adapters.ccxt_venues.numbers import exact, optional, positive, rounded
from normalization.accounts import Balance, Fill, Position
from normalization.decimals import BPS
from normalization.instruments import Instrument
from normalization.market_data import Candle, Fees, FundingRate, Level, MarketSummary, MarkPrice, OrderBook
from normalization.orders import PositionSide
from normalization.resolver import Markets, UnknownVenueSymbol
from normalization.symbols import canonical_base, canonical_symbol, is_name, scale_of
from normalization.venue_failures import Reason, VenueRejected

HOUR_MS: Final = 3_600_000
INTERVALS: Final = {1: "1m", 5: "5m", 15: "15m", 60: "1h", 240: "4h", 1440: "1d"}

_PRICE_DECIMALS: Final = 6
_PRICE_DIGITS: Final = 5
_MIN_NOTIONAL: Final = Decimal(10)

_meta: Final = msgspec.json.Decoder(Meta)
_contexts: Final = msgspec.json.Decoder(tuple[Meta, list[AssetContext]])
_book: Final = msgspec.json.Decoder(Book)
_candles: Final = msgspec.json.Decoder(list[CandleWire])
_account: Final = msgspec.json.Decoder(AccountState)
_fees: Final = msgspec.json.Decoder(UserFees)


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's perpetuals. ``assets`` is its number of each by symbol: what orders name them by."""

    markets: Markets
    assets: dict[str, int]

    def asset(self, symbol: str) -> int:
        """:raises VenueRejected: the venue has delisted it."""
        try:
            return self.assets[symbol]
        except KeyError:
            raise VenueRejected(Reason.MARKET_CLOSED, "hyperliquid no longer lists this market") from None


def parse_listed(body: bytes) -> Listed:
    """Without what was delisted: its number stays taken, but it cannot be traded."""
    instruments, assets = [], {}
    for number, asset in enumerate(_meta.decode(body).universe):
        if asset.is_delisted or not is_name(asset.name) or not 0 <= asset.sz_decimals <= _PRICE_DECIMALS:
            continue
        instrument = _instrument(asset)
        instruments.append(instrument)
        assets[instrument.symbol] = number
    return Listed(markets=Markets("hyperliquid", instruments), assets=assets)


def _instrument(asset: AssetMeta) -> Instrument:
    return Instrument(
        exchange="hyperliquid",
        symbol=canonical_symbol(asset.name, "USD"),
        venue_symbol=asset.name,
        base=canonical_base(asset.name),
        quote="USD",
        settle="USDC",
        tick_size=Decimal(1).scaleb(asset.sz_decimals - _PRICE_DECIMALS),
        lot_size=Decimal(1).scaleb(-asset.sz_decimals),
        min_notional=_MIN_NOTIONAL,
        contract_multiplier=scale_of(asset.name).multiplier,
        max_leverage=asset.max_leverage,
        max_price_digits=_PRICE_DIGITS,
    )


def parse_contexts(body: bytes) -> dict[str, AssetContext]:
    """Prices and funding of every perpetual, by the venue's name."""
    meta, contexts = _contexts.decode(body)
    if len(meta.universe) != len(contexts):
        raise ValueError("prices of another number of markets")
    for context in contexts:
        for number in (context.mark_px, context.oracle_px, context.funding, context.open_interest):
            exact(number)
    return {asset.name: context for asset, context in zip(meta.universe, contexts, strict=True)}


def mark_price(context: AssetContext) -> MarkPrice:
    return MarkPrice(mark_price=context.mark_px, index_price=context.oracle_px)


def funding_rate(context: AssetContext, now_ms: int) -> FundingRate:
    """Paid every full hour."""
    return FundingRate(rate=context.funding, next_funding_ms=(now_ms // HOUR_MS + 1) * HOUR_MS)


def market_summaries(contexts: dict[str, AssetContext], markets: Markets) -> list[MarketSummary]:
    return [
        MarketSummary(
            symbol=instrument.symbol,
            mark_price=context.mark_px,
            funding_rate=context.funding,
            open_interest=context.open_interest * context.mark_px,
        )
        for instrument in markets
        if (context := contexts.get(instrument.venue_symbol)) is not None
    ]


def parse_book(body: bytes, instrument: Instrument, depth: int) -> OrderBook:
    book = _book.decode(body)
    if book.coin != instrument.venue_symbol:
        raise ValueError("the book of another market")
    bids, asks = ([_level(level) for level in side[:depth]] for side in book.levels)
    return OrderBook(bids=tuple(bids), asks=tuple(asks))


def _level(level: BookLevel) -> Level:
    return Level(positive(level.px), positive(level.sz))


def parse_candles(body: bytes, limit: int) -> list[Candle]:
    return [
        Candle(
            opened_at_ms=candle.t,
            open=positive(candle.o),
            high=positive(candle.h),
            low=positive(candle.l),
            close=positive(candle.c),
            volume=exact(candle.v),
        )
        for candle in sorted(_candles.decode(body), key=lambda candle: candle.t)[-limit:]
    ]


def parse_balance(body: bytes) -> Balance:
    """The perpetuals' account. Free is what could be taken out of it: never below zero."""
    state = _account.decode(body)
    value = exact(state.margin_summary.account_value)
    return Balance(equity=value, free_collateral=max(exact(state.withdrawable), Decimal(0)), account_value=value)


def parse_positions(body: bytes, markets: Markets) -> list[Position]:
    """Those on markets that the gateway lists."""
    found = []
    for held in _account.decode(body).asset_positions:
        try:
            symbol = markets.with_venue_symbol(held.position.coin).symbol
        except UnknownVenueSymbol:
            continue
        if exact(held.position.szi) != 0:
            found.append(_position(held.position, symbol))
    return found


def _position(position: PositionWire, symbol: str) -> Position:
    signed = exact(position.szi)
    if position.entry_px is None:
        raise ValueError("a position without an entry price")
    return Position(
        symbol=symbol,
        side=PositionSide.LONG if signed > 0 else PositionSide.SHORT,
        size=abs(signed),
        entry_price=positive(position.entry_px),
        mark_price=rounded(abs(exact(position.position_value)) / abs(signed), 8),
        unrealized_pnl=exact(position.unrealized_pnl),
        leverage=position.leverage.value,
        liquidation_price=optional(position.liquidation_px),
    )


def fill_of(fill: FillWire, instrument: Instrument) -> Fill:
    return Fill(
        fill_id=str(fill.tid),
        order_id=str(fill.oid),
        symbol=instrument.symbol,
        side=SIDES[fill.side],
        size=fill.sz,
        price=fill.px,
        fee=fill.fee,
        at_ms=fill.time,
    )


def parse_fees(body: bytes) -> Fees:
    fees = _fees.decode(body)
    return Fees(maker_bps=exact(fees.user_add_rate) * BPS, taker_bps=exact(fees.user_cross_rate) * BPS)
