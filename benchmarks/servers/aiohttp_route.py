"""The measure of all: aiohttp's own application with one route that reads the body and answers 16 bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import web

from benchmarks.servers.serving import Serving
from benchmarks.wire import Caller

ANSWER: Final = b'{"success":true}'


async def _answer(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=ANSWER, content_type="application/json")


@asynccontextmanager
async def serving(directory: Path, callers: int) -> AsyncIterator[Serving]:
    app = web.Application()
    app.router.add_post("/v1", _answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        # It checks nobody, but gets the same bytes as the others.
        nobody = Caller(key="mt_test_" + 43 * "0", credential_id="00000000-0000-4000-8000-000000000000")
        yield Serving(port=int(runner.addresses[0][1]), callers=[nobody])
    finally:
        await runner.cleanup()
