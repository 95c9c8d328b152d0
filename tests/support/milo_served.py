"""The local Milo served with another agent, or beside another one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp.test_utils import TestServer

from sandbox.milo.agents.agent import Agent
from sandbox.milo.agents.analyst import Analyst
from sandbox.milo.app import make_app
from sandbox.milo.venue import MiloVenue, parts_with
from tests.support.manual_clock import ManualClock
from tests.support.milo_user import MiloServer

SEED = 5


@asynccontextmanager
async def served(clock: ManualClock, agent: Agent | None = None, path: Path | None = None) -> AsyncIterator[MiloServer]:
    venue = MiloVenue(seed=SEED, path=path, now_ms=clock.now_ms, parts=parts_with(agent or Analyst()))
    timeout = aiohttp.ClientTimeout(total=10)
    async with TestServer(make_app(venue)) as server, aiohttp.ClientSession(timeout=timeout) as http:
        yield MiloServer(venue, str(server.make_url("")).rstrip("/"), clock, http)
