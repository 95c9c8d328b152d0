from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from adapters.paper import PaperAdapter
from sandbox.exchange import PaperExchange
from storage.ports import Tier
from tests.mcp_server.mcp_desk import McpDesk
from tests.support.scripted_venue import ScriptedVenue
from tests.support.served import FrozenWallClock, Served, served


@contextlib.asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[tuple[Served, ScriptedVenue]]:
    venue = ScriptedVenue()
    async with served(directory, {"scripted": venue}, FrozenWallClock()) as gateway:
        yield gateway, venue


async def desk_at(gateway: Served, venue: ScriptedVenue, tier: Tier) -> McpDesk:
    """With an account of its own."""
    account = await gateway.account(tier)
    credential = await gateway.credential(account)
    return McpDesk(gateway, venue, account, await gateway.key(account), credential.credential_id)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[McpDesk]:
    async with opened(tmp_path) as (gateway, venue):
        yield await desk_at(gateway, venue, Tier.BUILDER)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting_gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Served, ScriptedVenue]]:
    async with opened(tmp_path_factory.mktemp("gateway")) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lasting_desk(lasting_gateway: tuple[Served, ScriptedVenue]) -> McpDesk:
    """One for all the tests of a module, which leave it as they found it."""
    return await desk_at(*lasting_gateway, Tier.PRO)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def paper_gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """With the paper venue, for clients that trade."""
    clock = FrozenWallClock()
    paper = PaperAdapter(PaperExchange(seed=7, path=None, now_ms=clock.now_ms))
    async with served(tmp_path_factory.mktemp("gateway"), {"paper": paper}, clock) as found:
        yield found
    await paper.close()


@pytest_asyncio.fixture(loop_scope="module")
async def fresh_desk(lasting_gateway: tuple[Served, ScriptedVenue]) -> McpDesk:
    """An account and a venue without a past, at the gateway of the module."""
    gateway, venue = lasting_gateway
    vars(venue).update(vars(ScriptedVenue()))
    return await desk_at(gateway, venue, Tier.BUILDER)
