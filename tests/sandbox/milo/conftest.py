from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from sandbox.milo.app import make_app
from sandbox.milo.venue import MiloVenue
from tests.support.manual_clock import ManualClock
from tests.support.milo_user import MiloServer

OpenMilo = Callable[[], Awaitable[MiloServer]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


@pytest.fixture
async def open_milo(clock: ManualClock, http: aiohttp.ClientSession, tmp_path: Path) -> AsyncIterator[OpenMilo]:
    """Starts the venue on the same file each time, closing the one before."""
    servers: list[TestServer] = []

    async def open_() -> MiloServer:
        for server in servers:
            await server.close()
        venue = MiloVenue(seed=5, path=tmp_path / "milo.db", now_ms=clock.now_ms)
        server = TestServer(make_app(venue))
        await server.start_server()
        servers.append(server)
        return MiloServer(venue, str(server.make_url("")).rstrip("/"), clock, http)

    yield open_
    for server in servers:
        await server.close()


@pytest.fixture
async def milo(clock: ManualClock, http: aiohttp.ClientSession) -> AsyncIterator[MiloServer]:
    """Without a file: a venue that nobody will start again."""
    venue = MiloVenue(seed=5, path=None, now_ms=clock.now_ms)
    server = TestServer(make_app(venue))
    await server.start_server()
    yield MiloServer(venue, str(server.make_url("")).rstrip("/"), clock, http)
    await server.close()
