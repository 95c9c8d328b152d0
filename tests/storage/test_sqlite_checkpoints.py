"""The write-ahead log is copied into the file while the gateway runs, and by nobody who is waited for."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from storage.ports import StorageUnavailable
from storage.sql import open_sqlite
from storage.sql.checkpoints import WRITES_BETWEEN, Checkpoints
from storage.sql.database import SqliteDatabase
from storage.sql.engines import LONGEST_LOG, sqlite_engine
from tests.storage.samples import order
from tests.storage.work import pragma


@pytest.fixture
async def placed(tmp_path: Path) -> AsyncIterator[Path]:
    """A database with an order that is only in its log as yet."""
    path = tmp_path / "gateway.db"
    stores = await open_sqlite(path)
    await stores.journal.insert([order(1)])
    yield path
    await stores.close()


def orders_in_file(path: Path) -> int:
    """Without what is in its log."""
    alone = path.with_name("alone.db")
    shutil.copyfile(path, alone)
    with closing(sqlite3.connect(alone)) as connection:
        return int(connection.execute("SELECT count(*) FROM journal").fetchone()[0])


def after(path: Path, *writes: int, check: Callable[[], None] = lambda: None) -> int:
    """How many orders are in the file once so many writes were counted."""
    checkpoints = Checkpoints(sqlite_engine(path), check)
    checkpoints.start()
    for count in writes:
        checkpoints.count(count)
    checkpoints.close()
    return orders_in_file(path)


async def test_the_log_is_copied_after_so_many_writes(placed: Path) -> None:
    assert after(placed, WRITES_BETWEEN - 1) == 0
    assert after(placed, WRITES_BETWEEN - 1, 1) == 1


async def test_a_checkpoint_that_fails_is_made_the_next_time(placed: Path) -> None:
    def fail_once() -> None:
        if problems:
            raise problems.pop()

    problems = [StorageUnavailable("gone", "put it back")]
    assert after(placed, WRITES_BETWEEN, check=fail_once) == 0
    problems = [StorageUnavailable("gone", "put it back")]
    assert after(placed, WRITES_BETWEEN, WRITES_BETWEEN, check=fail_once) == 1


async def test_a_commit_leaves_the_log_to_it_for_long(database: SqliteDatabase) -> None:
    assert await database.write(pragma("wal_autocheckpoint")) == LONGEST_LOG
