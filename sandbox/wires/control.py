"""``/sandbox``: money and faults for whoever is on the same machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import ip_address

import msgspec
from aiohttp import web

from sandbox.wires.faults import FaultSetting, WireFaults

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def control_routes(app: web.Application, faults: WireFaults, fund: Handler) -> None:
    """``POST /sandbox/fund``, ``POST /sandbox/faults`` (a ``FaultSetting``) and ``DELETE /sandbox/faults``."""

    async def inject(request: web.Request) -> web.Response:
        faults.inject(msgspec.json.decode(await request.read(), type=FaultSetting))
        return web.json_response({"status": "ok"})

    async def clear(_: web.Request) -> web.Response:
        faults.clear()
        return web.json_response({"status": "ok"})

    app.router.add_post("/sandbox/fund", on_loopback(fund))
    app.router.add_post("/sandbox/faults", on_loopback(inject))
    app.router.add_delete("/sandbox/faults", on_loopback(clear))


def on_loopback(handler: Handler) -> Handler:
    """``handler`` for callers on this machine; 404 for others, and for what a browser sends in a page's name."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        # A page in somebody's browser can post to this machine too: browsers say where from.
        if not _is_loopback(request.remote) or "Origin" in request.headers:
            raise web.HTTPNotFound
        try:
            return await handler(request)
        except msgspec.DecodeError as error:
            raise web.HTTPBadRequest(text=str(error)) from error

    return guarded


def _is_loopback(remote: str | None) -> bool:
    try:
        return remote is not None and ip_address(remote).is_loopback
    except ValueError:
        return False
