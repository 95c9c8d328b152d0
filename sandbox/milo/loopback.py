"""What is ours and not Milo's, for whoever is on the same machine: the faucet, and a wallet's way to the chain."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from aiohttp import web

from sandbox.milo import faucet, rpc
from sandbox.milo.core import Core
from sandbox.milo.errors import ApiError
from sandbox.milo.faucet import FaucetAsked
from sandbox.milo.rpc import RpcError, RpcRequest
from sandbox.milo.venue import MiloVenue
from sandbox.milo.wire import decoded, encoded
from sandbox.wires.control import on_loopback

FAUCET: Final = "/sandbox/milo/faucet"
RPC: Final = "/sandbox/milo/rpc"


def add_loopback_routes(app: web.Application, venue: MiloVenue) -> None:
    """``POST`` on both. Nothing is there for callers from elsewhere, nor for a page in a browser."""

    async def give(request: web.Request) -> web.Response:
        body = await request.read()
        try:
            return _json(await venue.run(lambda core: faucet.give(core, decoded(body, FaucetAsked))))
        except ApiError as refusal:
            return _json(refusal.body(), refusal.status)

    async def call(request: web.Request) -> web.Response:
        return _json(await _rpc_answer(venue, await request.read()))

    app.router.add_post(FAUCET, on_loopback(give))
    app.router.add_post(RPC, on_loopback(call))


async def _rpc_answer(venue: MiloVenue, body: bytes) -> dict[str, Any]:
    try:
        asked = msgspec.json.decode(body, type=RpcRequest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _refused(None, rpc.PARSE_ERROR, "Expected one JSON-RPC request, with params by position")

    def job(core: Core) -> Any:
        return rpc.answer(core, asked)

    try:
        return {"jsonrpc": "2.0", "id": asked.id, "result": await venue.run(job)}
    except RpcError as error:
        return _refused(asked.id, error.code, error.message)


def _refused(id_: int | str | None, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id_, "error": {"code": code, "message": message}}


def _json(answer: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=encoded(answer), content_type="application/json")
