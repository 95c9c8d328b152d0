"""An OpenAI-compatible endpoint on the loopback that answers as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeModel:
    """``asked`` are the bodies that came, ``keys`` the authorization that came with them."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self._answer = answer
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._handle)
        self._server = TestServer(app)

    async def __aenter__(self) -> str:
        """Its base URL."""
        await self._server.start_server()
        return str(self._server.make_url("/v1"))

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(await request.json())
        self.keys.append(request.headers.get("Authorization"))
        return await self._answer(request)


def says(content: str | None) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"choices": [{"message": {"role": "assistant", "content": content}}]})

    return answer


def sends(status: int, body: bytes, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return answer


async def never(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError("an event that nobody sets was set")


async def for_ever(request: web.Request) -> web.StreamResponse:
    """A body without an end."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 65_536)
