"""Where a wire keeps what the exchange behind it does not know: its own order ids and words, agents, keys, nonces.

One SQLite file, written by one thread. An order is recorded before the exchange hears of it, so that no order of the
exchange is ever without its record, whenever the process is killed.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

from normalization.orders import OrderIntent

Terms = TypeVar("Terms")
Result = TypeVar("Result")

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS orders (
    number INTEGER PRIMARY KEY, account TEXT NOT NULL, client_id TEXT, waiting INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS orders_by_account ON orders (account, number);
CREATE INDEX IF NOT EXISTS orders_by_client_id ON orders (account, client_id) WHERE client_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS orders_waiting ON orders (number) WHERE waiting;
CREATE TABLE IF NOT EXISTS exchange_ids (order_id TEXT PRIMARY KEY, number INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS facts (kind TEXT, key TEXT, value BLOB NOT NULL, PRIMARY KEY (kind, key));
"""


class Phase(StrEnum):
    """``SENDING``: recorded, the exchange has not answered. ``HELD``: waits here. ``LIVE``: the exchange has it.

    ``ENDED``: over while it was held. ``REFUSED``: never accepted, so that its client id is free again.
    """

    SENDING = "SENDING"
    HELD = "HELD"
    LIVE = "LIVE"
    ENDED = "ENDED"
    REFUSED = "REFUSED"


class Trigger(msgspec.Struct, frozen=True):
    """``price`` is what the mark price must reach, from below where ``rising``."""

    price: Decimal
    rising: bool

    def is_reached(self, mark: Decimal) -> bool:
        return mark >= self.price if self.rising else mark <= self.price


class OrderRecord(msgspec.Struct, Generic[Terms], frozen=True, kw_only=True):
    """``number`` is the wire's order id; ``terms`` the order in the wire's words, ``intent`` in the exchange's.

    ``trigger`` and ``parent`` (another number) are what a held order waits for. The first of ``siblings`` (numbers) to
    be triggered or filled ends the others. ``generation`` counts the orders
    at the exchange that it has been; ``ended`` says why it ended here, or was refused.
    """

    number: int
    account: str
    client_id: str | None
    intent: OrderIntent
    terms: Terms
    phase: Phase
    created_at_ms: int
    changed_at_ms: int
    order_id: str | None = None
    generation: int = 0
    trigger: Trigger | None = None
    parent: int | None = None
    siblings: tuple[int, ...] = ()
    ends_with_position: bool = False
    triggered_at_ms: int | None = None
    ended: str = ""

    @property
    def exchange_client_id(self) -> str:
        return f"{self.number}.{self.generation}"


class Fact(NamedTuple):
    """Something to remember under a kind and a key, replacing what was there."""

    kind: str
    key: str
    value: bytes


class Records(Generic[Terms]):
    """``path`` None keeps everything in memory. ``record_type`` is ``OrderRecord`` of the wire's terms."""

    def __init__(self, path: Path | None, record_type: type[OrderRecord[Terms]], first_number: int) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="wire-records")
        self._decoder = msgspec.msgpack.Decoder(record_type)
        self._encoder = msgspec.msgpack.Encoder()
        self._database = self._thread.submit(_opened, path).result()
        last: int = self._database.execute("SELECT coalesce(max(number), 0) FROM orders").fetchone()[0]
        self._next_number: int = max(first_number, last + 1)

    def next_number(self) -> int:
        """Rises for ever."""
        self._next_number += 1
        return self._next_number - 1

    async def commit(self, orders: Iterable[OrderRecord[Terms]] = (), facts: Iterable[Fact] = ()) -> None:
        """Durable, all or nothing, when it returns."""
        await self._run(self._commit, list(orders), list(facts))

    def commit_soon(self, orders: Iterable[OrderRecord[Terms]]) -> None:
        """As ``commit``, for what a restart finds out by itself. Whoever reads from now on finds it."""
        self._thread.submit(self._commit, list(orders), ())

    async def forget(self, numbers: Sequence[int]) -> None:
        def delete() -> None:
            with self._database:
                self._database.executemany("DELETE FROM orders WHERE number = ?", [(number,) for number in numbers])

        await self._run(delete)

    async def by_number(self, account: str, numbers: Sequence[int]) -> dict[int, OrderRecord[Terms]]:
        """Those of the account that there are."""
        marks = ",".join("?" * len(numbers))
        found = await self._select(f"account = ? AND number IN ({marks})", (account, *numbers))
        return {record.number: record for record in found}

    async def by_client_id(self, account: str, client_id: str) -> OrderRecord[Terms] | None:
        """The latest of them."""
        found = await self.with_client_id(account, client_id)
        return found[0] if found else None

    async def with_client_id(self, account: str, client_id: str) -> list[OrderRecord[Terms]]:
        """Newest first."""
        return await self._select("account = ? AND client_id = ? ORDER BY number DESC", (account, client_id))

    async def accepted(self, account: str, client_ids: Sequence[str]) -> list[OrderRecord[Terms]]:
        """The orders that were accepted with one of these client ids, open or not."""
        marks = ",".join("?" * len(client_ids))
        found = await self._select(f"account = ? AND client_id IN ({marks})", (account, *client_ids))
        return [record for record in found if record.phase is not Phase.REFUSED]

    async def recent(self, account: str, limit: int, before: int | None = None) -> list[OrderRecord[Terms]]:
        """Newest first; those with a number below ``before`` where given."""
        bound = 2**62 if before is None else before
        return await self._select("account = ? AND number < ? ORDER BY number DESC LIMIT ?", (account, bound, limit))

    async def waiting(self) -> list[OrderRecord[Terms]]:
        """Every order that is being sent or held, oldest first."""
        return await self._select("waiting ORDER BY number", ())

    async def numbers_of(self, order_ids: Sequence[str]) -> dict[str, int]:
        """The wire's numbers of orders at the exchange."""
        marks = ",".join("?" * len(order_ids))

        def select() -> dict[str, int]:
            query = f"SELECT order_id, number FROM exchange_ids WHERE order_id IN ({marks})"  # noqa: S608
            return dict(self._database.execute(query, tuple(order_ids)).fetchall())

        return await self._run(select)

    async def facts(self, kind: str) -> dict[str, bytes]:
        def select() -> dict[str, bytes]:
            return dict(self._database.execute("SELECT key, value FROM facts WHERE kind = ?", (kind,)).fetchall())

        return await self._run(select)

    async def close(self) -> None:
        await self._run(self._database.close)
        self._thread.shutdown()

    def _commit(self, orders: Sequence[OrderRecord[Terms]], facts: Sequence[Fact]) -> None:
        with self._database:
            self._database.executemany(
                "INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?)",
                [
                    (o.number, o.account, o.client_id, o.phase in (Phase.SENDING, Phase.HELD), self._encoder.encode(o))
                    for o in orders
                ],
            )
            self._database.executemany(
                "INSERT OR IGNORE INTO exchange_ids VALUES (?, ?)",
                [(o.order_id, o.number) for o in orders if o.order_id is not None],
            )
            self._database.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?)", facts)

    async def _select(self, condition: str, values: tuple[object, ...]) -> list[OrderRecord[Terms]]:
        def select() -> list[OrderRecord[Terms]]:
            query = f"SELECT data FROM orders WHERE {condition}"  # noqa: S608
            return [self._decoder.decode(data) for (data,) in self._database.execute(query, values)]

        return await self._run(select)

    async def _run(self, work: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)


def _opened(path: Path | None) -> sqlite3.Connection:
    database = sqlite3.connect(":memory:" if path is None else path, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.executescript(_SCHEMA)
    return database
