"""Orders that are over become tombstones, and tombstones are forgotten; what is not over is never touched."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import msgspec
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, insert

from storage.ports import Journal, JournalChange, JournalRow, OrderState
from storage.sql import open_sqlite
from storage.sql.engines import prepare_file, sqlite_engine
from storage.sql.journal import row_values
from storage.sql.places import SqlitePlace
from storage.sql.postgresql.connecting import Connector
from storage.sql.postgresql.database import engine_over
from storage.sql.postgresql.place import PostgresPlace
from storage.sql.schema import SETTLED
from storage.sql.schema import journal as journal_table
from storage.sql.stores import Stores
from tests.storage.conftest import OpenNode
from tests.storage.samples import NOW_MS, order
from tests.support.postgres_databases import PostgresDatabases

LATER_MS = NOW_MS + 1_000_000


def full(number: int, **changes: object) -> JournalRow:
    """An order with everything in it that an order can have."""
    return order(
        number,
        group_id="group",
        state=OrderState.FILLED,
        venue_order_id=f"venue-{number}",
        venue_order=b'{"price":"1.50"}',
        reason="OTHER",
        evidence="found on the venue",
        last_negative_ms=NOW_MS,
        cancel_requested_at_ms=NOW_MS,
        **changes,
    )


async def test_a_tombstone_keeps_the_ids_the_hash_and_how_it_ended(journal: Journal) -> None:
    before = full(1)
    await journal.insert([before])
    assert await journal.shed(before_ms=LATER_MS, limit=9) == 1
    tombstone = await journal.row("order-1")
    assert tombstone == msgspec.structs.replace(
        before,
        request=b"",
        venue_order=None,
        evidence=None,
        group_id=None,
        owner="",
        last_negative_ms=None,
        cancel_requested_at_ms=None,
    )
    assert tombstone is not None
    assert (before.is_tombstone, tombstone.is_tombstone) == (False, True)
    assert await journal.events("order-1") == []
    assert await journal.find("account-1", "credential-1", "mine-1") == tombstone
    assert await journal.by_venue_order_id("account-1", "credential-1", "venue-1") == tombstone


async def test_an_id_stays_taken_until_its_tombstone_is_forgotten(journal: Journal) -> None:
    await journal.insert([full(1)])
    again = order(1, order_key="another")
    for _ in range(2):
        await journal.shed(before_ms=LATER_MS, limit=9)
        assert await journal.insert([again]) == [await journal.row("order-1")]
        assert await journal.insert([order(2), again]) == [None, await journal.row("order-1")]
        with pytest.raises(ValueError, match="venue client id"):
            await journal.insert([order(1, order_key="third", client_order_id="other")])
    assert await journal.forget(before_ms=LATER_MS, limit=9) == 1
    assert await journal.row("order-1") is None
    assert await journal.insert([again]) == [None]


@pytest.mark.parametrize("state", OrderState)
async def test_only_what_is_over_is_reduced_or_forgotten(journal: Journal, state: OrderState) -> None:
    row = full(1)
    row = msgspec.structs.replace(row, state=state)
    await journal.insert([row])
    is_over = state in SETTLED
    assert await journal.forget(before_ms=LATER_MS, limit=9) == 0
    assert await journal.shed(before_ms=LATER_MS, limit=9) == is_over
    assert await journal.shed(before_ms=LATER_MS, limit=9) == 0
    assert await journal.forget(before_ms=LATER_MS, limit=9) == is_over
    assert await journal.row("order-1") == (None if is_over else row)


async def test_age_is_counted_from_when_an_order_last_moved(journal: Journal) -> None:
    old, recent = full(1), full(2)
    recent = msgspec.structs.replace(recent, created_at_ms=0)
    await journal.insert([old, recent])
    assert await journal.shed(before_ms=old.updated_at_ms, limit=9) == 0
    assert await journal.shed(before_ms=old.updated_at_ms + 1, limit=9) == 1
    assert await journal.row("order-2") == recent
    await journal.shed(before_ms=LATER_MS, limit=9)
    assert await journal.forget(before_ms=old.updated_at_ms + 1, limit=9) == 1
    assert await journal.row("order-2") is not None


async def test_absence_that_is_to_be_looked_at_once_more_is_not_reduced_before(journal: Journal) -> None:
    await journal.insert([order(1, state=OrderState.NOT_PLACED, next_check_ms=NOW_MS)])
    assert await journal.shed(before_ms=LATER_MS, limit=9) == 0


async def test_an_order_that_executed_after_all_is_recorded_on_its_tombstone_and_forgotten_later(
    journal: Journal,
) -> None:
    await journal.insert([order(1, state=OrderState.NOT_PLACED)])
    await journal.shed(before_ms=LATER_MS, limit=9)
    late = await journal.change(
        "order-1",
        expected=(OrderState.NOT_PLACED,),
        fence=1,
        change=JournalChange(state=OrderState.LATE_EXECUTION, note="found"),
        at_ms=LATER_MS,
    )
    assert late is not None
    assert late.is_tombstone
    assert [event.note for event in await journal.events("order-1")] == ["found"]
    assert await journal.forget(before_ms=LATER_MS, limit=9) == 0
    assert await journal.forget(before_ms=LATER_MS + 1, limit=9) == 1
    assert await journal.events("order-1") == []


async def test_lists_have_what_can_move_then_what_is_over_and_no_tombstones(journal: Journal) -> None:
    await journal.insert([order(1, state=OrderState.REJECTED), order(2), full(3), order(4)])
    wanted = [OrderState.FILLED, OrderState.REJECTED, OrderState.SENDING]

    async def listed(limit: int, *, newest_first: bool = False) -> list[str]:
        return [row.order_key for row in await journal.in_states(wanted, limit, newest_first=newest_first)]

    assert await listed(9) == ["order-2", "order-4", "order-1", "order-3"]
    assert await listed(3, newest_first=True) == ["order-4", "order-2", "order-3"]
    assert await listed(1) == ["order-2"]
    await journal.shed(before_ms=NOW_MS + 2, limit=9)
    assert await listed(9) == ["order-2", "order-4", "order-3"]


async def test_nodes_that_tidy_up_at_once_share_the_work(open_node: OpenNode) -> None:
    nodes = [(await open_node()).journal for _ in range(3)]
    await nodes[0].insert([order(n, state=OrderState.FILLED) for n in range(60)])
    for name in ("shed", "forget"):
        done = await asyncio.gather(
            *(getattr(node, name)(before_ms=LATER_MS, limit=10) for node in nodes for _ in range(4))
        )
        assert max(done) <= 10
        while batch := await getattr(nodes[0], name)(before_ms=LATER_MS, limit=10):
            done.append(batch)
        assert sum(done) == 60


def to_version_2(connection: Connection) -> None:
    """The tables as they were before there were tombstones, with an order in each state."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "storage.sql:migrations")
    command.upgrade(config, "0002")
    connection.execute(
        insert(journal_table), [row_values(full(n)) | {"state": state.value} for n, state in enumerate(OrderState)]
    )


async def check_upgraded(stores: Stores) -> None:
    rows = await stores.journal.in_states(tuple(OrderState), 99)
    assert {row.order_key: row for row in rows} == {
        f"order-{n}": msgspec.structs.replace(full(n), state=state) for n, state in enumerate(OrderState)
    }
    assert await stores.journal.shed(before_ms=LATER_MS, limit=99) == len(SETTLED)
    assert await stores.journal.forget(before_ms=LATER_MS, limit=99) == len(SETTLED)


async def test_a_file_full_of_orders_is_upgraded_with_all_of_them(path: Path) -> None:
    prepare_file(path)
    engine = sqlite_engine(path)
    with engine.begin() as connection:
        to_version_2(connection)
    engine.dispose()
    await SqlitePlace(path).upgrade()
    raw = sqlite3.connect(path)
    assert raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'ix_journal_state_created_at_ms'").fetchall() == []
    raw.close()
    stores = await open_sqlite(path, upgrade=False)
    await check_upgraded(stores)
    await stores.close()


async def test_a_server_full_of_orders_is_upgraded_with_all_of_them(postgres: PostgresDatabases) -> None:
    url = await postgres.create(template="template0")
    engine = engine_over(Connector(url), 1, flushes=True)
    async with engine.begin() as connection:
        await connection.run_sync(to_version_2)
    await engine.dispose()
    await PostgresPlace(url).upgrade()
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT to_regclass('ix_journal_state_created_at_ms')") is None
    await connection.close()
    stores = await PostgresPlace(url).open()
    await check_upgraded(stores)
    await stores.close()
