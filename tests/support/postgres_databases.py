"""Databases on the PostgreSQL server that a test run shares, each as a first `venuegate db upgrade` leaves it."""

from __future__ import annotations

import asyncio
import fcntl
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import asyncpg  # type: ignore[import-untyped]

from storage.sql.postgresql.place import PostgresPlace
from storage.sql.schema import directory_revision, metadata
from tests.support.postgres_server import LOCKED_USER, PASSWORD, shared_server

_TEMPLATE: Final = "venuegate_template"


class PostgresDatabases:
    """``port`` is the server's. Everybody may connect without a password but ``LOCKED_USER``."""

    def __init__(self, port: int) -> None:
        self.port = port

    def url(self, database: str, *, user: str = "postgres", port: int | None = None) -> str:
        return f"postgresql://{user}@127.0.0.1:{port or self.port}/{database}"

    async def run(self, sql: str, database: str = "postgres") -> None:
        connection = await asyncpg.connect(self.url(database))
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    async def create(self, *, template: str = _TEMPLATE) -> str:
        """The URL of a new database with empty tables; of one without any, from ``template0``."""
        name = f"venuegate_{uuid.uuid4().hex}"
        await self.run(f'CREATE DATABASE "{name}" TEMPLATE {template}')
        return self.url(name)

    async def prepare(self) -> None:
        await self.run(f'CREATE DATABASE "{_TEMPLATE}" TEMPLATE template0')
        await self.run(f"CREATE USER {LOCKED_USER} PASSWORD '{PASSWORD}'")
        await PostgresPlace(self.url(_TEMPLATE)).upgrade()


@contextmanager
def shared_databases(directory: Path) -> Iterator[PostgresDatabases]:
    """On the server that all share who name this ``directory``."""
    with shared_server(directory) as port, (directory / "template.lock").open("w") as lock:
        databases = PostgresDatabases(port)
        fcntl.flock(lock, fcntl.LOCK_EX)
        prepared = directory / f"prepared-{port}"
        if not prepared.exists():
            asyncio.run(databases.prepare())
            prepared.touch()
        fcntl.flock(lock, fcntl.LOCK_UN)
        yield databases


async def empty(url: str) -> None:
    """Take every row out of a database."""
    connection = await asyncpg.connect(url)
    try:
        tables = ", ".join(table.name for table in metadata.sorted_tables if table is not directory_revision)
        await connection.execute(f"TRUNCATE {tables}")
        await connection.execute("UPDATE directory_revision SET revision = 0")
    finally:
        await connection.close()


async def sessions_ended(url: str) -> None:
    """Return when the server has no session of a gateway in this database: what they did is counted when they end."""
    ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'venuegate' AND datname = current_database()"
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(5):
            while True:
                if await connection.fetchval(ours) == 0:
                    return
                await asyncio.sleep(0.01)
    finally:
        await connection.close()
