"""Paths of the gateway that the owner answers: passed on as they come, and the answer back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

ANSWER_WITHIN_S: Final = 60.0
# They are about one connection, not about what it carries (RFC 9110, section 7.6.1).
_OF_THE_CONNECTION: Final = frozenset({"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})
_MADE_ANEW: Final = _OF_THE_CONNECTION | {"host", "content-length", "content-encoding", "date", "server"}


def add_forwarding(app: web.Application, prefix: str, url: str) -> None:
    """Everything under ``prefix`` is answered by the server at ``url``."""
    clients: list[aiohttp.ClientSession] = []

    async def lifetime(_: web.Application) -> AsyncIterator[None]:
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as client:
            clients.append(client)
            yield

    async def forward(request: web.Request) -> web.Response:
        try:
            async with clients[0].request(
                request.method,
                f"{url}{request.raw_path}",
                headers=_passed_on(request.headers),
                data=await request.read(),
                allow_redirects=False,
            ) as answer:
                return web.Response(status=answer.status, body=await answer.read(), headers=_passed_on(answer.headers))
        except (aiohttp.ClientError, TimeoutError):
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "1"}) from None

    app.cleanup_ctx.append(lifetime)
    app.router.add_route("*", prefix + "/{path:.*}", forward)


def _passed_on(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _MADE_ANEW)
