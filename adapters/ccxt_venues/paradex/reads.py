"""What Paradex tells of markets and accounts, in our words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from adapters.ccxt_venues.numbers import exact, optional, positive
from adapters.ccxt_venues.paradex import wire as w
from normalization.accounts import Balance, Fill, Position
from normalization.decimals import BPS, is_multiple
from normalization.instruments import Instrument
from normalization.market_data import Candle, Fees, FundingRate, Level, MarketSummary, MarkPrice, OrderBook
from normalization.orders import PositionSide, Side
from normalization.resolver import Markets, UnknownVenueSymbol
from normalization.symbols import canonical_base, canonical_symbol, is_name, scale_of

MAINNET_CHAIN: Final = "PRIVATE_SN_PARACLEAR_MAINNET"
RESOLUTIONS: Final = (60, 15, 5, 1)

_HOUR_MS: Final = 3_600_000
_QUANTUM: Final = Decimal("1e-8")

_documents: Final = msgspec.json.Decoder(w.Documents)
_book: Final = msgspec.json.Decoder(w.Book)
_best: Final = msgspec.json.Decoder(w.BestPrices)
_summaries: Final = msgspec.json.Decoder(w.SummaryList)
_candles: Final = msgspec.json.Decoder(w.CandleList)
_account: Final = msgspec.json.Decoder(w.Account)
_positions: Final = msgspec.json.Decoder(w.PositionList)
_margins: Final = msgspec.json.Decoder(w.Margins)
_infos: Final = msgspec.json.Decoder(w.AccountInfoList)


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's perpetuals, what each charges and how often it funds, and its chain."""

    markets: Markets
    fees: Mapping[str, Fees]
    funding_hours: Mapping[str, int]
    config: w.SystemConfig


def parse_listed(body: bytes, *, mainnet: bool) -> Listed:
    """:raises ValueError: another network claims to be mainnet, where what we sign for it would be good."""
    documents = _documents.decode(body)
    if not mainnet and documents.config.starknet_chain_id == MAINNET_CHAIN:
        raise ValueError("this is not the main network")
    listed = {market.symbol: market for market in documents.markets.results if _is_tradable(market)}
    instruments = {symbol: _instrument(market) for symbol, market in listed.items()}
    return Listed(
        markets=Markets("paradex", instruments.values()),
        fees={i.symbol: _fees(config.api_fee) for s, i in instruments.items() if (config := listed[s].fee_config)},
        funding_hours={i.symbol: max(int(listed[s].funding_period_hours), 1) for s, i in instruments.items()},
        config=documents.config,
    )


def _is_tradable(market: w.MarketWire) -> bool:
    """Perpetuals whose prices and sizes can be signed: in steps of no less than 1e-8. A freak hides none but itself."""
    try:
        return (
            market.asset_kind == "PERP"
            and is_name(market.symbol)
            and len(market.symbol) <= 31
            and is_multiple(positive(market.price_tick_size), _QUANTUM)
            and is_multiple(positive(market.order_size_increment), _QUANTUM)
            and exact(market.min_notional) >= 0
        )
    except (ValueError, ArithmeticError):
        return False


def _instrument(market: w.MarketWire) -> Instrument:
    margin = market.delta1_cross_margin_params
    return Instrument(
        exchange="paradex",
        symbol=canonical_symbol(market.base_currency, market.quote_currency),
        venue_symbol=market.symbol,
        base=canonical_base(market.base_currency),
        quote=market.quote_currency,
        settle=market.settlement_currency,
        tick_size=positive(market.price_tick_size),
        lot_size=positive(market.order_size_increment),
        min_notional=exact(market.min_notional),
        contract_multiplier=scale_of(market.base_currency).multiplier,
        max_leverage=_leverage(Decimal(margin.imf_base)) if margin else 1,
    )


def _leverage(initial_margin: Decimal) -> int:
    """Of an initial margin fraction, which may be a rounded ``0.0333…``."""
    if not initial_margin.is_finite() or initial_margin <= 0:
        return 1
    return max(int(1 / initial_margin + Decimal("0.001")), 1)


def _fees(schedule: w.FeeSchedule) -> Fees:
    return Fees(
        maker_bps=exact(schedule.maker_fee.fee) * BPS,
        taker_bps=exact(schedule.taker_fee.fee) * BPS,
    )


def parse_book(body: bytes, instrument: Instrument, depth: int) -> OrderBook:
    book = _book.decode(body)
    if book.market != instrument.venue_symbol:
        raise ValueError("the book of another market")
    bids, asks = ([Level(positive(p), positive(s)) for p, s in side[:depth]] for side in (book.bids, book.asks))
    return OrderBook(bids=tuple(bids), asks=tuple(asks))


def parse_best(body: bytes, instrument: Instrument) -> dict[Side, Decimal | None]:
    """What an order of each side meets first."""
    best = _best.decode(body)
    if best.market != instrument.venue_symbol:
        raise ValueError("the prices of another market")
    return {Side.BUY: optional(best.ask), Side.SELL: optional(best.bid)}


def parse_summaries(body: bytes) -> dict[str, w.Summary]:
    """By the venue's name. Numbers are read where they are used: options lack some."""
    return {summary.symbol: summary for summary in _summaries.decode(body).results}


def parse_mark(body: bytes, instrument: Instrument) -> MarkPrice:
    summary = parse_summaries(body)[instrument.venue_symbol]
    return MarkPrice(mark_price=positive(summary.mark_price), index_price=optional(summary.underlying_price))


def parse_funding(body: bytes, instrument: Instrument, period_hours: int, now_ms: int) -> FundingRate:
    """The rate of the market's own period, whose ends are counted from midnight UTC."""
    period_ms = period_hours * _HOUR_MS
    rate = exact(parse_summaries(body)[instrument.venue_symbol].funding_rate)
    return FundingRate(rate=rate, next_funding_ms=(now_ms // period_ms + 1) * period_ms)


def parse_market_summaries(body: bytes, markets: Markets) -> list[MarketSummary]:
    summaries = parse_summaries(body)
    return [
        MarketSummary(
            symbol=instrument.symbol,
            mark_price=positive(summary.mark_price),
            funding_rate=exact(summary.funding_rate),
            open_interest=exact(summary.open_interest) * Decimal(summary.mark_price),
        )
        for instrument in markets
        if (summary := summaries.get(instrument.venue_symbol)) is not None
    ]


def parse_candles(body: bytes) -> list[Candle]:
    """Oldest first."""
    return [
        Candle(
            opened_at_ms=start,
            open=positive(first),
            high=positive(high),
            low=positive(low),
            close=positive(last),
            volume=exact(volume),
        )
        for start, first, high, low, last, volume in sorted(_candles.decode(body).results)
    ]


def merged(candles: Sequence[Candle], interval_ms: int) -> list[Candle]:
    """Candles of a longer interval, of shorter ones that are oldest first."""
    found: dict[int, Candle] = {}
    for candle in candles:
        start = candle.opened_at_ms - candle.opened_at_ms % interval_ms
        whole = found.get(start)
        if whole is None:
            found[start] = msgspec.structs.replace(candle, opened_at_ms=start)
        else:
            found[start] = msgspec.structs.replace(
                whole,
                high=max(whole.high, candle.high),
                low=min(whole.low, candle.low),
                close=candle.close,
                volume=whole.volume + candle.volume,
            )
    return list(found.values())


def parse_balance(body: bytes) -> Balance:
    account = _account.decode(body)
    value = exact(account.account_value)
    return Balance(equity=value, free_collateral=exact(account.free_collateral), account_value=value)


def parse_account(body: bytes) -> w.Account:
    return _account.decode(body)


def parse_positions(body: bytes, markets: Markets) -> list[w.PositionWire]:
    """The open ones, on markets that the gateway lists."""
    found = []
    for position in _positions.decode(body).results:
        try:
            markets.with_venue_symbol(position.market)
        except UnknownVenueSymbol:
            continue
        if position.status not in ("OPEN", "CLOSED"):
            raise ValueError("a position status that is not known")
        for number in (position.size, position.unrealized_pnl):
            exact(number)
        if position.status == "OPEN" and Decimal(position.size) != 0:
            positive(position.average_entry_price)
            found.append(position)
    return found


def position_of(wire: w.PositionWire, symbol: str, mark_price: Decimal, leverage: int) -> Position:
    return Position(
        symbol=symbol,
        side=PositionSide(wire.side),
        size=abs(Decimal(wire.size)),
        entry_price=Decimal(wire.average_entry_price),
        mark_price=mark_price,
        unrealized_pnl=Decimal(wire.unrealized_pnl),
        leverage=leverage,
        liquidation_price=optional(wire.liquidation_price),
    )


def fill_of(fill: w.FillWire, instrument: Instrument) -> Fill:
    return Fill(
        fill_id=fill.id,
        order_id=fill.order_id,
        symbol=instrument.symbol,
        side=Side(fill.side),
        size=Decimal(fill.size),
        price=Decimal(fill.price),
        fee=Decimal(fill.fee),
        at_ms=int(fill.created_at),
    )


def parse_margin(body: bytes, instrument: Instrument) -> w.MarginConfig | None:
    """None where nothing was ever set for the market."""
    for config in _margins.decode(body).configs:
        if config.market == instrument.venue_symbol:
            return config
    return None


def parse_account_fees(body: bytes, account: str) -> Fees | None:
    """None where the venue does not say what this account pays."""
    for info in _infos.decode(body).results:
        if int(info.account, 16) == int(account, 16) and info.fees is not None:
            return Fees(
                maker_bps=exact(info.fees.maker_rate) * BPS,
                taker_bps=exact(info.fees.taker_rate) * BPS,
            )
    return None
