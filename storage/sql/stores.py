"""All stores over one database, opened together."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from storage.ports import Journal, UsageStore, WorkerBeats
from storage.sql.database import BUSY_TIMEOUT_S, Database, SqliteDatabase
from storage.sql.directory import SqlDirectory
from storage.sql.engines import prepare_file, sqlite_engine
from storage.sql.failures import translated
from storage.sql.journal import SqlJournal
from storage.sql.upgrades import check_current, upgrade_within
from storage.sql.usage import SqlUsageStore
from storage.sql.worker_beats import SqlWorkerBeats


@dataclass(frozen=True)
class Stores:
    directory: SqlDirectory
    usage: UsageStore
    journal: Journal
    workers: WorkerBeats
    database: Database

    async def close(self) -> None:
        """Finish what was asked for, then let go of the database."""
        await self.database.close()


async def open_sqlite(
    path: Path,
    *,
    upgrade: bool = True,
    busy_timeout_s: float = BUSY_TIMEOUT_S,
) -> Stores:
    """The stores in the SQLite file ``path``, which is made where it is missing, private to its owner.

    With ``upgrade``, tables of an older version are brought up to date; without, they are refused.

    :raises StorageUnavailable: the file cannot be used, or is another version's.
    """
    await asyncio.to_thread(in_sqlite, path, upgrade_within if upgrade else check_current, busy_timeout_s)
    return stores_over(SqliteDatabase(path, busy_timeout_s=busy_timeout_s))


def stores_over(database: Database) -> Stores:
    return Stores(
        directory=SqlDirectory(database),
        usage=SqlUsageStore(database),
        journal=SqlJournal(database),
        workers=SqlWorkerBeats(database),
        database=database,
    )


def in_sqlite(path: Path, work: Callable[[Connection], None], busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
    """Run ``work`` in a transaction on the file ``path``, which is made where it is missing.

    :raises StorageUnavailable: the file cannot be used.
    """
    prepare_file(path)
    engine = sqlite_engine(path, busy_timeout_s=busy_timeout_s)
    try:
        with engine.begin() as connection:
            work(connection)
    except (DBAPIError, sqlite3.Error) as error:
        raise translated(error, path) from error
    finally:
        engine.dispose()
