"""The gateway as one of several nodes: limits in Redis, journal in PostgreSQL, paper venue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.servers.callers import Registrar
from benchmarks.servers.serving import Serving
from benchmarks.servers.settings import settings_for
from gateway import logs
from gateway.app import opened


@asynccontextmanager
async def serving(directory: Path, callers: int, redis_port: int, postgres_port: int) -> AsyncIterator[Serving]:
    """On servers of the loopback that are there, with the tables made."""
    # To standard error: the other output is for the benchmark.
    logs.configure("error", as_json=True)
    settings = settings_for(
        directory,
        redis_url=f"redis://127.0.0.1:{redis_port}",
        database_url=f"postgresql://postgres@127.0.0.1:{postgres_port}/postgres",
    )
    async with opened(settings) as gateway:
        registrar = Registrar(gateway.stores.directory, gateway.keyring, gateway.vault, gateway.clock, {})
        enrolled = await registrar.enrol(callers)
        async with gateway.running() as sites:
            yield Serving(port=sites.port, callers=enrolled)
