"""Trades: the transactions on the chain that carried out an order."""

from __future__ import annotations

from typing import Final

import msgspec

from sandbox.milo.database import Database
from sandbox.milo.pages import Cursor
from sandbox.milo.trading.orders import Fill, Order, OrderType

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS trades (
    number INTEGER PRIMARY KEY, wallet_id TEXT NOT NULL, type TEXT NOT NULL, token TEXT NOT NULL, record BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS trades_by_wallet ON trades (wallet_id, number);
CREATE INDEX IF NOT EXISTS trades_by_token ON trades (wallet_id, token, number)
"""

_encode: Final = msgspec.msgpack.Encoder().encode


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    trade_id: str
    order_id: str
    thesis_id: str | None
    wallet_id: str
    token_address: str
    type: OrderType
    fill: Fill


_decode: Final = msgspec.msgpack.Decoder(Trade).decode


class Trades:
    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, trade_id: str, order: Order, fill: Fill) -> None:
        trade = Trade(
            trade_id=trade_id,
            order_id=order.order_id,
            thesis_id=order.thesis_id,
            wallet_id=order.wallet_id,
            token_address=order.token_address,
            type=order.type,
            fill=fill,
        )
        self._db.insert(
            "INSERT INTO trades (wallet_id, type, token, record) VALUES (?, ?, ?, ?)",
            trade.wallet_id, trade.type.value, trade.token_address, _encode(trade),
        )  # fmt: skip

    def page(
        self, wallet_id: str, cursor: Cursor, *, type_: OrderType | None = None, token_address: str | None = None
    ) -> list[tuple[int, Trade]]:
        """With their numbers, newest first: one more than the cursor's limit where there is more."""
        wanted = {"wallet_id": wallet_id, "type": type_, "token": token_address}
        given = {column: str(value) for column, value in wanted.items() if value is not None}
        condition = " AND ".join(f"{column} = ?" for column in given)
        rows = self._db.rows(
            f"SELECT number, record FROM trades WHERE {condition} AND number < ? ORDER BY number DESC LIMIT ?",  # noqa: S608
            *given.values(), 2**62 if cursor.before is None else cursor.before, cursor.limit + 1,
        )  # fmt: skip
        return [(number, _decode(record)) for number, record in rows]
