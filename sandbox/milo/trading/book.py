"""Every order there ever was, found by user, by position, and by the price at which it fires."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from sandbox.milo.database import Database
from sandbox.milo.market import Levels, TokenMarket
from sandbox.milo.pages import Page
from sandbox.milo.tokens import BY_ADDRESS, Token
from sandbox.milo.trading.orders import Order, OrderStatus, OrderType

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY, order_id TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL, token TEXT NOT NULL,
    type TEXT NOT NULL, status TEXT NOT NULL, parent_id TEXT, thesis_id TEXT,
    rises INTEGER NOT NULL, trigger_ticks INTEGER, record BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS orders_by_user ON orders (user_id, number);
CREATE INDEX IF NOT EXISTS orders_by_status ON orders (user_id, status, type, token, number);
CREATE INDEX IF NOT EXISTS orders_by_parent ON orders (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS orders_by_thesis ON orders (thesis_id, number) WHERE thesis_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS orders_by_trigger ON orders (token, rises, trigger_ticks) WHERE status = 'active'
"""
# The file counts in 64 bits; a price beyond that is never reached.
_MOST_TICKS: Final = 2**62
_OPEN: Final = ("active", "paused", "error", "draft")

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Order).decode


class OrderBook:
    def __init__(self, db: Database, market: TokenMarket) -> None:
        self._db = db
        self._market = market

    def next_number(self) -> int:
        return int(self._db.value("SELECT coalesce(max(number), 0) + 1 FROM orders"))

    def add(self, order: Order) -> None:
        self._db.execute(
            "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            order.number, order.order_id, order.user_id, order.token_address, order.type.value, order.status.value,
            order.parent_id, order.thesis_id, order.fires_rising, self._ticks(order), _encode(order),
        )  # fmt: skip

    def update(self, before: Order, after: Order) -> None:
        """``after`` in place of ``before``. A column that is written costs its indexes: only those that differ are."""
        was, now = self._indexed(before), self._indexed(after)
        changed = {column: value for column, value in now.items() if value != was[column]}
        assignments = "".join(f", {column} = ?" for column in changed)
        self._db.execute(
            f"UPDATE orders SET record = ?{assignments} WHERE number = ?",  # noqa: S608
            _encode(after), *changed.values(), after.number,
        )  # fmt: skip

    def find(self, order_id: str) -> Order | None:
        row = self._db.row("SELECT record FROM orders WHERE order_id = ?", order_id)
        return None if row is None else _decode(row[0])

    def children(self, order_id: str) -> list[Order]:
        """Oldest first."""
        return self._select("parent_id = ? ORDER BY number", order_id)

    def of_theses(self, thesis_ids: Sequence[str]) -> list[Order]:
        """Of any of these positions, oldest first."""
        marks = ",".join("?" * len(thesis_ids))
        return self._select(f"thesis_id IN ({marks}) ORDER BY number", *thesis_ids)

    def open_of_thesis(self, thesis_id: str) -> list[Order]:
        """Those that are not over, oldest first."""
        marks = ",".join("?" * len(_OPEN))
        return self._select(f"thesis_id = ? AND status IN ({marks}) ORDER BY number", thesis_id, *_OPEN)

    def page(
        self,
        user_id: str,
        page: Page,
        *,
        status: OrderStatus | None = None,
        type_: OrderType | None = None,
        token_address: str | None = None,
    ) -> tuple[list[Order], int]:
        """Newest first, and how many there are in all."""
        wanted = {"user_id": user_id, "status": status, "type": type_, "token": token_address}
        given = {column: value for column, value in wanted.items() if value is not None}
        condition = " AND ".join(f"{column} = ?" for column in given)
        values = [str(value) for value in given.values()]
        total = self._db.value(f"SELECT count(*) FROM orders WHERE {condition}", *values)  # noqa: S608
        found = self._select(f"{condition} ORDER BY number DESC LIMIT ? OFFSET ?", *values, page.size, page.offset)
        return found, total

    # Triggers.

    def levels(self) -> dict[Token, Levels]:
        """The nearest prices, in ticks, at which an active order fires, of every token that has any."""
        return {BY_ADDRESS[address]: Levels(below, above) for address, below, above in self._db.rows(_NEAREST)}

    def reached(self, token: Token, ticks: int) -> list[int]:
        """The numbers of the active orders that fire at this price, oldest first."""
        rows = self._db.rows(
            "SELECT number FROM orders WHERE token = ?1 AND rises = 1 AND status = 'active' AND trigger_ticks <= ?2"
            " UNION ALL "
            "SELECT number FROM orders WHERE token = ?1 AND rises = 0 AND status = 'active' AND trigger_ticks >= ?2",
            token.address, ticks,
        )  # fmt: skip
        return sorted(number for (number,) in rows)

    def numbered(self, number: int) -> Order:
        """:raises LookupError: there is none."""
        return _decode(self._db.value("SELECT record FROM orders WHERE number = ?", number))

    def _indexed(self, order: Order) -> dict[str, object]:
        """The columns of what can change in an order and is looked for."""
        return {"status": order.status.value, "thesis_id": order.thesis_id, "trigger_ticks": self._ticks(order)}

    def _ticks(self, order: Order) -> int | None:
        price = order.trigger_price
        if price is None:
            return None
        ticks = self._market.ticks_of(order.token, price, rising=order.fires_rising)
        return max(-_MOST_TICKS, min(ticks, _MOST_TICKS))

    def _select(self, condition: str, *values: object) -> list[Order]:
        rows = self._db.rows(f"SELECT record FROM orders WHERE {condition}", *values)  # noqa: S608
        return [_decode(record) for (record,) in rows]


# From one token to the next, and to the ends of each, by the index: however many orders there are.
_NEAREST: Final = """
    WITH RECURSIVE tokens (token) AS (
        SELECT min(token) FROM orders WHERE status = 'active'
        UNION ALL
        SELECT (SELECT min(token) FROM orders WHERE status = 'active' AND token > tokens.token)
        FROM tokens WHERE token IS NOT NULL
    )
    SELECT token,
        (SELECT max(trigger_ticks) FROM orders WHERE token = tokens.token AND rises = 0 AND status = 'active'),
        (SELECT min(trigger_ticks) FROM orders WHERE token = tokens.token AND rises = 1 AND status = 'active')
    FROM tokens WHERE token IS NOT NULL
"""
