"""The same job in the usual stack with many workers in mind: the ``limits`` package counts in Redis, asynchronously."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter

from benchmarks.servers.fastapi_memory import (
    WINDOWS,
    Key,
    LimitOrderReply,
    PlaceLimitOrder,
    Service,
    authenticated,
    enrolled,
    service_of,
    set_headers,
    set_remaining,
    uvicorn_on_any_port,
)
from benchmarks.servers.redis_beside import redis_beside
from benchmarks.servers.serving import Serving
from benchmarks.wire import Caller


class SharedLimits:
    def __init__(self, url: str) -> None:
        self._limiter = FixedWindowRateLimiter(RedisStorage(f"async+{url}", implementation="redispy"))

    async def charge(self, key: Key, response: Response) -> None:
        """Count the request and say what is left."""
        limiter, account_id = self._limiter, key.account_id
        for _, limit in WINDOWS:
            if not await limiter.hit(limit, account_id):
                raise HTTPException(429, "Rate limit exceeded")
        for name, limit in WINDOWS:
            set_remaining(response, name, limit, (await limiter.get_window_stats(limit, account_id)).remaining)


async def limits_of(request: Request) -> SharedLimits:
    limits: SharedLimits = request.app.state.limits
    return limits


async def v1(
    order: PlaceLimitOrder,
    response: Response,
    service: Annotated[Service, Depends(service_of)],
    limits: Annotated[SharedLimits, Depends(limits_of)],
    key: Annotated[Key, Depends(authenticated)],
) -> LimitOrderReply:
    started = time.monotonic()
    await limits.charge(key, response)
    reply = service.place(key, order)
    set_headers(response, started)
    return reply


def application(callers: list[Caller], redis_url: str) -> FastAPI:
    app = FastAPI(openapi_url=None)
    app.state.service = Service(callers)
    app.state.limits = SharedLimits(redis_url)
    app.post("/v1")(v1)
    return app


@asynccontextmanager
async def serving(directory: Path, callers: int) -> AsyncIterator[Serving]:
    known = enrolled(callers)
    with redis_beside() as process:
        async with uvicorn_on_any_port(application(known, process.url)) as port:
            yield Serving(port=port, callers=known)
