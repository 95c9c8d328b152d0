"""The listeners: ``/v1`` and ``/mcp`` past the router, everything else through it, metrics on a port of their own."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final, cast

import structlog
from aiohttp import web

from adapters.milo.api import EXCHANGE as MILO
from gateway import codec, pages
from gateway.connection import Server
from gateway.endpoint import PATH, new_request_id
from gateway.workers.forwarding import add_forwarding
from normalization.errors import NotFound
from sandbox.milo.app import add_routes as add_milo_routes
from sandbox.milo.routes import PREFIX as MILO_PREFIX

if TYPE_CHECKING:
    from gateway.app import Gateway

_log = structlog.get_logger(__name__)

# Databases, venues, other listeners.
_OTHER_FILES: Final = 512
# After orders were drained only reads may be under way, which have a deadline of their own.
STOP_WITHIN_S: Final = 10.0
MCP_PATH: Final = "/mcp"
_V1_PATHS: Final = frozenset({PATH, PATH + "/"})
_MCP_PATHS: Final = frozenset({MCP_PATH, MCP_PATH + "/"})


class Sites:
    """What listens, and where. ``pages`` makes the application behind ``runner`` and does not listen itself."""

    def __init__(self, runner: web.BaseRunner, pages: web.BaseRunner, metrics: web.BaseRunner | None) -> None:
        self._runner = runner
        self._pages = pages
        self._metrics = metrics

    @property
    def port(self) -> int:
        """The port of the gateway: the one asked for, or the one the system chose for 0."""
        return _port(self._runner)

    @property
    def metrics_port(self) -> int | None:
        return None if self._metrics is None else _port(self._metrics)

    async def stop_listening(self) -> None:
        """Take no new connections; those that are open are still served."""
        for site in list(self._runner.sites):
            await site.stop()

    async def close(self) -> None:
        await self._runner.cleanup()
        await self._pages.cleanup()
        if self._metrics is not None:
            await self._metrics.cleanup()


def room_for_connections(wanted: int) -> int:
    """How many there may be: at most as many as the system lets this process have open, which is raised for them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _OTHER_FILES
    if soft < needed:
        more = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        # Some systems have a lower limit than the one that they tell.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            soft = more
    room = max(1, min(wanted, soft - _OTHER_FILES))
    if room < wanted:
        _log.warning("fewer connections than set: the system lets us have only so many files open", room=room)
    return room


async def make_site(gateway: Gateway) -> Sites:
    """Start listening.

    :raises OSError: an address is taken or not ours.
    """
    settings = gateway.settings
    pages_runner = web.AppRunner(_application(gateway), access_log=None)
    await pages_runner.setup()
    runner = web.ServerRunner(_server(pages_runner, gateway), shutdown_timeout=STOP_WITHIN_S)
    await runner.setup()
    metrics = None
    try:
        several = gateway.worker is not None or None
        await web.TCPSite(runner, settings.host, settings.port, backlog=1024, reuse_port=several).start()
        if settings.metrics_port is not None:
            metrics = web.AppRunner(_metrics_application(gateway), access_log=None)
            await metrics.setup()
            await _metrics_site(gateway, metrics).start()
    except OSError:
        await Sites(runner, pages_runner, metrics).close()
        raise
    return Sites(runner, pages_runner, metrics)


def _server(runner: web.AppRunner, gateway: Gateway) -> Server:
    """Hand ``/v1`` and ``/mcp`` on before aiohttp's router, middlewares and signals: they need none of them."""
    pages = runner.server
    if pages is None:
        raise RuntimeError("the runner is not set up")
    route, endpoint, mcp = pages.request_handler, gateway.endpoint, gateway.mcp

    def handle(request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
        # Almost every request is for exactly /v1; an address of another form is taken apart first.
        is_v1 = request.raw_path == PATH or request.path in _V1_PATHS
        if not is_v1 and request.path not in _MCP_PATHS:
            return route(request)
        # Their answers have what aiohttp asks of a response, and are none for speed.
        return cast("Awaitable[web.StreamResponse]", endpoint(request) if is_v1 else mcp(request))

    return Server(
        handle,
        gateway.endpoint,
        {PATH: gateway.endpoint, MCP_PATH: gateway.mcp},
        max_connections=room_for_connections(gateway.settings.max_connections),
        request_factory=pages.request_factory,
        access_log=None,
    )


def _application(gateway: Gateway) -> web.Application:
    app = web.Application()

    async def alive(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(request: web.Request) -> web.Response:
        problems = await gateway.problems()
        told = {
            "status": "not ready" if problems else "ready",
            "problems": problems,
            "degraded": gateway.degraded(),
        }
        return web.json_response(told, status=503 if problems else 200)

    app.router.add_get("/healthz", alive)
    app.router.add_get("/readyz", ready)
    pages.add_routes(app)
    if gateway.local_venues.milo is not None:
        add_milo_routes(app, gateway.local_venues.milo)
    elif gateway.worker is not None and MILO in gateway.worker.seat.venue_urls:
        add_forwarding(app, MILO_PREFIX, gateway.worker.seat.venue_urls[MILO])
    app.router.add_route("*", "/{path:.*}", _not_found)
    return app


async def _not_found(request: web.Request) -> web.Response:
    error = NotFound("There is nothing here: POST a JSON operation to /v1; GET /docs says what it takes")
    return web.Response(
        status=error.status,
        body=codec.encode_error(error),
        content_type="application/json",
        headers={"X-Request-Id": new_request_id()},
    )


def _metrics_application(gateway: Gateway) -> web.Application:
    app = web.Application()

    async def expose(request: web.Request) -> web.Response:
        from gateway.metrics import CONTENT_TYPE

        return web.Response(body=gateway.metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    app.router.add_get("/metrics", expose)
    return app


def _metrics_site(gateway: Gateway, runner: web.AppRunner) -> web.BaseSite:
    if gateway.worker is not None:
        # The port is the owner's, who asks every worker.
        return web.UnixSite(runner, str(gateway.worker.seat.metrics))
    return web.TCPSite(runner, gateway.settings.metrics_host, gateway.settings.metrics_port)


def _port(runner: web.BaseRunner) -> int:
    return int(runner.addresses[0][1])
