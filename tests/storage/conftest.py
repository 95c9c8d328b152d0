from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from storage.ports import Directory, Journal, UsageStore
from storage.sql import Stores, open_sqlite
from storage.sql.database import SqliteDatabase
from tests.storage.samples import database_path


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
async def stores(empty_path: Path) -> AsyncIterator[Stores]:
    opened = await open_sqlite(empty_path)
    yield opened
    await opened.close()


@pytest.fixture
def directory(stores: Stores) -> Directory:
    return stores.directory


@pytest.fixture
def journal(stores: Stores) -> Journal:
    return stores.journal


@pytest.fixture
def usage(stores: Stores) -> UsageStore:
    return stores.usage
