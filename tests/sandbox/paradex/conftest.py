from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from sandbox.paradex import ParadexVenue, make_app
from tests.support.paradex_trader import Clock, OpenVenue, StarkTrader


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def open_venue(clock: Clock, tmp_path: Path) -> AsyncIterator[OpenVenue]:
    """Starts the venue on the same files each time, closing the one before."""
    servers: list[TestServer] = []

    async def open_() -> tuple[ParadexVenue, str]:
        for server in servers:
            await server.close()
        venue = ParadexVenue(seed=5, directory=tmp_path, now_ms=clock)
        server = TestServer(make_app(venue))
        await server.start_server()
        servers.append(server)
        return venue, str(server.make_url("")).rstrip("/")

    yield open_
    for server in servers:
        await server.close()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


@pytest.fixture
async def served(clock: Clock) -> AsyncIterator[tuple[ParadexVenue, str]]:
    """Without files: a venue that nobody will start again."""
    venue = ParadexVenue(seed=5, directory=None, now_ms=clock)
    server = TestServer(make_app(venue))
    await server.start_server()
    yield venue, str(server.make_url("")).rstrip("/")
    await server.close()


@pytest.fixture
def venue(served: tuple[ParadexVenue, str]) -> ParadexVenue:
    return served[0]


@pytest.fixture
async def trader(served: tuple[ParadexVenue, str], http: aiohttp.ClientSession, clock: Clock) -> StarkTrader:
    """Onboarded, with 100,000, and authenticated."""
    trader = StarkTrader(http, served[1], clock, 12345)
    await trader.onboard()
    await trader.authenticate()
    return trader
