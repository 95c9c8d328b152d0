"""Orders, in one vocabulary for every venue. Unknown words of a venue never get this far (``adapters``)."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from normalization.decimals import ZERO
from normalization.venue_failures import Reason


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1


class PositionSide(StrEnum):
    LONG = "LONG"
    SHORT = "SHORT"

    @property
    def closing_side(self) -> Side:
        """The side of an order that reduces a position of this side."""
        return Side.SELL if self is PositionSide.LONG else Side.BUY


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class OrderType(StrEnum):
    LIMIT = "LIMIT"
    MARKET = "MARKET"
    STOP = "STOP"
    TAKE_PROFIT = "TAKE_PROFIT"


class OrderStatus(StrEnum):
    """What a venue says of an order. ``PENDING`` is a trigger order that has not fired."""

    PENDING = "PENDING"
    OPEN = "OPEN"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"

    @property
    def is_final(self) -> bool:
        return self in _FINAL


_FINAL: Final = frozenset({OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED})


class Limit(msgspec.Struct, frozen=True, kw_only=True, tag="LIMIT", tag_field="type"):
    """Rests at ``price`` until canceled; with ``IOC`` what does not fill at once is dropped, with ``FOK`` all of it."""

    price: Decimal
    time_in_force: TimeInForce = TimeInForce.GTC


class PostOnly(msgspec.Struct, frozen=True, kw_only=True, tag="POST_ONLY", tag_field="type"):
    """A limit order that is refused rather than take liquidity. It always rests: there is no post-only IOC."""

    price: Decimal


class Market(msgspec.Struct, frozen=True, kw_only=True, tag="MARKET", tag_field="type"):
    """Fills at once, at most ``max_slippage_bps`` worse than the best opposite price it meets."""

    max_slippage_bps: int = 100


class Stop(msgspec.Struct, frozen=True, kw_only=True, tag="STOP", tag_field="type"):
    """Becomes a market order when the mark price reaches ``trigger_price``: from below for a buy, above for a sell."""

    trigger_price: Decimal


class TakeProfit(msgspec.Struct, frozen=True, kw_only=True, tag="TAKE_PROFIT", tag_field="type"):
    """A stop the other way round: a sell fires when the mark price rises to ``trigger_price``, a buy when it falls."""

    trigger_price: Decimal


Execution = Limit | PostOnly | Market | Stop | TakeProfit


class OrderIntent(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller wants done, validated against the instrument; ``size`` is in base units and positive."""

    symbol: str
    side: Side
    size: Decimal
    execution: Execution
    reduce_only: bool = False

    @property
    def type(self) -> OrderType:
        match self.execution:
            case Limit() | PostOnly():
                return OrderType.LIMIT
            case Market():
                return OrderType.MARKET
            case Stop():
                return OrderType.STOP
            case TakeProfit():
                return OrderType.TAKE_PROFIT

    @property
    def price(self) -> Decimal | None:
        return self.execution.price if isinstance(self.execution, Limit | PostOnly) else None

    @property
    def trigger_price(self) -> Decimal | None:
        return self.execution.trigger_price if isinstance(self.execution, Stop | TakeProfit) else None


class Rejection(msgspec.Struct, frozen=True):
    """Why a venue rejected an order that it had taken at first, in its own words."""

    reason: Reason
    text: str


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the venue tells it. ``fee`` is what has been paid so far in the settle asset, negative for a rebate.

    ``fee`` is None where the venue does not say it with the order, and so is ``rejection``.
    """

    order_id: str
    client_id: str | None
    symbol: str
    side: Side
    type: OrderType
    size: Decimal
    filled_size: Decimal = ZERO
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    average_price: Decimal | None = None
    fee: Decimal | None = None
    reduce_only: bool = False
    status: OrderStatus
    rejection: Rejection | None = None
    created_at_ms: int
