"""Serving the local venues that speak a real venue's protocol, each on a loopback port of its own."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import structlog
from aiohttp import web

from adapters.milo.api import EXCHANGE as MILO
from sandbox.milo.agents.model_config import ModelConfig
from sandbox.milo.local import NOTICE, local_milo, open_venue
from sandbox.milo.venue import MiloVenue
from sandbox.wires.local import OPENERS

LOOPBACK: Final = "127.0.0.1"
ALL: Final = (*OPENERS, MILO)

Listeners = Mapping[str, socket.socket]
"""Sockets that listen already, by exchange: who has none gets any free port."""
NO_LISTENERS: Final[Listeners] = MappingProxyType({})

_log = structlog.get_logger(__name__)


@contextlib.asynccontextmanager
async def served(app: web.Application, port: int = 0, *, listener: socket.socket | None = None) -> AsyncIterator[str]:
    """The address of ``app`` while it listens: on ``listener`` if there is one; port 0 takes any free one.

    :raises OSError: the port is taken.
    """
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        at = web.TCPSite(runner, LOOPBACK, port) if listener is None else web.SockSite(runner, listener)
        await at.start()
        yield f"http://{LOOPBACK}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class LocalVenueAt(NamedTuple):
    """Where a local venue listens, and how somebody gets a funded account there: the fields of a credential."""

    url: str
    enroll: Callable[[], Awaitable[dict[str, str]]]


@contextlib.asynccontextmanager
async def all_served(
    directory: Path, now_ms: Callable[[], int], listeners: Listeners = NO_LISTENERS
) -> AsyncIterator[Mapping[str, LocalVenueAt]]:
    """Every local venue, by the exchange that it stands in for."""
    async with contextlib.AsyncExitStack() as stack:
        found = {}
        for exchange, open_venue in OPENERS.items():
            venue = open_venue(directory, now_ms)
            url = await stack.enter_async_context(served(venue.app, listener=listeners.get(exchange)))
            found[exchange] = LocalVenueAt(url, venue.enroll)
        yield found


class LocalMilo(NamedTuple):
    """The local Milo: ``at`` is a port of its own; whoever has the ``venue`` can serve it elsewhere too."""

    venue: MiloVenue
    at: LocalVenueAt


@contextlib.asynccontextmanager
async def milo_served(
    directory: Path, now_ms: Callable[[], int], model: ModelConfig | None, listeners: Listeners = NO_LISTENERS
) -> AsyncIterator[LocalMilo]:
    _log.info(f"the local Milo: {NOTICE}")
    venue = open_venue(directory, now_ms, model)
    local = local_milo(venue)
    async with served(local.app, listener=listeners.get(MILO)) as url:
        yield LocalMilo(venue, LocalVenueAt(url, local.enroll))
