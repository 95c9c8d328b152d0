"""The gateway's whole request path with its limits in Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.servers import gateway_path
from benchmarks.servers.redis_beside import redis_beside
from benchmarks.servers.serving import Serving
from storage.redis_store.stores import open_redis


@asynccontextmanager
async def serving(directory: Path, callers: int) -> AsyncIterator[Serving]:
    with redis_beside() as process:
        redis = open_redis(process.address)
        try:
            async with gateway_path.serving(directory, callers, redis=redis) as serving:
                yield serving
        finally:
            await redis.close()
