"""Opening the stores on a PostgreSQL server, and bringing its tables up to date."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy import Connection, text

from storage.sql.directory import SqlDirectory
from storage.sql.postgresql.connecting import PATIENCE_S, Connector
from storage.sql.postgresql.database import PostgresDatabase, engine_over
from storage.sql.postgresql.failures import trouble
from storage.sql.postgresql.journal import PostgresJournal
from storage.sql.stores import Stores
from storage.sql.upgrades import check_current, upgrade_within
from storage.sql.usage import SqlUsageStore

T = TypeVar("T")

OPEN_WITHIN_S: Final = 5.0
# "venuegat", as the number that an advisory lock is.
_UPGRADES: Final = 0x76656E7565676174


async def open_postgresql(url: str, *, patience_s: float = PATIENCE_S) -> Stores:
    """The stores on the server at ``url``, whose tables must be those of this version.

    :raises StorageUnavailable: they are not, or the server cannot be used; in words for an operator.
    """
    await alone(Connector(url, patience_s=OPEN_WITHIN_S), check_current)
    database = PostgresDatabase(Connector(url, patience_s=patience_s))
    return Stores(
        directory=SqlDirectory(database),
        usage=SqlUsageStore(database),
        journal=PostgresJournal(database),
        database=database,
    )


async def upgrade_postgresql(url: str) -> None:
    """Bring the tables up to date; make them in an empty database. All of it happens, or nothing.

    :raises StorageUnavailable: the database is another program's or a newer version's, or the server cannot be used.
    """

    def one_at_a_time(connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:upgrades)"), {"upgrades": _UPGRADES})
        upgrade_within(connection)

    await alone(Connector(url, patience_s=OPEN_WITHIN_S, unhurried=True), one_at_a_time)


async def alone(connector: Connector, work: Callable[[Connection], T]) -> T:
    """Run ``work`` in a transaction on a connection of its own.

    :raises StorageUnavailable: the server cannot be used.
    """
    engine = engine_over(connector, 1, flushes=True)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    except Exception as error:
        found = trouble(error, connector.name)
        if found is None:
            raise
        raise found.problem from error
    finally:
        await engine.dispose()
