from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.support.postgres_databases import PostgresDatabases, shared_databases

if TYPE_CHECKING:
    from tests.support.redis_server import RedisProcess

# The same examples on every machine and in every run; a property that needs luck to fail is not proved by it.
settings.register_profile("deterministic", derandomize=True, database=None, deadline=None, print_blob=False)
settings.load_profile("deterministic")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="Run the fault harnesses in their long form.")


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether faults are to last as long as the promises say, and not just long enough to be seen."""
    return bool(request.config.getoption("--soak"))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[PostgresDatabases]:
    """A PostgreSQL server of this test run's own; the workers of one run share it."""
    own = tmp_path_factory.getbasetemp()
    directory = own if worker_id == "master" else own.parent
    with shared_databases(directory / "postgres") as databases:
        yield databases


@pytest.fixture(scope="module")
def postgres_url(postgres: PostgresDatabases) -> str:
    """A database with empty tables, for all tests of a module."""
    return asyncio.run(postgres.create())


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
