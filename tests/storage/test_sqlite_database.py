"""How the writer and the readers of a SQLite file work together."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from storage.ports import OrderState, StorageUnavailable
from storage.sql import open_sqlite
from storage.sql.database import SqliteDatabase
from storage.sql.journal import SqlJournal
from tests.storage.samples import NOW_MS, note, order
from tests.storage.work import Gate, add, add_and_fail, numbers, pragma


async def test_writes_that_wait_together_share_one_commit(database: SqliteDatabase) -> None:
    before = database.commits
    async with Gate(database):
        writes = [asyncio.create_task(database.write(add(number))) for number in range(32)]
    assert await asyncio.gather(*writes) == list(range(32))
    assert database.commits == before + 2
    assert database.durable_commits == database.commits
    assert await database.read(numbers) == list(range(32))


async def test_orders_inserted_together_share_commits(database: SqliteDatabase) -> None:
    journal = SqlJournal(database)
    before = database.commits
    async with Gate(database):
        inserts = [asyncio.create_task(journal.insert([order(number)])) for number in range(32)]
    assert await asyncio.gather(*inserts) == [[None]] * 32
    assert database.commits - before < 32


async def test_work_that_fails_undoes_itself_and_nothing_else(database: SqliteDatabase) -> None:
    async with Gate(database):
        tasks = [
            asyncio.create_task(database.write(work))
            for work in (add(1), add_and_fail(2), add(3), add_and_fail(4), add(5))
        ]
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [outcome if isinstance(outcome, int) else type(outcome) for outcome in outcomes] == [
        1,
        LookupError,
        3,
        LookupError,
        5,
    ]
    assert await database.read(numbers) == [1, 3, 5]


async def test_work_that_fails_alone_leaves_nothing(database: SqliteDatabase) -> None:
    with pytest.raises(LookupError):
        await database.write(add_and_fail(1))
    assert await database.write(add(2)) == 2
    assert await database.read(numbers) == [2]


async def test_a_batch_of_legs_that_is_refused_leaves_its_neighbours_alone(database: SqliteDatabase) -> None:
    journal = SqlJournal(database)
    await journal.insert([order(1)])
    async with Gate(database):
        tasks = [
            asyncio.create_task(journal.insert(rows))
            for rows in ([order(2)], [order(3), order(4, client_order_id="mine-1")], [order(5), order(6)])
        ]
    assert await asyncio.gather(*tasks) == [[None], [None, order(1)], [None, None]]
    assert [row.order_key for row in await journal.in_states([OrderState.SENDING], 9)] == [
        "order-1",
        "order-2",
        "order-5",
        "order-6",
    ]


async def test_a_caller_who_is_cancelled_does_not_stop_the_write(database: SqliteDatabase) -> None:
    async with Gate(database):
        tasks = [asyncio.create_task(database.write(add(number))) for number in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert (outcomes[0], outcomes[2]) == (0, 2)
    assert isinstance(outcomes[1], asyncio.CancelledError)
    assert await database.read(numbers) == [0, 1, 2]


async def test_a_commit_of_nothing_durable_is_not_flushed(database: SqliteDatabase) -> None:
    commits, durable = database.commits, database.durable_commits
    assert await database.write(pragma("synchronous"), durable=False) == 1
    await database.write(add(1), durable=False)
    assert (database.commits, database.durable_commits) == (commits + 2, durable)
    assert await database.write(pragma("synchronous")) == 2
    assert database.durable_commits == durable + 1


async def test_a_durable_write_takes_the_others_with_it(database: SqliteDatabase) -> None:
    durable = database.durable_commits
    async with Gate(database):
        tasks = [
            asyncio.create_task(database.write(pragma("synchronous"), durable=durable)) for durable in (False, True)
        ]
    assert await asyncio.gather(*tasks) == [2, 2]
    assert database.durable_commits == durable + 2


async def test_a_read_has_every_write_that_returned_before_it(database: SqliteDatabase) -> None:
    for number in range(20):
        await database.write(add(number), durable=False)
        assert len(await database.read(numbers)) == number + 1


async def test_a_read_that_fails_leaves_the_others_alone(database: SqliteDatabase) -> None:
    await database.write(add(1))

    def fail(connection: Connection) -> None:
        raise LookupError

    outcomes = await asyncio.gather(*(database.read(work) for work in [numbers, fail] * 5), return_exceptions=True)
    assert outcomes[::2] == [[1]] * 5
    assert all(isinstance(outcome, LookupError) for outcome in outcomes[1::2])


async def test_a_reader_cannot_write(database: SqliteDatabase) -> None:
    with pytest.raises(StorageUnavailable, match="read-only"):
        await database.read(add(1))
    assert await database.read(numbers) == []


async def test_only_the_owner_can_read_the_files(database: SqliteDatabase, path: Path) -> None:
    def modes() -> set[int]:
        return {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}

    await database.write(add(1))
    assert await asyncio.to_thread(modes) == {0o600}
    assert stat.S_IMODE((await asyncio.to_thread(path.parent.stat)).st_mode) == 0o700


async def test_a_file_that_others_can_read_is_made_private(path: Path) -> None:
    await (await open_sqlite(path)).close()
    await asyncio.to_thread(path.chmod, 0o644)
    await (await open_sqlite(path)).close()
    assert stat.S_IMODE((await asyncio.to_thread(path.stat)).st_mode) == 0o600


async def test_closing_finishes_what_was_asked_for(database: SqliteDatabase, path: Path) -> None:
    async with Gate(database):
        tasks = [asyncio.create_task(database.write(add(number))) for number in range(5)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(database.close())
    assert await asyncio.gather(*tasks) == [0, 1, 2, 3, 4]
    await closing
    with pytest.raises(StorageUnavailable, match="closed"):
        await database.write(add(9))
    with pytest.raises(StorageUnavailable, match="closed"):
        await database.read(numbers)
    await database.close()


async def test_values_are_not_in_the_text_of_errors(database: SqliteDatabase) -> None:
    def fail(connection: Connection) -> None:
        connection.execute(text("INSERT INTO absent VALUES (:secret)"), {"secret": "canary"})

    with pytest.raises(StorageUnavailable) as caught:
        await database.write(fail)
    assert "canary" not in f"{caught.value} {caught.value.__cause__}"
    with pytest.raises(ValueError, match="order key") as refused:
        await SqlJournal(database).insert([order(1), order(1, client_order_id="canary")])
    assert "canary" not in f"{refused.value} {refused.value.__cause__}"


async def test_work_after_a_refusal_finds_the_database_in_order(database: SqliteDatabase) -> None:
    journal = SqlJournal(database)
    await journal.insert([order(1)])
    with pytest.raises(ValueError, match="order key"):
        await journal.insert([order(1, client_order_id="another")])
    change = await journal.change("order-1", expected=tuple(OrderState), fence=1, change=note("ok"), at_ms=NOW_MS)
    assert change is not None
