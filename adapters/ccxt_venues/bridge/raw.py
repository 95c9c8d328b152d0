"""A session that reads a venue's own documents, for venues of which ccxt gets the requests right and the replies not.

ccxt builds and signs; names, numbers and states are read here and in the venue's module, strictly.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from adapters.base import Submission
from adapters.ccxt_venues.bridge.quirks import Document
from adapters.ccxt_venues.bridge.session import BridgedSession
from adapters.ccxt_venues.bridge.session import on as on
from normalization.accounts import Position
from normalization.decimals import product
from normalization.instruments import Instrument
from normalization.orders import Order, OrderStatus, PositionSide
from normalization.resolver import UnknownVenueSymbol
from normalization.venue_failures import Reason, VenueRejected, VenueUnclear

T = TypeVar("T")


class RawSession(BridgedSession):
    def _venue_symbol(self, instrument: Instrument | None) -> str:
        """:raises VenueRejected: nobody said which it is, or the venue no longer lists it."""
        if instrument is None:
            raise VenueRejected(Reason.ORDER_NOT_FOUND, "this venue finds an order by its id and its market")
        self._theirs(instrument)
        return instrument.venue_symbol

    def _instrument(self, venue_symbol: Any) -> Instrument:
        """:raises LookupError: it is a market that the gateway does not list."""
        return self._names.markets.with_venue_symbol(str(venue_symbol))

    def _on_known_markets(self, rows: Iterable[Document], named: str = "symbol") -> list[Document]:
        """Those on markets that the gateway lists."""
        return [row for row in rows if self._is_listed(row[named])]

    def _is_listed(self, venue_symbol: Any) -> bool:
        try:
            self._instrument(venue_symbol)
        except UnknownVenueSymbol:
            return False
        return True

    async def _unless_missing(self, asked: Awaitable[Any], parse: Callable[[Any], T]) -> T | None:
        """None where the venue says that it has no such order."""
        try:
            return await self._read(asked, parse)
        except VenueRejected as refusal:
            if refusal.reason is Reason.ORDER_NOT_FOUND:
                return None
            raise


def time_left_ms(submission: Submission, now_ms: int) -> int:
    """For how long the venue may take the order.

    :raises VenueRejected: for no time at all; nothing was sent.
    """
    left_ms = submission.valid_until_ms - now_ms
    if left_ms <= 0:
        raise VenueRejected(Reason.REQUEST_EXPIRED, "nothing was sent: the time for it is over")
    return left_ms


def ours(order: Order | None, client_id: str) -> Order | None:
    """The order that was looked up by our id, whether or not the venue repeats the id.

    :raises VenueUnclear: it is somebody else's.
    """
    if order is None:
        return None
    if order.client_id not in (None, client_id):
        raise VenueUnclear(Reason.OTHER, "the venue answered with another order")
    return msgspec.structs.replace(order, client_id=client_id)


def number(value: Any) -> str:
    """A venue's id of something.

    :raises ValueError: it is none.
    """
    if not isinstance(value, str | int) or isinstance(value, bool) or not value:
        raise ValueError("something without an id")
    return str(value)


def numbered(orders: Iterable[Order], order_id: str) -> Order | None:
    """That of the venue's id."""
    return next((order for order in orders if order.order_id == order_id), None)


def labeled(orders: Iterable[Order], client_id: str) -> Order | None:
    """That of our id."""
    return next((order for order in orders if order.client_id == client_id), None)


def as_sent(found: Order, submission: Submission) -> Order:
    """The order as the venue tells it, in the words of what was asked for.

    :raises ValueError: it is not plainly that order.
    """
    intent = submission.intent
    if (found.symbol, found.side, found.size) != (intent.symbol, intent.side, intent.size):
        raise ValueError("not the order that was sent")
    return msgspec.structs.replace(
        found, client_id=submission.client_id, type=intent.type, price=intent.price, reduce_only=intent.reduce_only
    )


def accepted(submission: Submission, order_id: str, now_ms: int) -> Order:
    """An order that the venue has said that it took."""
    intent = submission.intent
    waits = intent.trigger_price is not None
    return Order(
        order_id=order_id,
        client_id=submission.client_id,
        symbol=intent.symbol,
        side=intent.side,
        type=intent.type,
        size=intent.size,
        price=intent.price,
        trigger_price=intent.trigger_price,
        reduce_only=intent.reduce_only,
        status=OrderStatus.PENDING if waits else OrderStatus.OPEN,
        created_at_ms=now_ms,
    )


def checked(status: OrderStatus, filled: Decimal, size: Decimal) -> OrderStatus:
    """``status``, where it fits with what was filled.

    :raises ValueError: more was filled than there was, or less than the status says.
    """
    if not 0 <= filled <= size:
        raise ValueError("more was filled than there was")
    if filled == size:
        return OrderStatus.FILLED
    if status is OrderStatus.FILLED:
        raise ValueError("filled, and yet not")
    if status is OrderStatus.OPEN and filled:
        return OrderStatus.PARTIALLY_FILLED
    # What an order executed before the venue gave up on it did happen.
    return OrderStatus.CANCELED if status is OrderStatus.REJECTED and filled else status


def position(
    instrument: Instrument,
    *,
    signed_size: Decimal,
    entry_price: Decimal,
    mark_price: Decimal,
    leverage: int,
    liquidation_price: Decimal | None = None,
    unrealized_pnl: Decimal | None = None,
) -> Position:
    """``unrealized_pnl`` is reckoned from the prices where the venue does not say it."""
    if unrealized_pnl is None:
        unrealized_pnl = product(signed_size, mark_price - entry_price)
    return Position(
        symbol=instrument.symbol,
        side=PositionSide.LONG if signed_size > 0 else PositionSide.SHORT,
        size=abs(signed_size),
        entry_price=entry_price,
        mark_price=mark_price,
        unrealized_pnl=unrealized_pnl,
        leverage=leverage,
        liquidation_price=liquidation_price or None,
    )


def too_long() -> VenueUnclear:
    return VenueUnclear(Reason.OTHER, "the venue's list is longer than can be read whole")
