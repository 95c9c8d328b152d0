"""A real Redis beside a server under load, and off its core."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from tests.support.redis_server import RedisProcess, running_redis


@contextlib.contextmanager
def redis_beside() -> Iterator[RedisProcess]:
    """Runs until the block ends. Its CPU is nobody's: what is measured is the server's own."""
    with running_redis() as redis:
        if hasattr(os, "sched_setaffinity"):
            others = set(range(os.cpu_count() or 1)) - os.sched_getaffinity(0)
            if others:
                os.sched_setaffinity(redis.pid, others)
        yield redis
