"""What the trading half writes: orders, positions, trades."""

from __future__ import annotations

from typing import Any

import msgspec

from sandbox.milo.core import Core
from sandbox.milo.trading.book import OrderBook
from sandbox.milo.trading.orders import Order
from sandbox.milo.trading.positions import Positions
from sandbox.milo.trading.trades import Trades


class Registers:
    """Made when it is needed: all it knows is in the database."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.book = OrderBook(core.db, core.market)
        self.positions = Positions(core.db)
        self.trades = Trades(core.db)

    def change(self, order: Order, **changes: Any) -> Order:
        """The order with other values, stored."""
        changed = msgspec.structs.replace(order, updated_at_ms=self._core.now_ms, **changes)
        self.book.update(order, changed)
        return changed
