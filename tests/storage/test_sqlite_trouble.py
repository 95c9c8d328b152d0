"""What a SQLite file, its disk and other processes can do to us, and what then happens."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from storage.ports import OrderState, StorageUnavailable
from storage.sql import open_sqlite
from storage.sql.database import SqliteDatabase
from storage.sql.journal import SqlJournal
from tests.storage.samples import order
from tests.storage.work import add, numbers, pragma, query_only


async def test_a_full_disk_loses_nothing_and_is_got_over(database: SqliteDatabase) -> None:
    journal = SqlJournal(database)
    await journal.insert([order(0)])
    limit = await database.write(pragma("max_page_count"))
    await database.write(lambda connection: pragma(f"max_page_count = {pragma('page_count')(connection)}")(connection))
    big = b"x" * 9_000
    with pytest.raises(StorageUnavailable, match=r"disk is full.*Free space"):
        await journal.insert([order(1, request=big)])
    outcomes = await asyncio.gather(
        *(journal.insert([order(number, request=big)]) for number in range(2, 10)), return_exceptions=True
    )
    assert all(isinstance(outcome, StorageUnavailable) for outcome in outcomes)
    assert await journal.in_states([OrderState.SENDING], 99) == [order(0)]

    await database.write(pragma(f"max_page_count = {limit}"))
    assert await journal.insert([order(1, request=big)]) == [None]
    assert await journal.row("order-0") == order(0)


HOLD_THE_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
print("free", flush=True)
"""


def _hold_the_lock(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


async def test_a_database_that_another_process_locked_is_reported_and_got_over(
    database: SqliteDatabase, path: Path
) -> None:
    with await asyncio.to_thread(_hold_the_lock, path) as holder:
        async with asyncio.timeout(5):
            with pytest.raises(StorageUnavailable, match=r"locked by another process.*fuser"):
                await database.write(add(1))
            with pytest.raises(StorageUnavailable, match="locked by another process"):
                await open_sqlite(path, busy_timeout_s=0.05)
        assert await database.read(numbers) == [], "reads go on"
        await asyncio.to_thread(holder.communicate, "\n")
    assert await database.write(add(2)) == 2
    assert await database.read(numbers) == [2]


async def test_a_second_process_can_write_too(database: SqliteDatabase, path: Path) -> None:
    other = SqliteDatabase(path)
    await asyncio.gather(*(node.write(add(number)) for number, node in enumerate([database, other] * 10)))
    assert await database.read(numbers) == list(range(20))
    await other.close()


USE_AND_CLOSE = """
import asyncio, pathlib, sys
from storage.sql import open_sqlite
from tests.storage.samples import order

async def main():
    stores = await open_sqlite(pathlib.Path(sys.argv[1]))
    await stores.journal.insert([order(int(sys.argv[2]))])
    await stores.close()

asyncio.run(main())
"""


async def test_opening_it_twice_in_one_process_does_not_give_its_files_to_others_to_clean_up(path: Path) -> None:
    first = await open_sqlite(path)
    await first.journal.insert([order(1)])
    await (await open_sqlite(path)).close()
    # With the locks of the first gone, this process would take itself for the last one and delete the log.
    await asyncio.to_thread(lambda: subprocess.run([sys.executable, "-c", USE_AND_CLOSE, path, "2"], check=True))
    await first.journal.insert([order(3)])
    assert await first.journal.in_states([OrderState.SENDING], 9) == [order(1), order(2), order(3)]
    await first.close()
    again = await open_sqlite(path)
    assert await again.journal.in_states([OrderState.SENDING], 9) == [order(1), order(2), order(3)]
    await again.close()


async def test_a_file_that_is_not_a_database_is_reported(path: Path) -> None:
    def spoil() -> None:
        path.parent.mkdir()
        path.write_bytes(b"these are somebody's notes, and no database at all " * 100)

    await asyncio.to_thread(spoil)
    with pytest.raises(StorageUnavailable, match="not a database"):
        await open_sqlite(path)


async def test_a_directory_in_the_files_place_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="cannot be opened"):
        await open_sqlite(tmp_path)


async def test_a_data_directory_that_is_a_file_is_reported(tmp_path: Path) -> None:
    await asyncio.to_thread((tmp_path / "data").touch)
    with pytest.raises(StorageUnavailable, match="cannot be opened"):
        await open_sqlite(tmp_path / "data" / "venuegate.db")


def test_a_database_that_is_not_there_is_reported(path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="cannot be opened"):
        SqliteDatabase(path)


async def test_a_file_that_was_removed_takes_no_more_orders(database: SqliteDatabase, path: Path) -> None:
    await asyncio.to_thread(path.rename, path.with_name("elsewhere.db"))
    with pytest.raises(StorageUnavailable, match="removed or replaced"):
        await database.write(add(1))
    with pytest.raises(StorageUnavailable, match="removed or replaced"):
        await database.read(numbers)
    await asyncio.to_thread(path.touch)
    with pytest.raises(StorageUnavailable, match="removed or replaced"):
        await database.write(add(1))
    await asyncio.to_thread(path.with_name("elsewhere.db").rename, path)
    assert await database.write(add(1)) == 1


async def test_a_database_that_became_read_only_is_got_over(database: SqliteDatabase) -> None:
    await database.write(query_only)
    with pytest.raises(StorageUnavailable, match=r"read-only.*writable"):
        await database.write(add(1))
    # The connection was given up: the next one finds the file writable again.
    assert await database.write(add(2)) == 2


async def test_a_damaged_database_is_reported(path: Path) -> None:
    stores = await open_sqlite(path)
    await stores.journal.insert([order(number, request=bytes(3_000)) for number in range(50)])
    await stores.close()

    def damage() -> None:
        content = bytearray(path.read_bytes())
        for start in range(8_192, len(content), 4_096):
            content[start : start + 16] = b"\xee" * 16
        path.write_bytes(content)

    await asyncio.to_thread(damage)
    broken = SqliteDatabase(path)
    with pytest.raises(StorageUnavailable, match=r"is damaged.*backup"):
        await SqlJournal(broken).insert([order(99)])
    await broken.close()


async def test_tables_that_are_not_there_are_reported(tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    await asyncio.to_thread(lambda: sqlite3.connect(empty).close())
    await asyncio.to_thread(empty.touch)
    database = SqliteDatabase(empty)
    with pytest.raises(StorageUnavailable, match="venuegate db upgrade"):
        await SqlJournal(database).insert([order(1)])
    with pytest.raises(StorageUnavailable, match="venuegate db upgrade"):
        await SqlJournal(database).row("order-1")
    await database.close()


INSERT_AND_WAIT = """
import asyncio, pathlib, sys
from storage.ports import JournalChange, OrderState
from storage.sql import open_sqlite
from tests.storage.samples import NOW_MS, order

async def main():
    stores = await open_sqlite(pathlib.Path(sys.argv[1]))
    assert await stores.journal.insert([order(1), order(2)]) == [None, None]
    change = JournalChange(state=OrderState.ACKED, venue_order_id="7", note="acked")
    await stores.journal.change(
        "order-1", expected=(OrderState.SENDING,), fence=1, change=change, at_ms=NOW_MS, durable=False
    )
    print("stored", flush=True)
    sys.stdin.readline()

asyncio.run(main())
"""


def _insert_and_kill(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", INSERT_AND_WAIT, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stored\n"
        process.kill()


async def test_what_was_stored_is_there_after_the_process_was_killed(path: Path) -> None:
    await asyncio.to_thread(_insert_and_kill, path)
    stores = await open_sqlite(path)
    first, second = await stores.journal.row("order-1"), await stores.journal.row("order-2")
    assert second == order(2)
    assert first is not None
    assert (first.state, first.venue_order_id) == (OrderState.ACKED, "7")
    assert [event.note for event in await stores.journal.events("order-1")] == ["", "acked"]
    await stores.close()
