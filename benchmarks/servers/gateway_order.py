"""The gateway as it is served: paper venue, every order journaled, in SQLite on disk or on a PostgreSQL server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.servers.callers import Registrar
from benchmarks.servers.serving import Serving
from benchmarks.servers.settings import settings_for
from gateway import logs
from gateway.app import opened
from gateway.process import settle_down
from storage.sql.database import Database, SqliteDatabase
from storage.sql.postgresql.database import PostgresDatabase


@asynccontextmanager
async def serving(directory: Path, callers: int, postgres_port: int | None = None) -> AsyncIterator[Serving]:
    """The tables are there already on the server that listens at ``postgres_port`` of the loopback."""
    # To standard error: the other output is for the benchmark.
    logs.configure("error", as_json=True)
    settings = settings_for(directory)
    if postgres_port is not None:
        url = f"postgresql://postgres@127.0.0.1:{postgres_port}/postgres"
        settings = settings_for(directory, database_url=url)
    async with opened(settings) as gateway:
        registrar = Registrar(gateway.stores.directory, gateway.keyring, gateway.vault, gateway.clock, {})
        enrolled = await registrar.enrol(callers)
        commits, flushes = _counts(gateway.stores.database)
        settle_down()
        async with gateway.running() as sites:
            yield Serving(port=sites.port, callers=enrolled, commits=commits, flushes=flushes)


def _counts(database: Database) -> tuple[Callable[[], int], Callable[[], int]]:
    """Commits, and those of them that were flushed. On PostgreSQL, of what every order runs."""
    match database:
        case SqliteDatabase():
            return lambda: database.commits, lambda: database.durable_commits
        case PostgresDatabase():
            return lambda: database.flushing.commits + database.quick.commits, lambda: database.flushing.commits
    raise TypeError(type(database).__name__)
