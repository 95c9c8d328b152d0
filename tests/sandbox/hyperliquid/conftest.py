from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from sandbox.hyperliquid import Chain, HyperliquidVenue, make_app
from tests.support.hyperliquid_trader import Clock, OpenVenue, Trader, wallet_number


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def open_venue(clock: Clock, tmp_path: Path) -> AsyncIterator[OpenVenue]:
    """Starts the venue on the same files each time; the one before must have been closed."""
    servers: list[TestServer] = []

    async def open_() -> tuple[HyperliquidVenue, str]:
        for server in servers:
            await server.close()
        venue = HyperliquidVenue(seed=5, directory=tmp_path, now_ms=clock, chains=(Chain.TESTNET,))
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
async def served(clock: Clock) -> AsyncIterator[tuple[HyperliquidVenue, str]]:
    """Without files: a venue that nobody will start again."""
    venue = HyperliquidVenue(seed=5, directory=None, now_ms=clock, chains=(Chain.TESTNET,))
    server = TestServer(make_app(venue))
    await server.start_server()
    yield venue, str(server.make_url("")).rstrip("/")
    await server.close()


@pytest.fixture
def venue(served: tuple[HyperliquidVenue, str]) -> HyperliquidVenue:
    return served[0]


@pytest.fixture
async def trader(served: tuple[HyperliquidVenue, str], http: aiohttp.ClientSession, clock: Clock) -> Trader:
    """Funded with 100,000."""
    venue, url = served
    wallet = wallet_number(1)
    await venue.fund(wallet.address)
    return Trader(http, url, clock, wallet, wallet.address)
