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


class LocalVenues(NamedTuple):
    """Those that this process serves, by the exchange that each stands in for; of ``milo`` more than its address."""

    at: Mapping[str, LocalVenueAt] = MappingProxyType({})
    milo: MiloVenue | None = None

    @property
    def urls(self) -> Mapping[str, str]:
        return {exchange: venue.url for exchange, venue in self.at.items()}


@contextlib.asynccontextmanager
async def all_served(
    directory: Path, now_ms: Callable[[], int], model: ModelConfig | None, listeners: Listeners = NO_LISTENERS
) -> AsyncIterator[LocalVenues]:
    """Every local venue. ``model`` answers in Milo's conversations."""
    _log.info(f"the local Milo: {NOTICE}")
    milo = open_venue(directory, now_ms, model)
    venues = {exchange: opener(directory, now_ms) for exchange, opener in OPENERS.items()} | {MILO: local_milo(milo)}
    async with contextlib.AsyncExitStack() as stack:
        found = {}
        for exchange, venue in venues.items():
            url = await stack.enter_async_context(served(venue.app, listener=listeners.get(exchange)))
            found[exchange] = LocalVenueAt(url, venue.enroll)
        yield LocalVenues(found, milo)
