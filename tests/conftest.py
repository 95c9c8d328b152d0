from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.support.redis_server import RedisProcess

# The same examples on every machine and in every run; a property that needs luck to fail is not proved by it.
settings.register_profile("deterministic", derandomize=True, database=None, deadline=None, print_blob=False)
settings.load_profile("deterministic")


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisProcess]:
    """A real Redis for all tests of this process."""
    from tests.support.redis_server import running_redis

    with running_redis() as server:
        yield server


@pytest.fixture
def redis_process(shared_redis: RedisProcess) -> RedisProcess:
    """The same, empty. A test that stops or pauses one starts its own (``running_redis``)."""
    shared_redis.ask("FLUSHALL")
    return shared_redis
