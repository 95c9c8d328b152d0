"""A database on a PostgreSQL server: opening the stores in it, and bringing its tables up to date."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy import Connection, text

from storage.sql.directory import SqlDirectory
from storage.sql.places import Place, ServerFacts, check_writable
from storage.sql.postgresql.connecting import PATIENCE_S, Connector
from storage.sql.postgresql.database import PostgresDatabase, engine_over
from storage.sql.postgresql.failures import in_words
from storage.sql.postgresql.journal import PostgresJournal
from storage.sql.stores import Stores
from storage.sql.upgrades import check_current, make_or_check, upgrade_within
from storage.sql.usage import SqlUsageStore
from storage.sql.worker_beats import SqlWorkerBeats

T = TypeVar("T")

OPEN_WITHIN_S: Final = 5.0
UNHURRIED_S: Final = 30.0
# "venuegat", as the number that an advisory lock is.
_UPGRADES: Final = 0x76656E7565676174
_FACTS: Final = text(
    "SELECT current_setting('server_version'), extract(epoch FROM clock_timestamp()) * 1000, current_setting('fsync')"
)


class PostgresPlace(Place):
    """``patience_s`` is how long the stores, once open, wait for the server.

    :raises StorageUnavailable: ``url`` is not the URL of a PostgreSQL database.
    """

    is_shared = True

    def __init__(self, url: str, *, patience_s: float = PATIENCE_S) -> None:
        self._url = url
        self._patience_s = patience_s
        self.name = Connector(url).name

    def exists(self) -> bool:
        return True

    async def open(self) -> Stores:
        await self._alone(check_current)
        database = PostgresDatabase(Connector(self._url, patience_s=self._patience_s))
        return Stores(
            directory=SqlDirectory(database),
            usage=SqlUsageStore(database),
            journal=PostgresJournal(database),
            workers=SqlWorkerBeats(database),
            database=database,
        )

    async def make(self) -> None:
        """Make the tables in an empty database; tables that are there must be this version's."""
        await self._alone(lambda connection: _one_at_a_time(connection, make_or_check), unhurried=True)

    async def upgrade(self) -> None:
        await self._alone(lambda connection: _one_at_a_time(connection, upgrade_within), unhurried=True)

    async def check(self) -> None:
        await self._alone(check_writable)

    async def server(self) -> ServerFacts:
        return await self._alone(_facts)

    async def _alone(self, work: Callable[[Connection], T], *, unhurried: bool = False) -> T:
        """Run ``work`` in a transaction on a connection of its own."""
        connector = Connector(self._url, patience_s=OPEN_WITHIN_S, unhurried=unhurried)
        engine = engine_over(connector, 1, flushes=True)
        try:
            with in_words(connector.name):
                async with asyncio.timeout(None if unhurried else OPEN_WITHIN_S), engine.begin() as connection:
                    return await connection.run_sync(work)
        finally:
            await engine.dispose()


def _one_at_a_time(connection: Connection, change_tables: Callable[[Connection], None]) -> None:
    # Of several that do it together, the others wait and find it done.
    connection.execute(text("SELECT pg_advisory_xact_lock(:upgrades)"), {"upgrades": _UPGRADES})
    change_tables(connection)


def _facts(connection: Connection) -> ServerFacts:
    version, now_ms, fsync = connection.execute(_FACTS).one()
    return ServerFacts(version=version, now_ms=int(now_ms), flushes=fsync == "on")
