"""One SQLite file that a paper exchange lives in: the last snapshot, the commands since, and everything that ended.

One thread opens, uses and closes it. Two processes that both ran the exchange from it would each have half of the
truth, so it is locked for as long as it is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from sandbox.engine import Command
from sandbox.engine.orders import FillRecord, OrderRecord
from sandbox.sqlite_file import open_exclusively, transaction

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS snapshot (
    id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL, state BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS log (number INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, command BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS orders (
    order_id TEXT PRIMARY KEY, account TEXT NOT NULL, client_id TEXT, record BLOB NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS orders_by_client_id ON orders (account, client_id) WHERE client_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS fills (
    number INTEGER PRIMARY KEY, account TEXT NOT NULL, symbol TEXT NOT NULL, record BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS fills_by_market ON fills (account, symbol, number);
"""

_encode = msgspec.msgpack.Encoder().encode
_decode_command = msgspec.msgpack.Decoder(Command).decode
_decode_order = msgspec.msgpack.Decoder(OrderRecord).decode
_decode_fill = msgspec.msgpack.Decoder(FillRecord).decode


class Entry(NamedTuple):
    number: int
    at_ms: int
    command: Command


class Store:
    """Methods raise ``sqlite3.Error``; what they were to write is then not written."""

    def __init__(self, path: Path | None) -> None:
        self._db = open_exclusively(path, _SCHEMA)

    def snapshot(self) -> tuple[int, bytes] | None:
        """The number of the last command that the state includes, and the state."""
        row: tuple[int, bytes] | None = self._db.execute("SELECT number, state FROM snapshot").fetchone()
        return row

    def log(self) -> Iterator[Entry]:
        for number, at_ms, command in self._db.execute("SELECT number, at_ms, command FROM log ORDER BY number"):
            yield Entry(number, at_ms, _decode_command(command))

    def append(self, entries: Sequence[Entry]) -> None:
        """Add commands to the log, all or none, in place of any that were written under their numbers or later."""
        with transaction(self._db):
            self._db.execute("DELETE FROM log WHERE number >= ?", (entries[0].number,))
            self._db.executemany("INSERT INTO log VALUES (?, ?, ?)", [(e[0], e[1], _encode(e[2])) for e in entries])

    def save(self, number: int, state: bytes, orders: Iterable[OrderRecord], fills: Iterable[FillRecord]) -> None:
        """Replace the snapshot, archive what ended, and prune the log up to command ``number``."""
        with transaction(self._db):
            self._db.execute("INSERT OR REPLACE INTO snapshot VALUES (1, ?, ?)", (number, state))
            self._db.executemany(
                "INSERT INTO orders VALUES (?, ?, ?, ?)",
                [(order.order_id, order.account, order.client_id, _encode(order)) for order in orders],
            )
            self._db.executemany(
                "INSERT INTO fills VALUES (?, ?, ?, ?)",
                [(fill.number, fill.account, fill.symbol, _encode(fill)) for fill in fills],
            )
            self._db.execute("DELETE FROM log WHERE number <= ?", (number,))

    def order_by_id(self, account: str, order_id: str) -> OrderRecord | None:
        return self._order("SELECT record FROM orders WHERE account = ? AND order_id = ?", account, order_id)

    def order_by_client_id(self, account: str, client_id: str) -> OrderRecord | None:
        return self._order("SELECT record FROM orders WHERE account = ? AND client_id = ?", account, client_id)

    def fills(self, account: str, symbol: str, limit: int) -> Sequence[FillRecord]:
        """Newest first."""
        rows = self._db.execute(
            "SELECT record FROM fills WHERE account = ? AND symbol = ? ORDER BY number DESC LIMIT ?",
            (account, symbol, limit),
        )
        return [_decode_fill(record) for (record,) in rows]

    def close(self) -> None:
        self._db.close()

    def _order(self, query: str, account: str, key: str) -> OrderRecord | None:
        row = self._db.execute(query, (account, key)).fetchone()
        return None if row is None else _decode_order(row[0])
