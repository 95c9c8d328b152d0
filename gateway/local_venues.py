"""Serving the local venues that speak a real venue's protocol, each on a loopback port of its own."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import structlog
from aiohttp import web

from sandbox.milo.agents.model_config import ModelConfig
from sandbox.milo.local import NOTICE, local_milo, open_venue
from sandbox.milo.venue import MiloVenue
from sandbox.wires.local import OPENERS

LOOPBACK: Final = "127.0.0.1"

_log = structlog.get_logger(__name__)


@contextlib.asynccontextmanager
async def served(app: web.Application, port: int = 0) -> AsyncIterator[str]:
    """The address of ``app`` while it listens; port 0 takes any free one.

    :raises OSError: the port is taken.
    """
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, port).start()
        yield f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class LocalVenueAt(NamedTuple):
    """Where a local venue listens, and how somebody gets a funded account there: the fields of a credential."""

    url: str
    enroll: Callable[[], Awaitable[dict[str, str]]]


@contextlib.asynccontextmanager
async def all_served(directory: Path, now_ms: Callable[[], int]) -> AsyncIterator[Mapping[str, LocalVenueAt]]:
    """Every local venue, by the exchange that it stands in for."""
    async with contextlib.AsyncExitStack() as stack:
        found = {}
        for exchange, open_venue in OPENERS.items():
            venue = open_venue(directory, now_ms)
            url = await stack.enter_async_context(served(venue.app))
            found[exchange] = LocalVenueAt(url, venue.enroll)
        yield found


class LocalMilo(NamedTuple):
    """The local Milo: ``at`` is a port of its own; whoever has the ``venue`` can serve it elsewhere too."""

    venue: MiloVenue
    at: LocalVenueAt


@contextlib.asynccontextmanager
async def milo_served(
    directory: Path, now_ms: Callable[[], int], model: ModelConfig | None
) -> AsyncIterator[LocalMilo]:
    _log.info(f"the local Milo: {NOTICE}")
    venue = open_venue(directory, now_ms, model)
    local = local_milo(venue)
    async with served(local.app) as url:
        yield LocalMilo(venue, LocalVenueAt(url, local.enroll))
