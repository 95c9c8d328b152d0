"""Market data: what anybody on the venue can see."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.operations.wire import (
    Call,
    CredentialRequest,
    DecimalText,
    EpochSeconds,
    MarketRequest,
    Reply,
    money,
    price,
    seconds,
)
from normalization.decimals import padded, trimmed
from normalization.instruments import InstrumentKind

Interval = Literal["1", "5", "15", "60", "240", "1440", 1, 5, 15, 60, 240, 1440]


class GetOrderbook(MarketRequest, frozen=True, kw_only=True):
    depth: Annotated[int, Meta(ge=1, le=100, description="Number of levels on each side")] = 20

    async def perform(self, call: Call) -> OrderbookReply:
        book = await call.session.get_orderbook(call.instruments[0], self.depth)
        instrument = call.instruments[0]
        return OrderbookReply(
            bids=[(price(level.price, instrument), trimmed(level.size)) for level in book.bids[: self.depth]],
            asks=[(price(level.price, instrument), trimmed(level.size)) for level in book.asks[: self.depth]],
        )


class OrderbookReply(Reply, frozen=True, kw_only=True):
    """Best price first; each level is [price, size]."""

    bids: list[tuple[DecimalText, DecimalText]]
    asks: list[tuple[DecimalText, DecimalText]]


class GetMarkPrice(MarketRequest, frozen=True, kw_only=True):
    async def perform(self, call: Call) -> MarkPriceReply:
        instrument = call.instruments[0]
        mark = await call.session.get_mark_price(instrument)
        return MarkPriceReply(
            mark_price=price(mark.mark_price, instrument),
            index_price=None if mark.index_price is None else price(mark.index_price, instrument),
        )


class MarkPriceReply(Reply, frozen=True, kw_only=True):
    mark_price: DecimalText
    index_price: Annotated[DecimalText | None, Meta(description="null where the venue has none")]


class GetCandles(MarketRequest, frozen=True, kw_only=True):
    interval: Annotated[Interval, Meta(description="Minutes per candle")] = "60"
    limit: Annotated[int, Meta(ge=1, le=500, description="Number of candles")] = 100

    async def perform(self, call: Call) -> CandlesReply:
        instrument = call.instruments[0]
        candles = await call.session.get_candles(instrument, int(self.interval), self.limit)
        return CandlesReply(
            candles=[
                CandleEntry(
                    time=seconds(c.opened_at_ms),
                    open=price(c.open, instrument),
                    high=price(c.high, instrument),
                    low=price(c.low, instrument),
                    close=price(c.close, instrument),
                    volume=trimmed(c.volume),
                )
                for c in candles
            ]
        )


class CandleEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``volume`` is in base units."""

    time: EpochSeconds
    open: DecimalText
    high: DecimalText
    low: DecimalText
    close: DecimalText
    volume: DecimalText


class CandlesReply(Reply, frozen=True, kw_only=True):
    """Oldest first; the last one may still be growing."""

    candles: list[CandleEntry]


class GetFundingRate(MarketRequest, frozen=True, kw_only=True):
    async def perform(self, call: Call) -> FundingRateReply:
        funding = await call.session.get_funding_rate(call.instruments[0])
        return FundingRateReply(funding_rate=rate(funding.rate), next_funding_time=seconds(funding.next_funding_ms))


class FundingRateReply(Reply, frozen=True, kw_only=True):
    """``funding_rate`` is the fraction of notional that longs pay shorts at ``next_funding_time``."""

    funding_rate: DecimalText
    next_funding_time: EpochSeconds


class GetMarketsWithFunding(CredentialRequest, frozen=True, kw_only=True):
    async def perform(self, call: Call) -> MarketsWithFundingReply:
        by_symbol = {instrument.symbol: instrument for instrument in call.markets}
        return MarketsWithFundingReply(
            markets=[
                FundingEntry(
                    symbol=m.symbol,
                    mark_price=price(m.mark_price, by_symbol[m.symbol]),
                    funding_rate=rate(m.funding_rate),
                    open_interest=money(m.open_interest),
                )
                for m in await call.session.get_markets_with_funding()
            ]
        )


class FundingEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``open_interest`` is in quote units."""

    symbol: str
    mark_price: DecimalText
    funding_rate: DecimalText
    open_interest: DecimalText


class MarketsWithFundingReply(Reply, frozen=True, kw_only=True):
    markets: list[FundingEntry]


class GetFeeInfo(MarketRequest, frozen=True, kw_only=True):
    async def perform(self, call: Call) -> FeeInfoReply:
        fees = await call.session.get_fees(call.instruments[0])
        return FeeInfoReply(maker_fee=trimmed(fees.maker_bps), taker_fee=trimmed(fees.taker_bps))


class FeeInfoReply(Reply, frozen=True, kw_only=True):
    """In basis points of notional; a negative maker fee is a rebate."""

    maker_fee: DecimalText
    taker_fee: DecimalText


class GetMarkets(CredentialRequest, frozen=True, kw_only=True):
    async def perform(self, call: Call) -> MarketsReply:
        return MarketsReply(
            markets=[
                MarketEntry(
                    symbol=i.symbol,
                    venue_symbol=i.venue_symbol,
                    type=i.kind,
                    base=i.base,
                    quote=i.quote,
                    settle=i.settle,
                    tick_size=trimmed(i.tick_size),
                    lot_size=trimmed(i.lot_size),
                    min_notional=trimmed(i.min_notional),
                    contract_multiplier=trimmed(i.contract_multiplier),
                    max_leverage=i.max_leverage,
                    asset_class=i.asset_class or UNSET,
                )
                for i in call.markets
            ]
        )


class MarketEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Prices are multiples of ``tick_size``, sizes of ``lot_size``; ``min_notional`` is in quote units."""

    symbol: str
    venue_symbol: str
    type: InstrumentKind
    base: str
    quote: str
    settle: str
    tick_size: DecimalText
    lot_size: DecimalText
    min_notional: DecimalText
    contract_multiplier: DecimalText
    max_leverage: int
    asset_class: str | UnsetType = UNSET


class MarketsReply(Reply, frozen=True, kw_only=True):
    markets: list[MarketEntry]


_RATE_PLACES = Decimal("1e-10")


def rate(value: Decimal) -> str:
    """A funding rate to ten decimal places at most."""
    return trimmed(padded(value, _RATE_PLACES))
