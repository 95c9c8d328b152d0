"""Where a gateway's database is: a file of its own, or a server that it shares with other nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec
from sqlalchemy import Connection, text

from storage.sql.database import BUSY_TIMEOUT_S, SqliteDatabase
from storage.sql.stores import Stores, in_sqlite, stores_over
from storage.sql.upgrades import check_current, make_or_check, upgrade_within


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """``now_ms`` is its clock's, taken in the middle of asking for it; ``flushes`` whether a commit is on its disk."""

    version: str
    now_ms: int
    flushes: bool


class Place(Protocol):
    """Everything here raises ``StorageUnavailable`` where the database cannot be used, with advice for an operator.

    ``name`` tells which it is, without secrets. ``is_shared``: other nodes may work on it at the same time.
    """

    name: str
    is_shared: bool

    def exists(self) -> bool:
        """False where the first to open it makes it."""
        ...

    async def open(self) -> Stores:
        """The stores in it. Tables that are not this version's are refused, but in a file that is new they are made."""
        ...

    async def upgrade(self) -> None:
        """Make the tables, or bring them to this version's. All of it happens, or nothing."""
        ...

    async def check(self) -> None:
        """Whether it has this version's tables and takes writes. Changes nothing."""
        ...

    async def server(self) -> ServerFacts | None:
        """The server that has it, if there is one."""
        ...


class SqlitePlace(Place):
    is_shared = False

    def __init__(self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.name = str(path)
        self._path = path
        self._busy_timeout_s = busy_timeout_s

    def exists(self) -> bool:
        return self._path.exists()

    async def open(self) -> Stores:
        # An empty file is what is left of a first start that was interrupted.
        await self._in_transaction(make_or_check)
        return stores_over(SqliteDatabase(self._path, busy_timeout_s=self._busy_timeout_s))

    async def upgrade(self) -> None:
        await self._in_transaction(upgrade_within)

    async def check(self) -> None:
        await self._in_transaction(check_writable)

    async def server(self) -> None:
        return None

    async def _in_transaction(self, work: Callable[[Connection], None]) -> None:
        await asyncio.to_thread(in_sqlite, self._path, work, self._busy_timeout_s)


def place_of(path: Path, url: str | None, *, unhurried: bool = False) -> Place:
    """The server at ``url``, or the file at ``path`` where there is none.

    Requests have to be answered within a second; ``unhurried`` work may take half a minute on a server.

    :raises StorageUnavailable: it is not the URL of a PostgreSQL database.
    """
    if url is None:
        return SqlitePlace(path)
    # Here, because who has no server need not wait for what speaks to one.
    from storage.sql.postgresql.place import UNHURRIED_S, PostgresPlace

    return PostgresPlace(url, patience_s=UNHURRIED_S) if unhurried else PostgresPlace(url)


def check_writable(connection: Connection) -> None:
    """:raises StorageUnavailable: the tables are not this version's. What the database itself says is raised as it is.

    Changes nothing.
    """
    check_current(connection)
    trial = connection.begin_nested()
    connection.execute(text("UPDATE directory_revision SET revision = revision"))
    trial.rollback()
