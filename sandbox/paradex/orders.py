"""The venue's orders: as they are asked for, as the exchange understands them, as they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from normalization.decimals import is_sane, trimmed
from normalization.instruments import Instrument
from normalization.orders import (
    Execution,
    Limit,
    Market,
    OrderIntent,
    OrderStatus,
    PostOnly,
    Side,
    Stop,
    TakeProfit,
    TimeInForce,
)
from normalization.venue_failures import Reason
from sandbox.paradex.errors import ApiError, invalid, no_market
from sandbox.paradex.felts import MODIFY_ORDER, ORDER, Unsignable, message_hash, scaled, short_string
from sandbox.wires.desk import CANCELED, PARENT_CANCELED, POSITION_CLOSED, SIBLING_CAME_FIRST, Draft, Standing
from sandbox.wires.records import OrderRecord, Phase, Trigger

Number = Annotated[str, Meta(pattern=r"^[0-9]{1,20}(\.[0-9]{1,20})?$")]
OrderType = Literal[
    "MARKET",
    "LIMIT",
    "STOP_LIMIT",
    "STOP_MARKET",
    "TAKE_PROFIT_LIMIT",
    "TAKE_PROFIT_MARKET",
    "STOP_LOSS_LIMIT",
    "STOP_LOSS_MARKET",
]

DEFAULT_WINDOW_MS: Final = 300_000
_LEAST_WINDOW_MS: Final = 10
# How far ahead of the venue's a client's clock may be.
_AHEAD_MS: Final = 60_000
_BAND_BPS: Final = 500
_WHOLE_POSITION_LOTS: Final = 10**9
_LONGEST_CLIENT_ID: Final = 64


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``POST /orders``. ``price`` is absent for market orders of some clients, ``size`` zero is the whole position."""

    market: str
    side: Literal["BUY", "SELL"]
    type: OrderType
    size: Number
    signature: str
    signature_timestamp: int
    instruction: Literal["GTC", "IOC", "POST_ONLY", "RPI", ""] = "GTC"
    price: Number | None = None
    trigger_price: Number | None = None
    flags: tuple[str, ...] | None = ()
    client_id: str | None = None
    recv_window: int | None = None
    stp: Literal["EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH", ""] | None = None


class ModifyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """``PUT /orders/{id}``"""

    id: str
    market: str
    side: Literal["BUY", "SELL"]
    type: OrderType
    size: Number
    price: Number
    signature: str
    signature_timestamp: int
    trigger_price: Number | None = None


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it was asked for."""

    market: str
    side: str
    type: str
    instruction: str
    size: Decimal
    price: Decimal
    trigger_price: Decimal | None
    reduce_only: bool
    stp: str
    signed_at_ms: int

    @property
    def is_protection(self) -> bool:
        return self.type.startswith(("TAKE_PROFIT", "STOP_LOSS"))


Record = OrderRecord[Terms]


def order_hash(chain_id: str, account: int, request: OrderRequest) -> list[int]:
    """What the signer may have signed: the price of a market order is signed as zero, or as it stands.

    :raises ApiError: a value is too fine to be signed.
    """
    prices = ["0"] if "MARKET" in request.type else []
    if request.price is not None:
        prices.append(request.price)
    try:
        return [
            message_hash(chain_id, account, ORDER, _signed(request, request.size, price))
            for price in dict.fromkeys(prices)
        ]
    except Unsignable:
        raise invalid("size and price have at most 8 decimals") from None


def modify_hash(chain_id: str, account: int, request: ModifyRequest) -> int:
    """:raises ApiError: a value is too fine to be signed."""
    price = "0" if "MARKET" in request.type else request.price
    try:
        values = [*_signed(request, request.size, price), int(request.id)]
        return message_hash(chain_id, account, MODIFY_ORDER, values)
    except ValueError:
        raise invalid("size and price have at most 8 decimals") from None


def _signed(request: OrderRequest | ModifyRequest, size: str, price: str) -> list[int]:
    side = 1 if request.side == "BUY" else 2
    names = short_string(request.market), side, short_string(request.type)
    return [request.signature_timestamp, *names, scaled(size), scaled(price)]


def check_times(request: OrderRequest, now_ms: int) -> None:
    """:raises ApiError: it was signed too long ago, or in the future."""
    window_ms = DEFAULT_WINDOW_MS if request.recv_window is None else request.recv_window
    if window_ms < _LEAST_WINDOW_MS:
        raise invalid("recv_window must be at least 10")
    if now_ms > request.signature_timestamp + window_ms:
        raise ApiError(400, "INVALID_TIMESTAMP", "signature timestamp is outside of the receive window")
    if request.signature_timestamp > now_ms + _AHEAD_MS:
        raise ApiError(400, "INVALID_TIMESTAMP", "signature timestamp is in the future")


def terms_of(request: OrderRequest) -> Terms:
    """:raises ApiError: fields are missing or do not go together."""
    flags = request.flags or ()
    if unknown := [flag for flag in flags if flag != "REDUCE_ONLY"]:
        raise invalid(f"unknown flag {unknown[0][:40]}")
    if request.type == "LIMIT" and request.trigger_price is not None:
        raise invalid("trigger_price is for trigger orders")
    if request.type not in ("MARKET", "LIMIT") and request.trigger_price is None:
        raise invalid("trigger_price is missing")
    if "LIMIT" in request.type and request.price is None:
        raise invalid("price is missing")
    if len(request.client_id or "") > _LONGEST_CLIENT_ID:
        raise invalid("client_id is too long")
    if request.instruction == "RPI":
        raise ApiError(400, "RPI_ACCOUNT_NOT_WHITELISTED", "account is not whitelisted for RPI orders")
    return Terms(
        market=request.market,
        side=request.side,
        type=request.type,
        instruction=request.instruction or "GTC",
        size=Decimal(request.size),
        price=Decimal(request.price or 0),
        trigger_price=None if request.trigger_price is None else Decimal(request.trigger_price),
        reduce_only="REDUCE_ONLY" in flags,
        stp=request.stp or "EXPIRE_TAKER",
        signed_at_ms=request.signature_timestamp,
    )


def draft_of(terms: Terms, client_id: str | None, instruments: Mapping[str, Instrument], mark: Decimal) -> Draft[Terms]:
    """``mark`` is the market's mark price: which way a stop waits depends on it.

    :raises ApiError: the market is unknown, or size or price are not on its steps.
    """
    instrument = instruments.get(terms.market)
    if instrument is None:
        raise no_market(terms.market)
    is_whole = terms.size == 0 and terms.is_protection
    _check_steps(terms, instrument, is_whole=is_whole)
    if terms.is_protection and not terms.reduce_only:
        raise invalid("take profit and stop loss orders must be REDUCE_ONLY")
    side = Side(terms.side)
    trigger = _trigger(terms, mark)
    waits_here = trigger is not None and "LIMIT" in terms.type
    return Draft(
        client_id=client_id or None,
        intent=OrderIntent(
            symbol=terms.market,
            side=side,
            size=instrument.lot_size * _WHOLE_POSITION_LOTS if is_whole else terms.size,
            execution=_execution(terms, side, trigger),
            reduce_only=terms.reduce_only,
        ),
        terms=terms,
        trigger=trigger if waits_here else None,
    )


def _check_steps(terms: Terms, instrument: Instrument, *, is_whole: bool) -> None:
    if not is_whole and (not is_sane(terms.size) or terms.size <= 0 or terms.size % instrument.lot_size != 0):
        raise invalid(f"size must be a positive multiple of {trimmed(instrument.lot_size)}")
    prices = [terms.price] if "LIMIT" in terms.type else []
    prices += [] if terms.trigger_price is None else [terms.trigger_price]
    try:
        on_tick = all(is_sane(price) and price > 0 and price % instrument.tick_size == 0 for price in prices)
    except InvalidOperation:
        on_tick = False
    if not on_tick:
        raise invalid(f"price must be a positive multiple of {trimmed(instrument.tick_size)}")


def _trigger(terms: Terms, mark: Decimal) -> Trigger | None:
    if terms.trigger_price is None or terms.type == "MARKET":
        return None
    if terms.type.startswith("TAKE_PROFIT"):
        return Trigger(terms.trigger_price, terms.side == "SELL")
    if terms.type.startswith("STOP_LOSS"):
        return Trigger(terms.trigger_price, terms.side == "BUY")
    return Trigger(terms.trigger_price, terms.trigger_price > mark)


def _execution(terms: Terms, side: Side, trigger: Trigger | None) -> Execution:
    if trigger is not None and "MARKET" in terms.type:
        is_stop = trigger.rising == (side is Side.BUY)
        return Stop(trigger_price=trigger.price) if is_stop else TakeProfit(trigger_price=trigger.price)
    if terms.type == "MARKET":
        return Market(max_slippage_bps=_BAND_BPS)
    match terms.instruction:
        case "POST_ONLY":
            return PostOnly(price=terms.price)
        case "IOC":
            return Limit(price=terms.price, time_in_force=TimeInForce.IOC)
        case _:
            return Limit(price=terms.price)


# What the venue shows.

# The venue publishes no list of these. The first four are known from it; the others are this sandbox's own words.
_WHY_REFUSED: Final[Mapping[str, str]] = {
    Reason.INSUFFICIENT_FUNDS: "NOT_ENOUGH_MARGIN",
    Reason.INVALID_ORDER: "ORDER_SIZE_BELOW_MIN",
    Reason.POST_ONLY_WOULD_TAKE: "POST_ONLY_WOULD_CROSS",
    Reason.NO_LIQUIDITY: "IMMEDIATE_NOT_MATCHED",
    Reason.REDUCE_ONLY_WOULD_INCREASE: "REDUCE_ONLY_WOULD_INCREASE",
    Reason.NO_POSITION: "REDUCE_ONLY_WOULD_INCREASE",
    Reason.PRICE_OUT_OF_RANGE: "PRICE_OUT_OF_BAND",
    Reason.TRIGGER_WOULD_FIRE: "TRIGGER_PRICE_REACHED",
    Reason.TOO_MANY_ORDERS: "MAX_OPEN_ORDERS",
}
_WHY_ENDED: Final[Mapping[str, str]] = {
    CANCELED: "USER_CANCELED",
    PARENT_CANCELED: "USER_CANCELED",
    SIBLING_CAME_FIRST: "SIBLING_EXECUTED",
    POSITION_CLOSED: "POSITION_CLOSED",
    "it would have traded with its own account": "SELF_TRADE",
    "the other order of the pair came first": "SIBLING_EXECUTED",
    "its position was closed": "POSITION_CLOSED",
    "nothing is left to reduce": "POSITION_CLOSED",
    "nothing to reduce": "POSITION_CLOSED",
    "insufficient margin when it fired": "NOT_ENOUGH_MARGIN",
    "liquidation": "LIQUIDATION",
    "the rest found no taker": "IMMEDIATE_NOT_MATCHED",
    "no liquidity": "IMMEDIATE_NOT_MATCHED",
}
_ID_DIGITS: Final = 12


def id_of(record: Record) -> str:
    """25 digits: the millisecond of its making and its number."""
    return f"{record.created_at_ms}{record.number:0{_ID_DIGITS}d}"


def number_of(order_id: str) -> int | None:
    return int(order_id[-_ID_DIGITS:]) if order_id.isdecimal() and len(order_id) <= 2 * _ID_DIGITS + 4 else None


def status_of(standing: Standing[Terms]) -> str:
    record, found = standing
    if record.phase in (Phase.REFUSED, Phase.ENDED):
        return "CLOSED"
    if record.phase is Phase.SENDING:
        return "NEW"
    if found is None or found.order.status is OrderStatus.PENDING:
        return "UNTRIGGERED"
    return "CLOSED" if found.order.status.is_final else "OPEN"


def cancel_reason(standing: Standing[Terms]) -> str:
    """Empty for an order that is open or filled."""
    record, found = standing
    if record.phase is Phase.REFUSED:
        return _WHY_REFUSED.get(record.ended, record.ended)
    if record.phase is Phase.ENDED:
        return _WHY_ENDED.get(record.ended, _WHY_REFUSED.get(record.ended, record.ended))
    if found is None or not found.order.status.is_final or found.order.status is OrderStatus.FILLED:
        return ""
    return _WHY_ENDED.get(found.ended_because, "USER_CANCELED")


def order_shown(standing: Standing[Terms], *, as_new: bool = False) -> dict[str, Any]:
    """``as_new``: as the venue answers a placement, before anything has come of it."""
    record, terms, order = standing.record, standing.record.terms, standing.order
    changed_at_ms = record.created_at_ms if as_new else _changed_at_ms(standing)
    filled = Decimal(0) if order is None or as_new else order.filled_size
    left = (
        Decimal(0) if order is not None and order.status is OrderStatus.FILLED and not as_new else terms.size - filled
    )
    average = None if order is None or as_new else order.average_price
    return {
        "id": id_of(record),
        "account": record.account,
        "market": terms.market,
        "side": terms.side,
        "type": terms.type,
        "instruction": terms.instruction,
        "size": trimmed(terms.size),
        "remaining_size": trimmed(max(Decimal(0), left)),
        "price": trimmed(terms.price),
        "avg_fill_price": "" if average is None else trimmed(average),
        "status": "NEW" if as_new else status_of(standing),
        "cancel_reason": "" if as_new else cancel_reason(standing),
        "client_id": record.client_id or "",
        "flags": ["REDUCE_ONLY"] if terms.reduce_only else [],
        "stp": terms.stp,
        "trigger_price": "0" if terms.trigger_price is None else trimmed(terms.trigger_price),
        "timestamp": terms.signed_at_ms,
        "created_at": record.created_at_ms,
        "last_updated_at": changed_at_ms,
        "received_at": record.created_at_ms,
        "published_at": changed_at_ms,
        "seq_no": changed_at_ms * 1_000_000 + record.number % 1_000_000,
        "request_info": None,
    }


def _changed_at_ms(standing: Standing[Terms]) -> int:
    record, found = standing
    if found is not None and found.ended_at_ms is not None:
        return found.ended_at_ms
    return record.created_at_ms if standing.is_open and record.generation == 0 else record.changed_at_ms
