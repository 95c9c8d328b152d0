"""What happens to orders at a recorded venue: enough of an exchange for a contract, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from normalization.orders import OrderStatus, PositionSide, Side
from normalization.venue_failures import Reason
from tests.adapters.ccxt.orders_to_place import NOW_MS

MARK: Final = Decimal(60_000)
FUNDING_RATE: Final = Decimal("0.0000125")
FUNDED_AT_MS: Final = NOW_MS + 3_600_000
TAKER_FEE: Final = Decimal("0.0005")
EQUITY: Final = Decimal("10000.5")
FIRST_ID: Final = 281_474_976_710_700

_LEVELS: Final = 20
_STEP: Final = 10


class Refused(Exception):
    """The venue does not take it."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class Kept(msgspec.Struct, kw_only=True):
    """An order of the venue's. ``refused`` says why it was not executed where it was acknowledged before."""

    order_id: int = 0
    client_id: str | None = None
    side: Side
    size: Decimal
    price: Decimal | None = None
    time_in_force: str = "GTC"
    post_only: bool = False
    reduce_only: bool = False
    trigger: Decimal | None = None
    fires_up: bool = False
    filled: Decimal = Decimal(0)
    average: Decimal | None = None
    status: OrderStatus = OrderStatus.OPEN
    refused: Reason | None = None

    @property
    def is_open(self) -> bool:
        return self.status in (OrderStatus.OPEN, OrderStatus.PENDING, OrderStatus.PARTIALLY_FILLED)

    @property
    def takes_profit(self) -> bool:
        return self.fires_up is (self.side is Side.SELL)


class Execution(msgspec.Struct, kw_only=True):
    order: Kept
    size: Decimal
    price: Decimal
    number: int

    @property
    def fee(self) -> Decimal:
        return self.size * self.price * TAKER_FEE


class Book:
    """One market with one other trader, who offers without end at the same prices. ``position`` is signed."""

    def __init__(self) -> None:
        self.orders: dict[int, Kept] = {}
        self.executions: list[Execution] = []
        self.position = Decimal(0)
        self.leverage = 10

    @property
    def bids(self) -> list[tuple[Decimal, Decimal]]:
        return [(MARK - _STEP * n, Decimal("2.5")) for n in range(1, _LEVELS + 1)]

    @property
    def asks(self) -> list[tuple[Decimal, Decimal]]:
        return [(MARK + _STEP * n, Decimal("2.5")) for n in range(1, _LEVELS + 1)]

    @property
    def position_side(self) -> PositionSide:
        return PositionSide.LONG if self.position > 0 else PositionSide.SHORT

    @property
    def used(self) -> Decimal:
        return abs(self.position) * MARK / self.leverage

    @property
    def latest(self) -> Kept:
        return self.orders[max(self.orders)]

    def open_orders(self) -> list[Kept]:
        return [order for order in self.orders.values() if order.is_open]

    def by_client_id(self, client_id: str | None) -> Kept | None:
        return next((order for order in self.orders.values() if client_id and order.client_id == client_id), None)

    def place(self, order: Kept, *, judges_later: bool = False) -> Kept:
        """:raises Refused: at once, or only for a repeated id where the venue judges later."""
        if self.by_client_id(order.client_id):
            raise Refused(Reason.DUPLICATE_ORDER_ID)
        order.order_id = FIRST_ID + len(self.orders)
        try:
            self._judge(order)
        except Refused as refusal:
            if not judges_later:
                raise
            order.status, order.refused = OrderStatus.REJECTED, refusal.reason
        self.orders[order.order_id] = order
        return order

    def cancel(self, order: Kept | None) -> Kept:
        """:raises Refused: there is no such order, or it is over."""
        if order is None or not order.is_open:
            raise Refused(Reason.ORDER_NOT_FOUND)
        order.status = OrderStatus.CANCELED
        return order

    def cancel_all(self) -> list[Kept]:
        return [self.cancel(order) for order in self.open_orders()]

    def candles(self, start_ms: int, interval_ms: int, count: int) -> Sequence[tuple[int, str, str, str, str, str]]:
        """Time, open, high, low, close, volume; oldest first."""
        return [(start_ms + n * interval_ms, "59990", "60020", "59980", "60010", "1.25") for n in range(count)]

    def _judge(self, order: Kept) -> None:
        if order.reduce_only and self.position * order.side.sign >= 0 and order.trigger is None:
            raise Refused(Reason.NO_POSITION)
        if not order.reduce_only and order.size * (order.price or MARK) / self.leverage > EQUITY:
            raise Refused(Reason.INSUFFICIENT_FUNDS)
        if order.trigger is not None:
            order.status = OrderStatus.PENDING
        elif not self._crosses(order):
            order.status = OrderStatus.OPEN if order.time_in_force == "GTC" else OrderStatus.CANCELED
        elif order.post_only:
            raise Refused(Reason.POST_ONLY_WOULD_TAKE)
        else:
            self._execute(order)

    def _best(self, side: Side) -> Decimal:
        return (self.asks if side is Side.BUY else self.bids)[0][0]

    def _crosses(self, order: Kept) -> bool:
        if order.price is None:
            return True
        return (order.price - self._best(order.side)) * order.side.sign >= 0

    def _execute(self, order: Kept) -> None:
        size = min(order.size, abs(self.position)) if order.reduce_only else order.size
        order.filled, order.average = size, self._best(order.side)
        order.status = OrderStatus.FILLED if size == order.size else OrderStatus.CANCELED
        self.position += size * order.side.sign
        number = len(self.executions) + 1
        self.executions.append(Execution(order=order, size=size, price=order.average, number=number))
