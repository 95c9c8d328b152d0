from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.manual_clock import ManualClock
from tests.support.milo_served import served
from tests.support.milo_user import MiloServer

OpenMilo = Callable[[], Awaitable[MiloServer]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def open_milo(clock: ManualClock, tmp_path: Path) -> AsyncIterator[OpenMilo]:
    """Starts the venue on the same file each time, closing the one before."""
    async with AsyncExitStack() as running:

        async def open_() -> MiloServer:
            await running.aclose()
            return await running.enter_async_context(served(clock, path=tmp_path / "milo.db"))

        yield open_


@pytest.fixture
async def milo(clock: ManualClock) -> AsyncIterator[MiloServer]:
    """Without a file: a venue that nobody will start again."""
    async with served(clock) as server:
        yield server
