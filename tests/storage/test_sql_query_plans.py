"""A journal of millions of orders and a directory of a million keys: nothing that is asked often may read a table."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import asyncpg  # type: ignore[import-untyped]
import pytest
from sqlalchemy import Connection

from storage.ports import Journal, JournalChange, OrderState
from storage.sql.database import Database
from storage.sql.engines import driver, sqlite_engine
from storage.sql.postgresql.place import PostgresPlace
from storage.sql.stores import Stores, stores_over
from tests.storage.samples import NOW_MS, api_key, order
from tests.support.postgres_databases import PostgresDatabases, sessions_ended

T = TypeVar("T")

QUESTIONS: dict[str, Callable[[Stores], Awaitable[object]]] = {
    "insert": lambda stores: stores.journal.insert([order(1), order(2)]),
    "change": lambda stores: stores.journal.change(
        "order-1", expected=tuple(OrderState), fence=1, change=JournalChange(state=OrderState.ACKED), at_ms=NOW_MS
    ),
    "find": lambda stores: stores.journal.find("a", "c", "o"),
    "by_venue_order_id": lambda stores: stores.journal.by_venue_order_id("a", "c", "7"),
    "by_venue_client_id": lambda stores: stores.journal.by_venue_client_id("c", "7"),
    "known_among": lambda stores: stores.journal.known_among("c", ["7", "8"]),
    "row": lambda stores: stores.journal.row("order-1"),
    "group": lambda stores: stores.journal.group("g"),
    "events": lambda stores: stores.journal.events("order-1"),
    "claim": lambda stores: stores.journal.claim(owner="n", now_ms=NOW_MS * 2, lease_ms=1, limit=5),
    "next_due_ms": lambda stores: stores.journal.next_due_ms(),
    "undecided": lambda stores: stores.journal.undecided("c"),
    "in_states": lambda stores: stores.journal.in_states([OrderState.UNKNOWN, OrderState.SENDING], 5),
    "in_states of what is over": lambda stores: stores.journal.in_states(
        [OrderState.FILLED, OrderState.NOT_PLACED], 5, newest_first=True
    ),
    "shed": lambda stores: _shed_one(stores.journal),
    "forget": lambda stores: _forget_one(stores.journal),
    "revision": lambda stores: stores.directory.revision(),
    "key_by_digest": lambda stores: stores.directory.key_by_digest(b"digest"),
    "keys": lambda stores: stores.directory.keys("account-1"),
    "revoke_key": lambda stores: stores.directory.revoke_key("key-1", NOW_MS),
    "touch_keys": lambda stores: stores.directory.touch_keys({"key-1": NOW_MS}),
    "create_key": lambda stores: stores.directory.create_key(api_key(1), at_most=0),
    "credential": lambda stores: stores.directory.credential("c"),
    "credentials": lambda stores: stores.directory.credentials("account-1"),
    "account_named": lambda stores: stores.directory.account_named("a"),
    "usage": lambda stores: stores.usage.add("2026-01-31", {"a": 1}),
    "usage day": lambda stores: stores.usage.day("2026-01-31"),
    "usage history": lambda stores: stores.usage.history("a", 9),
}


async def _shed_one(journal: Journal) -> None:
    await journal.insert([order(3, state=OrderState.FILLED)])
    assert await journal.shed(before_ms=NOW_MS + 100, limit=5) == 1


async def _forget_one(journal: Journal) -> None:
    await journal.insert([order(4, request=b"", state=OrderState.FILLED)])
    assert await journal.forget(before_ms=NOW_MS + 100, limit=1) == 1


class ExplainedDatabase(Database):
    """Runs everything on one connection at once, and keeps how SQLite went about each statement."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._raw = driver(connection)
        self.plans: list[str] = []

    async def write(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        return await self.read(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        statements: list[str] = []
        self._raw.set_trace_callback(statements.append)
        try:
            return work(self._connection)
        finally:
            self._raw.set_trace_callback(None)
            for statement in statements:
                self.plans += _plan(self._raw, statement)

    async def close(self) -> None:
        self._connection.close()


def _plan(raw: sqlite3.Connection, statement: str) -> list[str]:
    if not statement.startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
        return []
    return [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}")]


@pytest.fixture
def explained(empty_path: Path) -> Iterator[ExplainedDatabase]:
    engine = sqlite_engine(empty_path)
    with engine.connect() as connection, connection.begin():
        yield ExplainedDatabase(connection)
    engine.dispose()


@pytest.mark.parametrize("question", QUESTIONS)
async def test_what_is_asked_often_reads_no_whole_table(explained: ExplainedDatabase, question: str) -> None:
    stores = stores_over(explained)
    await stores.journal.insert([order(1)])
    explained.plans.clear()
    await QUESTIONS[question](stores)
    assert [step for step in explained.plans if step.startswith("SCAN") and step != "SCAN CONSTANT ROW"] == []


async def test_work_that_is_due_is_found_by_its_own_small_index(explained: ExplainedDatabase) -> None:
    stores = stores_over(explained)
    for question in ("claim", "next_due_ms", "undecided", "group", "by_venue_order_id"):
        await QUESTIONS[question](stores)
    used = " ".join(explained.plans)
    for index in ("ix_journal_due_ms", "ix_journal_unknown", "ix_journal_group_id", "ix_journal_venue_order_id"):
        assert index in used


async def test_orders_are_listed_and_retired_by_the_index_that_has_those_and_no_others(
    explained: ExplainedDatabase,
) -> None:
    stores = stores_over(explained)
    for question, index in (
        ("in_states", "ix_journal_unsettled (state=?)"),
        ("in_states of what is over", "ix_journal_settled (state=?)"),
        ("shed", "ix_journal_settled (state=? AND updated_at_ms<?)"),
        ("forget", "ix_journal_tombstones (updated_at_ms<?)"),
    ):
        explained.plans.clear()
        await QUESTIONS[question](stores)
        plan = " ".join(explained.plans).replace("COVERING ", "")
        assert f"SEARCH journal USING INDEX {index}" in plan
        assert question not in ("shed", "forget") or "TEMP B-TREE" not in plan


async def test_postgresql_reads_no_whole_table_either(postgres: PostgresDatabases) -> None:
    url = await postgres.create()
    # Tables this small are read whole by choice; so told, only where there is no index for the question.
    await postgres.run(f'ALTER DATABASE "{url.rpartition("/")[2]}" SET enable_seqscan = off')
    stores = await PostgresPlace(url).open()
    for question in QUESTIONS.values():
        await question(stores)
    await stores.close()
    await sessions_ended(url)
    connection = await asyncpg.connect(url)
    scanned = await connection.fetch("SELECT relname FROM pg_stat_user_tables WHERE seq_scan > 0")
    used = await connection.fetch("SELECT indexrelname FROM pg_stat_user_indexes WHERE idx_scan > 0")
    await connection.close()
    assert [name for (name,) in scanned if name != "alembic_version"] == []
    assert {
        "ix_journal_due_ms",
        "ix_journal_unknown",
        "ix_journal_venue_order_id",
        "ix_journal_unsettled",
        "ix_journal_settled",
        "ix_journal_tombstones",
    } <= {name for (name,) in used}
