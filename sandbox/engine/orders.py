"""The exchange's own records of orders and fills, and the indexes over them. Prices in ticks, sizes in lots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

import msgspec

from normalization.decimals import ZERO
from normalization.orders import Execution, Limit, OrderStatus, PostOnly, Side, TimeInForce


class OrderRecord(msgspec.Struct, kw_only=True, eq=False):
    """An order from its acceptance to its end. ``paid`` is price times size of all fills, ``number`` rises for ever.

    ``ticks`` is the limit, ``trigger_ticks`` is set while it waits for its trigger; ``ended_because`` is for people.
    """

    order_id: str
    number: int
    account: str
    client_id: str | None
    symbol: str
    side: Side
    execution: Execution
    lots: int
    ticks: int | None = None
    trigger_ticks: int | None = None
    reduce_only: bool = False
    group: str | None = None
    filled_lots: int = 0
    paid: Decimal = ZERO
    fee: Decimal = ZERO
    status: OrderStatus = OrderStatus.OPEN
    accepted_at_ms: int
    ended_at_ms: int | None = None
    ended_because: str = ""

    @property
    def left(self) -> int:
        return self.lots - self.filled_lots

    @property
    def may_rest(self) -> bool:
        """Whether what does not trade at once waits in the book."""
        match self.execution:
            case PostOnly() | Limit(time_in_force=TimeInForce.GTC):
                return True
            case _:
                return False

    @property
    def is_resting(self) -> bool:
        return self.status in (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)


class FillRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a trade. ``position_before`` is signed; ``realized_pnl`` is without the fee."""

    fill_id: str
    number: int
    order_id: str
    account: str
    symbol: str
    side: Side
    size: Decimal
    price: Decimal
    fee: Decimal
    is_maker: bool
    position_before: Decimal
    realized_pnl: Decimal
    at_ms: int


class OrderIndex:
    """Open orders, and those that ended since the last ``forget_ended``, with their fills."""

    def __init__(self) -> None:
        self._by_id: dict[str, OrderRecord] = {}
        self._by_client_id: dict[tuple[str, str], OrderRecord] = {}
        self._open: dict[str, dict[str, OrderRecord]] = {}
        self._ended: list[OrderRecord] = []
        self._fills: list[FillRecord] = []

    def add(self, order: OrderRecord) -> None:
        self._by_id[order.order_id] = order
        if order.client_id is not None:
            self._by_client_id[order.account, order.client_id] = order
        self._open.setdefault(order.account, {})[order.order_id] = order

    def end(self, order: OrderRecord) -> None:
        del self._open[order.account][order.order_id]
        self._ended.append(order)

    def add_fill(self, fill: FillRecord) -> None:
        self._fills.append(fill)

    def by_id(self, account: str, order_id: str) -> OrderRecord | None:
        order = self._by_id.get(order_id)
        return order if order is not None and order.account == account else None

    def by_client_id(self, account: str, client_id: str) -> OrderRecord | None:
        return self._by_client_id.get((account, client_id))

    def open_of(self, account: str) -> list[OrderRecord]:
        """Oldest first. A list of its own: closing orders while walking it is fine."""
        return list(self._open.get(account, {}).values())

    def open_count(self, account: str) -> int:
        return len(self._open.get(account, {}))

    def all_open(self) -> list[OrderRecord]:
        """Oldest first."""
        return sorted((o for orders in self._open.values() for o in orders.values()), key=lambda order: order.number)

    def fills_of(self, account: str, symbol: str | None) -> Iterator[FillRecord]:
        """Newest first."""
        return (f for f in reversed(self._fills) if f.account == account and symbol in (None, f.symbol))

    @property
    def ended(self) -> Iterable[OrderRecord]:
        return self._ended

    @property
    def fills(self) -> Iterable[FillRecord]:
        return self._fills

    def forget_ended(self) -> None:
        for order in self._ended:
            del self._by_id[order.order_id]
            if order.client_id is not None:
                del self._by_client_id[order.account, order.client_id]
        self._ended = []
        self._fills = []
