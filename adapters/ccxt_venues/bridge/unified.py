"""ccxt's structures in our words. Its numbers are strings here; what it leaves out is an error, not a zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from adapters.base import Submission
from adapters.ccxt_venues.numbers import exact, optional, positive
from normalization.accounts import Fill, Position
from normalization.decimals import BPS, ZERO
from normalization.instruments import Instrument
from normalization.market_data import Candle, Fees, FundingRate, Level, MarkPrice, OrderBook
from normalization.orders import Order, OrderStatus, OrderType, PositionSide, Side
from normalization.resolver import Markets
from normalization.symbols import canonical_base, canonical_symbol, is_name, scale_of

Structure = Mapping[str, Any]

_SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
_POSITION_SIDES: Final = {"long": PositionSide.LONG, "short": PositionSide.SHORT}
_OVER: Final = {
    "canceled": OrderStatus.CANCELED,
    "expired": OrderStatus.EXPIRED,
    "rejected": OrderStatus.REJECTED,
}


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """A venue's perpetuals, and what ccxt calls each of them."""

    markets: Markets
    theirs: Mapping[str, str]
    ours: Mapping[str, Instrument]

    def instrument(self, symbol: Any) -> Instrument:
        """:raises LookupError: it is a market that the gateway does not list."""
        return self.ours[symbol]


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """``template`` holds ccxt's own tables of the markets: every session uses the same ones."""

    names: Names
    template: Any


def names_of(exchange: str, listed: Sequence[Structure], quote: str | None = None) -> Names:
    """Linear perpetuals that are open, with positive steps. ``quote`` replaces the one that ccxt tells."""
    ours: dict[str, Instrument] = {}
    for market in listed:
        if market.get("swap") and market.get("linear") and market.get("active") is not False:
            instrument = _instrument(exchange, market, quote or market["quote"])
            if instrument is not None:
                ours[market["symbol"]] = instrument
    return Names(
        markets=Markets(exchange, ours.values()),
        theirs={instrument.symbol: symbol for symbol, instrument in ours.items()},
        ours=ours,
    )


def _instrument(exchange: str, market: Structure, quote: str) -> Instrument | None:
    tick, lot = optional(_text(market["precision"]["price"])), optional(_text(market["precision"]["amount"]))
    if not tick or not lot or not is_name(market["id"]):
        return None
    return Instrument(
        exchange=exchange,
        symbol=canonical_symbol(market["base"], quote),
        venue_symbol=market["id"],
        base=canonical_base(market["base"]),
        quote=quote,
        settle=market["settle"],
        tick_size=tick,
        lot_size=lot,
        min_notional=optional(_text(market["limits"]["cost"]["min"])) or ZERO,
        contract_multiplier=scale_of(market["base"]).multiplier,
        max_leverage=max(int(optional(_text(market["limits"]["leverage"]["max"])) or 1), 1),
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def acknowledged(order: Structure, submission: Submission, now_ms: int) -> Order:
    """The order as the venue took it, in the words of what was asked for.

    :raises ValueError: it is not plainly that order.
    """
    intent = submission.intent
    if not order.get("id") or _text(order.get("clientOrderId")) not in (None, submission.client_id):
        raise ValueError("not the order that was sent")
    size = optional(order.get("amount"))
    if size not in (None, ZERO, intent.size) or order.get("side") not in (None, intent.side.lower()):
        raise ValueError("not the order that was sent")
    filled = optional(order.get("filled")) or ZERO
    return Order(
        order_id=str(order["id"]),
        client_id=submission.client_id,
        symbol=intent.symbol,
        side=intent.side,
        type=intent.type,
        size=intent.size,
        filled_size=filled,
        price=intent.price,
        trigger_price=intent.trigger_price,
        average_price=optional(order.get("average")) if filled else None,
        reduce_only=intent.reduce_only,
        status=_status(order, filled, intent.size, is_trigger=intent.trigger_price is not None),
        created_at_ms=int(order.get("timestamp") or now_ms),
    )


def order_of(order: Structure, names: Names, kind: OrderType | None = None) -> Order:
    """``kind`` where ccxt does not tell it.

    :raises ValueError, LookupError: something that an order must have is missing, or its market is not listed.
    """
    size, filled = positive(order["amount"]), exact(order["filled"])
    trigger = optional(order.get("triggerPrice"))
    kind = kind or _type(order, trigger)
    return Order(
        order_id=_required(order["id"]),
        client_id=_text(order.get("clientOrderId") or None),
        symbol=names.instrument(order["symbol"]).symbol,
        side=_SIDES[order["side"]],
        type=kind,
        size=size,
        filled_size=filled,
        price=positive(order["price"]) if kind is OrderType.LIMIT else None,
        trigger_price=trigger,
        average_price=optional(order.get("average")) if filled else None,
        fee=_fee(order) if filled else None,
        reduce_only=bool(order.get("reduceOnly")),
        status=_status(order, filled, size, is_trigger=trigger is not None),
        created_at_ms=int(order["timestamp"]),
    )


def _fee(order: Structure) -> Decimal | None:
    return optional((order.get("fee") or {}).get("cost"))


def _type(order: Structure, trigger: Decimal | None) -> OrderType:
    if trigger is not None:
        takes_profit = order.get("takeProfitPrice") or "TAKE_PROFIT" in str(order["info"].get("type", "")).upper()
        return OrderType.TAKE_PROFIT if takes_profit else OrderType.STOP
    return OrderType.MARKET if order["type"] == "market" else OrderType.LIMIT


def _status(order: Structure, filled: Decimal, size: Decimal, *, is_trigger: bool) -> OrderStatus:
    status = order.get("status")
    if not 0 <= filled <= size:
        raise ValueError("more was filled than there was")
    if status in (None, "open", "pending"):
        if filled:
            return OrderStatus.FILLED if filled == size else OrderStatus.PARTIALLY_FILLED
        return OrderStatus.PENDING if is_trigger else OrderStatus.OPEN
    if status == "closed":
        return OrderStatus.FILLED if filled == size else OrderStatus.CANCELED
    over = _OVER[status]
    # What an order executed before the venue gave up on it did happen.
    return OrderStatus.CANCELED if over is OrderStatus.REJECTED and filled else over


def is_flat(position: Structure) -> bool:
    """Some venues tell of every market that was ever traded."""
    return optional(position["contracts"]) == ZERO


def position_of(position: Structure, names: Names) -> Position:
    liquidation = optional(position.get("liquidationPrice"))
    return Position(
        symbol=names.instrument(position["symbol"]).symbol,
        side=_POSITION_SIDES[position["side"]],
        size=positive(position["contracts"]),
        entry_price=positive(position["entryPrice"]),
        mark_price=positive(position["markPrice"]),
        unrealized_pnl=exact(position["unrealizedPnl"]),
        leverage=int(exact(position["leverage"])),
        liquidation_price=liquidation or None,
    )


def fill_of(trade: Structure, instrument: Instrument) -> Fill:
    return Fill(
        fill_id=_required(trade["id"]),
        order_id=_required(trade["order"]),
        symbol=instrument.symbol,
        side=_SIDES[trade["side"]],
        size=positive(trade["amount"]),
        price=positive(trade["price"]),
        fee=exact(trade["fee"]["cost"]),
        at_ms=int(trade["timestamp"]),
    )


def book_of(book: Structure, depth: int) -> OrderBook:
    bids, asks = ([Level(positive(p), positive(s)) for p, s in book[side][:depth]] for side in ("bids", "asks"))
    return OrderBook(bids=tuple(bids), asks=tuple(asks))


def mark_of(funding: Structure) -> MarkPrice:
    return MarkPrice(mark_price=positive(funding["markPrice"]), index_price=optional(funding.get("indexPrice")))


def funding_of(funding: Structure) -> FundingRate:
    at_ms = funding.get("fundingTimestamp") or funding["nextFundingTimestamp"]
    return FundingRate(rate=exact(funding["fundingRate"]), next_funding_ms=int(at_ms))


def candle_of(candle: Sequence[Any]) -> Candle:
    start, first, high, low, last, volume = candle
    return Candle(
        opened_at_ms=int(start),
        open=positive(first),
        high=positive(high),
        low=positive(low),
        close=positive(last),
        volume=exact(volume),
    )


def fees_of(fees: Structure) -> Fees:
    return Fees(maker_bps=exact(fees["maker"]) * BPS, taker_bps=exact(fees["taker"]) * BPS)


def _required(value: Any) -> str:
    if not value:
        raise ValueError("something without an id")
    return str(value)
