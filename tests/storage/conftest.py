from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import text

from storage.ports import Directory, Journal, UsageStore
from storage.sql import Place, Stores, open_sqlite
from storage.sql.database import SqliteDatabase
from storage.sql.places import SqlitePlace
from storage.sql.postgresql.place import PostgresPlace
from tests.storage.samples import database_path
from tests.support.postgres_databases import empty

OpenNode = Callable[[], Awaitable[Stores]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return database_path(tmp_path)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without rows, to copy: quicker than to make one."""
    made = tmp_path_factory.mktemp("empty") / "venuegate.db"
    asyncio.run(_make(made))
    return made


async def _make(path: Path) -> None:
    await (await open_sqlite(path)).close()


@pytest.fixture
def empty_path(path: Path, empty_database: Path) -> Path:
    """A database without rows of the test's own."""
    path.parent.mkdir(mode=0o700)
    shutil.copy(empty_database, path)
    return path


@pytest.fixture
async def database(empty_path: Path) -> AsyncIterator[SqliteDatabase]:
    """With a table of notes, and little patience for locks."""
    opened = SqliteDatabase(empty_path, busy_timeout_s=0.05)
    await opened.write(lambda connection: connection.execute(text("CREATE TABLE notes (number INTEGER PRIMARY KEY)")))
    yield opened
    await opened.close()


@pytest.fixture
async def empty_url(postgres_url: str) -> str:
    """A PostgreSQL database without rows."""
    await empty(postgres_url)
    return postgres_url


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Place:
    """A database without rows, on each engine."""
    if request.param == "sqlite":
        return SqlitePlace(request.getfixturevalue("empty_path"))
    return PostgresPlace(request.getfixturevalue("empty_url"))


@pytest.fixture
async def open_node(place: Place) -> AsyncIterator[OpenNode]:
    """Opens the stores as one more process would."""
    async with AsyncExitStack() as stack:

        async def open_one() -> Stores:
            opened = await place.open()
            stack.push_async_callback(opened.close)
            return opened

        yield open_one


@pytest.fixture
async def stores(open_node: OpenNode) -> Stores:
    return await open_node()


@pytest.fixture
def directory(stores: Stores) -> Directory:
    return stores.directory


@pytest.fixture
def journal(stores: Stores) -> Journal:
    return stores.journal


@pytest.fixture
def usage(stores: Stores) -> UsageStore:
    return stores.usage
