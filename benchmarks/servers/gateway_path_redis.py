"""The gateway's whole request path with its limits in Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.servers import gateway_path
from benchmarks.servers.redis_beside import redis_beside
from benchmarks.servers.serving import Serving


@asynccontextmanager
async def serving(directory: Path, callers: int) -> AsyncIterator[Serving]:
    with redis_beside() as redis:
        async with gateway_path.serving(directory, callers, redis=redis.address) as serving:
            yield serving
