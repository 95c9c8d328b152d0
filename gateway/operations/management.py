"""Managing what is already there: cancel, close, leverage."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from adapters.base import ClosesPositions
from gateway.operations.account import require_one_id
from gateway.operations.desk import Leg, Placed
from gateway.operations.placement import SlippageBps
from gateway.operations.wire import (
    Call,
    ClientOrderId,
    DecimalText,
    MarketRequest,
    OptionalMarketRequest,
    OrderId,
    Reply,
    price,
)
from normalization.accounts import Position
from normalization.decimals import ZERO, trimmed
from normalization.errors import InvalidParameter
from normalization.instruments import Instrument
from normalization.orders import Market, Order, OrderIntent
from normalization.venue_failures import VenueFailure, VenueUnclear

FILLS_LOOKED_AT = 50
CANCEL_PENDING_HINT = (
    "It is not known yet whether the exchange has this order. The cancel is kept and will be carried out if it does."
)


class CancelOrder(OptionalMarketRequest, frozen=True, kw_only=True):
    """``client_order_id`` may stand in for ``order_id``: an order whose outcome is unknown has no order id yet."""

    order_id: OrderId | None = None
    client_order_id: ClientOrderId | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_id(self.order_id, self.client_order_id)

    async def perform(self, call: Call) -> CancelReply:
        canceled = await call.orders.cancel(call, order_id=self.order_id, client_order_id=self.client_order_id)
        if canceled.pending:
            return CancelReply(status="UNKNOWN", hint=CANCEL_PENDING_HINT)
        return CancelReply()


class CancelReply(Reply, frozen=True, kw_only=True):
    """``status`` is there, as UNKNOWN with HTTP 202, only when the order itself is not accounted for yet."""

    status: str | UnsetType = UNSET
    hint: str | UnsetType = UNSET

    @property
    def http_status(self) -> int:
        return 200 if self.status is UNSET else 202


class CancelAllOrders(MarketRequest, frozen=True, kw_only=True):
    async def perform(self, call: Call) -> CancelAllReply:
        instrument = call.instruments[0]
        undecided = await call.orders.cancel_undecided(call, instrument)
        before = {order.order_id for order in await call.session.get_open_orders(instrument)}
        remaining: list[str] = []
        if before:
            await call.session.cancel_all(instrument)
            remaining = [order.order_id for order in await _open_after_cancel(call, instrument)]
        return CancelAllReply(
            cancelled_count=len(before.difference(remaining)),
            remaining=remaining,
            undecided=undecided or UNSET,
        )


async def _open_after_cancel(call: Call, instrument: Instrument) -> Sequence[Order]:
    """:raises VenueUnclear: the venue did not tell, whatever kept it from it: the cancels themselves were sent."""
    try:
        return await call.session.get_open_orders(instrument)
    except VenueFailure as failure:
        text = f"the cancels were sent, but not what is still open could be learnt: {failure.text}"
        raise VenueUnclear(failure.reason, text) from failure


class CancelAllReply(Reply, frozen=True, kw_only=True):
    """``remaining`` are the order ids that are still open; ``undecided`` the client order ids of orders whose outcome
    is not known yet: their cancel is kept and carried out once they are found.
    """

    cancelled_count: int
    remaining: list[str]
    undecided: list[str] | UnsetType = UNSET

    @property
    def http_status(self) -> int:
        return 200 if self.undecided is UNSET else 202


class CloseAllPositions(MarketRequest, frozen=True, kw_only=True):
    max_slippage_bps: SlippageBps = 100

    async def perform(self, call: Call) -> CloseReply:
        instrument = call.instruments[0]
        positions = await call.session.get_positions(instrument)
        if not positions:
            return CloseReply(closed_size="0", avg_close_price=None, remaining_size="0")
        if isinstance(call.session, ClosesPositions):
            return await _closed_by_the_venue(call, call.session, positions, instrument)
        legs = [self._leg(position, instrument) for position in positions]
        placed = await call.orders.place(call, self.operation, legs)
        failures = [leg.failure for leg in placed if leg.failure is not None]
        if len(failures) == len(placed):
            raise failures[0]
        return _close_reply(placed, await _still_open(call, instrument), instrument)

    def _leg(self, position: Position, instrument: Instrument) -> Leg:
        intent = OrderIntent(
            symbol=instrument.symbol,
            side=position.side.closing_side,
            size=position.size,
            execution=Market(max_slippage_bps=self.max_slippage_bps),
            reduce_only=True,
        )
        return Leg(intent=intent, instrument=instrument)


async def _closed_by_the_venue(
    call: Call, session: ClosesPositions, before: Sequence[Position], instrument: Instrument
) -> CloseReply:
    """With the venue's own request. There is no order to keep books of: to repeat it only closes what is left."""
    known = {fill.fill_id for fill in await call.session.get_fills(instrument, FILLS_LOOKED_AT)}
    await session.close_positions(instrument)
    remaining = await _still_open(call, instrument)
    try:
        sold = [f for f in await call.session.get_fills(instrument, FILLS_LOOKED_AT) if f.fill_id not in known]
    except VenueFailure:
        sold = []
    size = sum((fill.size for fill in sold), ZERO)
    paid = sum((fill.size * fill.price for fill in sold), ZERO)
    return CloseReply(
        closed_size=trimmed(size or max(sum((p.size for p in before), ZERO) - (remaining or ZERO), ZERO)),
        avg_close_price=price(paid / size, instrument) if size else None,
        remaining_size=None if remaining is None else trimmed(remaining),
    )


async def _still_open(call: Call, instrument: Instrument) -> Decimal | None:
    """None where the venue does not tell: what was closed was closed all the same."""
    try:
        return sum((position.size for position in await call.session.get_positions(instrument)), ZERO)
    except (VenueFailure, TimeoutError):
        return None


class CloseReply(Reply, frozen=True, kw_only=True):
    """``remaining_size`` is what is still open, null where the exchange did not tell; ``avg_close_price`` is null where
    nothing was closed.

    ``client_order_ids`` names close orders whose outcome is not known yet; the HTTP status is then 202.
    """

    closed_size: DecimalText
    avg_close_price: DecimalText | None
    remaining_size: DecimalText | None
    client_order_ids: list[str] | UnsetType = UNSET

    @property
    def http_status(self) -> int:
        return 200 if self.client_order_ids is UNSET else 202


def _close_reply(placed: Sequence[Placed], remaining: Decimal | None, instrument: Instrument) -> CloseReply:
    orders = [leg.order for leg in placed if leg.order is not None]
    closed = sum((order.filled_size for order in orders), ZERO)
    paid = sum((order.filled_size * order.average_price for order in orders if order.average_price is not None), ZERO)
    unknown = [leg.client_order_id or "" for leg in placed if leg.is_unknown]
    return CloseReply(
        closed_size=trimmed(closed),
        avg_close_price=price(paid / closed, instrument) if closed else None,
        remaining_size=None if remaining is None else trimmed(remaining),
        client_order_ids=unknown or UNSET,
    )


class SetLeverage(MarketRequest, frozen=True, kw_only=True):
    leverage: Annotated[int, Meta(ge=1, le=1000, description="Leverage multiplier, such as 10")]

    async def perform(self, call: Call) -> LeverageReply:
        instrument = call.instruments[0]
        if self.leverage > instrument.max_leverage:
            raise InvalidParameter(
                "leverage", f"an integer from 1 to {instrument.max_leverage} for {instrument.symbol}"
            )
        await call.session.set_leverage(instrument, self.leverage)
        return LeverageReply(leverage=self.leverage)


class LeverageReply(Reply, frozen=True, kw_only=True):
    leverage: int
