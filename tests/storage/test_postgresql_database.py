"""How transactions and lines on PostgreSQL work together, and what many callers at once cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest
from sqlalchemy import Connection, text

from storage.ports import JournalChange, OrderState, StorageUnavailable
from storage.sql.postgresql.connecting import Connector
from storage.sql.postgresql.database import PostgresDatabase
from storage.sql.postgresql.journal import PostgresJournal
from tests.storage.samples import NOW_MS, note, order
from tests.storage.work import add, add_and_fail, numbers
from tests.support.postgres_databases import PostgresDatabases

ANY = tuple(OrderState)


@pytest.fixture
async def database(empty_url: str) -> AsyncIterator[PostgresDatabase]:
    """With a table of notes."""
    opened = PostgresDatabase(Connector(empty_url))
    await opened.write(_run("DROP TABLE IF EXISTS notes"))
    await opened.write(_run("CREATE TABLE notes (number INTEGER PRIMARY KEY)"))
    yield opened
    await opened.close()


@pytest.fixture
def journal(database: PostgresDatabase) -> PostgresJournal:
    return PostgresJournal(database)


def _run(sql: str) -> Callable[[Connection], None]:
    return lambda connection: connection.execute(text(sql)).close()


def _setting(name: str) -> Callable[[Connection], Any]:
    return lambda connection: connection.execute(text(f"SHOW {name}")).scalar()


async def test_orders_that_are_placed_together_share_a_commit(
    database: PostgresDatabase, journal: PostgresJournal
) -> None:
    await journal.insert([order(99)])
    before = database.flushing.commits
    outcomes = await asyncio.gather(*(journal.insert([order(number)]) for number in range(32)))
    assert outcomes == [[None]] * 32
    assert database.flushing.commits - before == 1
    assert len(await journal.in_states(ANY, 99)) == 33
    assert len(await journal.events("order-7")) == 1


async def test_what_is_recorded_together_shares_a_commit_that_need_not_be_flushed(
    database: PostgresDatabase, journal: PostgresJournal
) -> None:
    await asyncio.gather(*(journal.insert([order(number)]) for number in range(32)))
    flushing, quick = database.flushing.commits, database.quick.commits
    change = JournalChange(state=OrderState.WORKING, note="acked")
    moved = await asyncio.gather(
        *(
            journal.change(f"order-{n}", expected=ANY, fence=1, change=change, at_ms=NOW_MS, durable=False)
            for n in range(32)
        )
    )
    assert [row.order_key for row in moved if row is not None] == [f"order-{n}" for n in range(32)]
    assert (database.flushing.commits, database.quick.commits - quick) == (flushing, 1)


async def test_one_order_that_cannot_be_stored_keeps_no_other_out(journal: PostgresJournal) -> None:
    await journal.insert([order(1)])
    stranger = order(2, venue_client_id=order(1).venue_client_id)
    outcomes = await asyncio.gather(
        journal.insert([order(3)]),
        journal.insert([stranger]),
        journal.insert([order(4, client_order_id="mine-1")]),
        journal.insert([order(5), order(6)]),
        return_exceptions=True,
    )
    assert isinstance(outcomes[1], ValueError)
    assert [outcomes[0], *outcomes[2:]] == [[None], [order(1)], [None, None]]


async def test_two_nodes_with_the_same_legs_in_another_order_do_not_wait_for_each_other(
    journal: PostgresJournal, empty_url: str
) -> None:
    other = PostgresDatabase(Connector(empty_url))
    theirs = PostgresJournal(other)
    for number in range(0, 40, 4):
        ids = range(number, number + 4)
        outcomes = await asyncio.gather(
            journal.insert([order(n) for n in ids]),
            theirs.insert([order(100 + n, client_order_id=f"mine-{n}") for n in reversed(ids)]),
        )
        assert [None] * 4 in outcomes
        rows = [await journal.find("account-1", "credential-1", f"mine-{n}") for n in ids]
        assert {row.order_key in {f"order-{n}" for n in ids} for row in rows if row is not None} in ({True}, {False})
    await other.close()


async def test_two_that_record_something_of_one_order_at_once_both_find_a_number_for_it(
    journal: PostgresJournal, empty_url: str
) -> None:
    await journal.insert([order(1)])
    other = PostgresDatabase(Connector(empty_url))
    nodes = [journal, PostgresJournal(other)]
    for _ in range(10):
        changes = [nodes[n % 2].change("order-1", expected=ANY, fence=1, change=note("n"), at_ms=1) for n in range(8)]
        assert None not in await asyncio.gather(*changes)
    log = await journal.events("order-1")
    assert [event.number for event in log] == list(range(1, 82))
    await other.close()


async def test_a_change_that_is_nobodys_business_leaves_no_event(journal: PostgresJournal) -> None:
    await journal.insert([order(1)])
    assert await journal.change("order-1", expected=ANY, fence=1, change=JournalChange(checks=1), at_ms=NOW_MS)
    assert len(await journal.events("order-1")) == 1


async def test_commits_that_need_not_be_durable_are_not_waited_for(database: PostgresDatabase) -> None:
    assert await database.write(_setting("synchronous_commit")) == "on"
    assert await database.write(_setting("synchronous_commit"), durable=False) == "off"


async def test_a_server_that_does_not_wait_for_its_disk_by_itself_is_told_to(empty_url: str) -> None:
    name = empty_url.rpartition("/")[2]
    connection = await asyncpg.connect(empty_url)
    await connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    database = PostgresDatabase(Connector(empty_url))
    try:
        assert await database.write(_setting("synchronous_commit")) == "on"
    finally:
        await connection.execute(f'ALTER DATABASE "{name}" RESET synchronous_commit')
        await connection.close()
        await database.close()


async def test_work_that_fails_leaves_nothing(database: PostgresDatabase) -> None:
    outcomes = await asyncio.gather(
        *(database.write(work) for work in (add(1), add_and_fail(2), add(3))), return_exceptions=True
    )
    assert [outcome if isinstance(outcome, int) else type(outcome) for outcome in outcomes] == [1, LookupError, 3]
    assert await database.read(numbers) == [1, 3]


async def test_a_caller_who_is_cancelled_does_not_stop_the_write(
    database: PostgresDatabase, journal: PostgresJournal, empty_url: str
) -> None:
    tasks = [asyncio.create_task(database.write(add(1))), asyncio.create_task(journal.insert([order(1)]))]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    await database.close()
    later = PostgresDatabase(Connector(empty_url))
    assert await later.read(numbers) == [1]
    assert await PostgresJournal(later).row("order-1") == order(1)
    await later.close()


async def test_closing_finishes_what_was_asked_for(database: PostgresDatabase, journal: PostgresJournal) -> None:
    tasks = [asyncio.create_task(database.write(add(number))) for number in range(5)]
    orders = [asyncio.create_task(journal.insert([order(number)])) for number in range(5)]
    await asyncio.sleep(0)
    await database.close()
    assert await asyncio.gather(*tasks) == [0, 1, 2, 3, 4]
    assert await asyncio.gather(*orders) == [[None]] * 5
    for ask in (database.write(add(9)), database.read(numbers), journal.insert([order(9)])):
        with pytest.raises(StorageUnavailable, match="closed"):
            await ask
    await database.close()


async def test_two_transactions_in_each_others_way_are_both_carried_out(postgres: PostgresDatabases) -> None:
    url = await postgres.create()
    await postgres.run(f'ALTER DATABASE "{url.rpartition("/")[2]}" SET deadlock_timeout = 10')
    database = PostgresDatabase(Connector(url))
    await database.write(_run("CREATE TABLE notes (number INTEGER PRIMARY KEY)"))
    await database.write(add(1))
    await database.write(add(2))

    def swapping(first: int, second: int) -> Callable[[Connection], None]:
        def work(connection: Connection) -> None:
            for number in (first, second):
                connection.execute(text("SELECT pg_sleep(0.02)"))
                connection.execute(text("UPDATE notes SET number = number WHERE number = :n"), {"n": number})

        return work

    outcomes = await asyncio.gather(
        *(database.write(swapping(*pair)) for pair in [(1, 2), (2, 1)]), return_exceptions=True
    )
    assert outcomes == [None, None]
    await database.close()


async def test_values_are_not_in_the_text_of_errors(database: PostgresDatabase, journal: PostgresJournal) -> None:
    def fail(connection: Connection) -> None:
        connection.execute(text("INSERT INTO absent VALUES (:secret)"), {"secret": "canary"})

    with pytest.raises(StorageUnavailable) as caught:
        await database.write(fail)
    assert "canary" not in f"{caught.value} {caught.value.__cause__}"
    await journal.insert([order(1)])
    with pytest.raises(ValueError, match="order key") as refused:
        await journal.insert([order(1, client_order_id="canary")])
    assert "canary" not in str(refused.value)
