"""The gateway as it is served: paper venue, every order journaled in SQLite on disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.servers.callers import Registrar
from benchmarks.servers.serving import Serving
from benchmarks.servers.settings import settings_for
from gateway import logs
from gateway.app import opened
from gateway.process import settle_down
from storage.sql.database import SqliteDatabase


@asynccontextmanager
async def serving(directory: Path, callers: int) -> AsyncIterator[Serving]:
    # To standard error: the other output is for the benchmark.
    logs.configure("error", as_json=True)
    async with opened(settings_for(directory)) as gateway:
        database = gateway.stores.database
        if not isinstance(database, SqliteDatabase):
            raise TypeError("commits are counted for SQLite only")
        registrar = Registrar(gateway.stores.directory, gateway.keyring, gateway.vault, gateway.clock, {})
        enrolled = await registrar.enrol(callers)
        settle_down()
        async with gateway.running() as sites:
            yield Serving(port=sites.port, callers=enrolled, commits=lambda: database.commits)
