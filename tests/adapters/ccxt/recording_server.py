"""A local HTTP server that keeps the exact bytes it was sent and answers as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiohttp import web
from aiohttp.test_utils import TestServer


class Sent(NamedTuple):
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class Answer(NamedTuple):
    body: bytes = b"{}"
    status: int = 200
    headers: Mapping[str, str] = {}


Script = Callable[[Sent], Answer | web.StreamResponse]


def said(document: Any, status: int = 200) -> Answer:
    return Answer(json.dumps(document).encode(), status, {"Content-Type": "application/json"})


class RecordingServer:
    """``script`` answers what ``answers`` has none for; the first of ``answers`` whose key begins the path wins."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.sent: list[Sent] = []
        self.url = ""
        self.hang_up = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        sent = Sent(request.method, request.path_qs, dict(request.headers), await request.read())
        self.sent.append(sent)
        if self.hang_up:
            assert request.transport is not None
            request.transport.close()
            await asyncio.sleep(0)
        answer = self.script(sent)
        if isinstance(answer, web.StreamResponse):
            return answer
        return web.Response(body=answer.body, status=answer.status, headers=dict(answer.headers))

    def to(self, path: str) -> list[Sent]:
        return [sent for sent in self.sent if sent.path.partition("?")[0] == path]


@asynccontextmanager
async def recording(script: Script) -> AsyncIterator[RecordingServer]:
    recorder = RecordingServer(script)
    application = web.Application(client_max_size=1 << 24)
    application.router.add_route("*", "/{path:.*}", recorder.handle)
    async with TestServer(application) as server:
        recorder.url = str(server.make_url("")).rstrip("/")
        yield recorder
