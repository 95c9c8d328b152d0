"""What no order of events may break: an order has one owner per fence, and only that owner moves it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.ports import Journal, JournalChange, JournalRow, OrderState
from storage.sql import Stores, open_sqlite
from storage.sql.postgresql.place import PostgresPlace
from storage.sql.schema import NEVER_MOVES
from tests.storage.samples import LEASE_MS, NOW_MS, order
from tests.support.postgres_databases import empty

NODES = 2
ORDERS = 2

Step = tuple[Any, ...]

_STEPS = st.one_of(
    st.tuples(st.just("insert"), st.integers(0, NODES - 1), st.integers(0, ORDERS - 1)),
    st.tuples(st.just("claim"), st.integers(0, NODES - 1), st.integers(1, ORDERS), st.sampled_from([0, 250, LEASE_MS])),
    st.tuples(
        st.just("change"),
        st.integers(0, NODES - 1),
        st.integers(0, ORDERS - 1),
        st.sampled_from(OrderState),
        st.booleans(),
    ),
)


class Model:
    """What the journal must hold, and what each node believes."""

    def __init__(self, journals: list[Journal]) -> None:
        self.journals = journals
        self.now_ms = NOW_MS
        self.rows: dict[str, JournalRow] = {}
        self.held: dict[tuple[int, str], JournalRow] = {}
        self.owners: dict[tuple[str, int], str] = {}

    async def insert(self, node: int, number: int) -> None:
        drafted = order(number, owner=f"node-{node}", lease_until_ms=self.now_ms + LEASE_MS, created_at_ms=self.now_ms)
        earlier = self.rows.get(drafted.order_key)
        drafted = msgspec.structs.replace(drafted, order_key=f"{drafted.order_key}-{node}") if earlier else drafted
        assert await self.journals[node].insert([drafted]) == [earlier]
        if earlier is None:
            self.take(node, drafted)

    async def claim(self, node: int, limit: int, after_ms: int) -> None:
        self.now_ms += after_ms
        claimed = await self.journals[node].claim(
            owner=f"node-{node}", now_ms=self.now_ms, lease_ms=LEASE_MS, limit=limit
        )
        due = [row for row in self.rows.values() if _due_ms(row) is not None and (_due_ms(row) or 0) <= self.now_ms]
        assert len(claimed) == min(limit, len(due))
        for row in claimed:
            until_ms = self.now_ms + LEASE_MS
            assert row == msgspec.structs.replace(
                self.rows[row.order_key],
                owner=f"node-{node}",
                fence=self.rows[row.order_key].fence + 1,
                lease_until_ms=until_ms,
                next_check_ms=until_ms,
            )
            self.take(node, row)

    def take(self, node: int, row: JournalRow) -> None:
        assert (row.order_key, row.fence) not in self.owners, "two owners under one fence"
        self.owners[row.order_key, row.fence] = row.owner
        self.rows[row.order_key] = self.held[node, row.order_key] = row

    async def change(self, node: int, number: int, to: OrderState, looks_again: bool) -> None:
        """A node acts on what it last saw, which may be long past."""
        key = f"order-{number}"
        seen = self.held.get((node, key))
        if seen is None:
            return
        check = self.now_ms + 250 if looks_again else None
        changed = await self.journals[node].change(
            key,
            expected=(seen.state,),
            fence=seen.fence,
            change=JournalChange(state=to, next_check_ms=check),
            at_ms=self.now_ms,
            durable=False,
        )
        present = self.rows[key]
        if _may_move(present, seen, to):
            moved = msgspec.structs.replace(present, state=to, next_check_ms=check, updated_at_ms=self.now_ms)
            assert changed == moved
            self.rows[key] = self.held[node, key] = moved
        else:
            assert changed is None

    async def check(self) -> None:
        for row in self.rows.values():
            assert await self.journals[0].row(row.order_key) == row
            log = await self.journals[0].events(row.order_key)
            assert [event.number for event in log] == list(range(1, len(log) + 1))
            fences = [event.fence for event in log]
            assert fences == sorted(fences)
            assert all(event.state not in NEVER_MOVES for event in log[:-1])
            assert log[-1].state is row.state
        due = [due for row in self.rows.values() if (due := _due_ms(row)) is not None]
        assert await self.journals[1].next_due_ms() == min(due, default=None)


def _due_ms(row: JournalRow) -> int | None:
    if row.state is OrderState.SENDING:
        return row.lease_until_ms
    return None if row.state in NEVER_MOVES else row.next_check_ms


def _may_move(present: JournalRow, seen: JournalRow, to: OrderState) -> bool:
    if present.fence != seen.fence or present.state is not seen.state or present.state in NEVER_MOVES:
        return False
    return present.state is not OrderState.NOT_PLACED or to in (OrderState.NOT_PLACED, OrderState.LATE_EXECUTION)


@settings(max_examples=50, deadline=None)
@given(steps=st.lists(_STEPS, min_size=8, max_size=30))
def test_an_order_has_one_owner_per_fence_and_only_it_moves_the_order(
    tmp_path_factory: pytest.TempPathFactory, empty_database: Path, steps: list[Step]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "venuegate.db"
    shutil.copy(empty_database, path)
    asyncio.run(_play(lambda: open_sqlite(path), steps))


@settings(max_examples=10, deadline=None)
@given(steps=st.lists(_STEPS, min_size=8, max_size=30))
def test_so_it_is_on_postgresql(postgres_url: str, steps: list[Step]) -> None:
    asyncio.run(empty(postgres_url))
    asyncio.run(_play(PostgresPlace(postgres_url).open, steps))


async def _play(open_node: Callable[[], Awaitable[Stores]], steps: list[Step]) -> None:
    nodes = [await open_node() for _ in range(NODES)]
    try:
        model = Model([node.journal for node in nodes])
        for name, *arguments in steps:
            await getattr(model, name)(*arguments)
        await model.check()
    finally:
        for node in nodes:
            await node.close()
