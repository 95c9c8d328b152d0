"""Placing orders. Every request becomes legs for the desk; every reply says how each of them stands."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from gateway.operations.desk import Leg, Placed
from gateway.operations.wire import (
    Call,
    ClientOrderId,
    DecimalText,
    EpochSeconds,
    MarketRequest,
    Reply,
    money,
    price,
    require_printable,
    seconds,
)
from normalization.decimals import require_positive, trimmed
from normalization.errors import InvalidParameter, UnsupportedOperation
from normalization.instruments import Instrument
from normalization.orders import (
    Execution,
    Limit,
    Market,
    OrderIntent,
    PostOnly,
    Side,
    Stop,
    TimeInForce,
)

Size = Annotated[Decimal, Meta(description="Size in base asset units", examples=["0.01"])]
Price = Annotated[Decimal, Meta(description="Price in quote units, on the market's tick", examples=["94000"])]
SlippageBps = Annotated[
    int, Meta(ge=1, le=5000, description="Furthest from the best opposite price, in basis points (100 = 1%)")
]
UNKNOWN_HINT = (
    "The exchange did not say what became of this order: it may be live. Do not place it again under another id. "
    "Ask getOrder with this clientOrderId, or send the same request with the same clientOrderId again."
)


class PlaceLimitOrder(MarketRequest, frozen=True, kw_only=True):
    side: Side
    size: Size
    price: Price
    post_only: Annotated[bool, Meta(description="Refuse rather than take liquidity")] = False
    reduce_only: Annotated[bool, Meta(description="Only ever decrease a position")] = False
    time_in_force: TimeInForce = TimeInForce.GTC
    client_order_id: ClientOrderId | None = None

    def __post_init__(self) -> None:
        require_printable(self.market, "market")
        require_positive(self.size, "size")
        require_positive(self.price, "price")
        if self.post_only and self.time_in_force is not TimeInForce.GTC:
            raise InvalidParameter("timeInForce", "GTC, because a post-only order always rests")

    async def perform(self, call: Call) -> LimitOrderReply:
        instrument = call.instruments[0]
        check_limit(instrument, self.size, self.price, self.reduce_only)
        check_time_in_force(call, self.time_in_force)
        check_post_only(call, self.post_only)
        placed = await place_one(call, self.operation, self._leg(instrument))
        return LimitOrderReply(
            **standing(placed),
            market=instrument.symbol,
            side=self.side,
            size=trimmed(self.size),
            price=price(self.price, instrument),
        )

    def _leg(self, instrument: Instrument) -> Leg:
        execution: Execution = (
            PostOnly(price=self.price) if self.post_only else Limit(price=self.price, time_in_force=self.time_in_force)
        )
        intent = OrderIntent(
            symbol=instrument.symbol,
            side=self.side,
            size=self.size,
            execution=execution,
            reduce_only=self.reduce_only,
        )
        return Leg(intent=intent, instrument=instrument, client_order_id=self.client_order_id)


class PlacementReply(Reply, frozen=True, kw_only=True):
    """``status`` is UNKNOWN, ``order_id`` null and the HTTP status 202 while it is not known what became of the order.

    ``final_by`` is when it will be known at the latest, ``replayed`` that this id had been placed before.
    """

    order_id: str | None
    status: str
    client_order_id: str
    replayed: bool | UnsetType = UNSET
    final_by: EpochSeconds | UnsetType = UNSET
    hint: str | UnsetType = UNSET

    @property
    def http_status(self) -> int:
        return 202 if self.order_id is None else 200


class LimitOrderReply(PlacementReply, frozen=True, kw_only=True):
    market: str
    side: Side
    size: DecimalText
    price: DecimalText


class PlaceMarketOrder(MarketRequest, frozen=True, kw_only=True):
    side: Side
    size: Size
    reduce_only: Annotated[bool, Meta(description="Only ever decrease a position")] = False
    max_slippage_bps: SlippageBps = 100
    client_order_id: ClientOrderId | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self.size, "size")

    async def perform(self, call: Call) -> MarketOrderReply:
        instrument = call.instruments[0]
        instrument.check_size(self.size)
        intent = OrderIntent(
            symbol=instrument.symbol,
            side=self.side,
            size=self.size,
            execution=Market(max_slippage_bps=self.max_slippage_bps),
            reduce_only=self.reduce_only,
        )
        leg = Leg(intent=intent, instrument=instrument, client_order_id=self.client_order_id)
        placed = await place_one(call, self.operation, leg)
        order = placed.order
        return MarketOrderReply(
            **standing(placed),
            filled_price=None if not order or order.average_price is None else price(order.average_price, instrument),
            filled_size=trimmed(order.filled_size) if order else "0",
            fee=None if not order or order.fee is None else money(order.fee),
        )


class MarketOrderReply(PlacementReply, frozen=True, kw_only=True):
    """``filled_price`` is the average, null where nothing was filled; the slippage bound may leave a rest unfilled."""

    filled_price: DecimalText | None
    filled_size: DecimalText
    fee: DecimalText | None


class PlaceStopOrder(MarketRequest, frozen=True, kw_only=True):
    side: Side
    size: Size
    trigger_price: Annotated[Decimal, Meta(description="Mark price that activates the order", examples=["92000"])]
    reduce_only: Annotated[bool, Meta(description="Only ever decrease a position")] = True
    client_order_id: ClientOrderId | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self.size, "size")
        require_positive(self.trigger_price, "triggerPrice")

    async def perform(self, call: Call) -> StopOrderReply:
        instrument = call.instruments[0]
        instrument.check_size(self.size)
        instrument.check_price(self.trigger_price, "triggerPrice")
        intent = OrderIntent(
            symbol=instrument.symbol,
            side=self.side,
            size=self.size,
            execution=Stop(trigger_price=self.trigger_price),
            reduce_only=self.reduce_only,
        )
        leg = Leg(intent=intent, instrument=instrument, client_order_id=self.client_order_id)
        placed = await place_one(call, self.operation, leg)
        return StopOrderReply(**standing(placed), trigger_price=price(self.trigger_price, instrument))


class StopOrderReply(PlacementReply, frozen=True, kw_only=True):
    trigger_price: DecimalText


def check_limit(instrument: Instrument, size: Decimal, price: Decimal, reduce_only: bool) -> None:
    """:raises InvalidParameter: off a step, or (unless it only reduces) below the least order value."""
    instrument.check_size(size)
    instrument.check_price(price)
    if not reduce_only:
        instrument.check_notional(size, price)


def check_time_in_force(call: Call, wanted: TimeInForce) -> None:
    """:raises UnsupportedOperation: the venue would quietly make something else of it."""
    offered = call.capabilities.times_in_force
    if wanted not in offered:
        raise UnsupportedOperation(
            f"{call.credential.exchange} has no {wanted} orders: use {' or '.join(sorted(offered))}.",
            details={"field": "timeInForce", "supported": sorted(offered)},
        )


def check_post_only(call: Call, wanted: bool) -> None:
    """:raises UnsupportedOperation: the venue would take liquidity all the same."""
    if wanted and not call.capabilities.post_only:
        raise UnsupportedOperation(
            f"{call.credential.exchange} has no post-only orders: send postOnly false.", details={"field": "postOnly"}
        )


async def place_one(call: Call, operation: str, leg: Leg) -> Placed:
    """Place a single order. :raises GatewayError: when it is known that there is no such order."""
    (placed,) = await call.orders.place(call, operation, [leg])
    if placed.failure is not None:
        raise placed.failure
    return placed


def standing(placed: Placed) -> dict[str, Any]:
    """The fields that every placement reply shares."""
    order = placed.order
    return {
        "order_id": None if order is None else order.order_id,
        "status": "UNKNOWN" if order is None else order.status,
        "client_order_id": placed.client_order_id,
        "replayed": placed.replayed or UNSET,
        "final_by": UNSET if placed.final_by_ms is None else seconds(placed.final_by_ms),
        "hint": UNKNOWN_HINT if order is None and placed.is_unknown else UNSET,
    }
