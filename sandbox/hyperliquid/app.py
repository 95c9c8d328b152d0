"""The venue's HTTP: ``/info``, ``/exchange``, and, on the loopback only, ``/sandbox`` for what has no protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final

import msgspec
import orjson
from aiohttp import web

from sandbox.hyperliquid.actions import Address, Number, decoded
from sandbox.hyperliquid.info import UnknownQuestion
from sandbox.hyperliquid.venue import FAUCET_USD, HyperliquidVenue
from sandbox.wires.control import control_routes
from sandbox.wires.faults import fault_middleware

_SHAPELESS: Final = "Failed to deserialize the JSON body into the target type"
_NOT_JSON: Final = "Failed to parse the request body as JSON"
_NOT_DECLARED: Final = "Expected request with `Content-Type: application/json`"
_HEADERS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Vary": "origin, access-control-request-method, access-control-request-headers",
}
_MAX_BODY: Final = 2**20


class Funding(msgspec.Struct, frozen=True):
    address: Address
    usd: Number = str(FAUCET_USD)


def make_app(venue: HyperliquidVenue) -> web.Application:
    """Serve ``venue``, which is started and closed with the application."""
    app = web.Application(middlewares=[fault_middleware(venue.faults)], client_max_size=_MAX_BODY)

    async def info(request: web.Request) -> web.Response:
        body = await _body(request)
        try:
            return _json(await venue.info.answer(body))
        except (UnknownQuestion, msgspec.ValidationError):
            return _text(422, _SHAPELESS)
        except msgspec.DecodeError:
            return _text(400, _NOT_JSON)

    async def exchange(request: web.Request) -> web.Response:
        body = await _body(request)
        try:
            envelope = decoded(body)
        except msgspec.ValidationError:
            return _text(422, _SHAPELESS)
        except msgspec.DecodeError:
            return _text(400, _NOT_JSON)
        return _json(await venue.trading.carry_out(envelope))

    async def fund(request: web.Request) -> web.Response:
        asked = msgspec.json.decode(await request.read(), type=Funding)
        await venue.fund(asked.address, Decimal(asked.usd))
        return _json({"status": "ok"})

    async def lifetime(_: web.Application) -> AsyncIterator[None]:
        await venue.start()
        settling = asyncio.create_task(venue.desk.keep_settling())
        yield
        settling.cancel()
        with suppress(asyncio.CancelledError):
            await settling
        await venue.close()

    app.router.add_post("/info", info)
    app.router.add_post("/exchange", exchange)
    control_routes(app, venue.faults, fund)
    app.cleanup_ctx.append(lifetime)
    return app


async def _body(request: web.Request) -> bytes:
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text=_NOT_DECLARED)
    return await request.read()


def _json(answer: Any) -> web.Response:
    return web.Response(body=orjson.dumps(answer), content_type="application/json", headers=_HEADERS)


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, headers=_HEADERS)
