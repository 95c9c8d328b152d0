"""What becomes of orders that are long over, and what a client who still asks is told."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.orders.retention import AT_ONCE, DAY_MS, LOOK_AGAIN_S, PAUSE_S, Retention
from normalization.errors import ClientOrderIdConflict, ExchangeError, GatewayError, OrderNoLongerKept
from normalization.orders import Market, OrderStatus
from normalization.venue_failures import Reason, VenueNotReached, VenueRejected
from storage.ports import Journal, OrderState, StorageUnavailable
from storage.sql import Stores, open_sqlite
from storage.sql.postgresql.place import PostgresPlace
from storage.sql.schema import SETTLED
from tests.storage.samples import order
from tests.support.empty_database import put_empty_database
from tests.support.manual_clock import ManualClock
from tests.support.memory_journal import MemoryJournal
from tests.support.order_machine import Machine, a_leg
from tests.support.postgres_databases import empty
from tests.support.scripted_venue import ScriptedVenue, accept, accept_then, fail

JOURNAL_DAYS, TOMBSTONE_DAYS = 90, 400
DAY_S = DAY_MS / 1000


def retention_of(machine: Machine, *, tombstone_days: int = TOMBSTONE_DAYS) -> Retention:
    return Retention(machine.journal, machine.clock, journal_days=JOURNAL_DAYS, tombstone_days=tombstone_days)


class Aging:
    """An order machine, and the days that pass for it."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.retention = retention_of(self.machine)

    async def after(self, days: float) -> None:
        self.machine.clock.advance(days * DAY_S)
        while await self.retention.run_once():
            pass


@pytest.fixture
def aging() -> Aging:
    return Aging()


async def failure_of(asked: Awaitable[Any]) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await asked
    return caught.value


async def test_an_old_order_is_told_by_how_it_ended_and_never_placed_again(aging: Aging) -> None:
    machine = aging.machine
    await machine.place("a", execution=Market())
    await aging.after(JOURNAL_DAYS + 1)
    replayed = await machine.place("a", execution=Market())
    looked_up = await failure_of(machine.desk.look_up(machine.call(), order_id=None, client_order_id="a"))
    by_order_id = await failure_of(machine.desk.look_up(machine.call(), order_id="ord_1", client_order_id=None))
    for told in (replayed.failure, looked_up, by_order_id):
        assert isinstance(told, OrderNoLongerKept)
        assert "ended as FILLED" in told.message
        details = dict(told.details or {})
        assert details.pop("replayed", True)
        assert details == {"status": "FILLED", "orderId": "ord_1", "clientOrderId": "a"}
    assert replayed.replayed
    assert len(machine.venue.sent) == 1


async def test_an_old_id_with_other_parameters_is_the_conflict_that_it_always_was(aging: Aging) -> None:
    await aging.machine.place("a", execution=Market())
    await aging.after(JOURNAL_DAYS + 1)
    told = await failure_of(aging.machine.place("a", size="0.02", execution=Market()))
    assert isinstance(told, ClientOrderIdConflict)
    assert len(aging.machine.venue.sent) == 1


async def test_an_old_denial_is_told_as_before_without_the_venues_words(aging: Aging) -> None:
    aging.machine.venue.script.append(fail(VenueRejected(Reason.INSUFFICIENT_FUNDS, "not enough margin")))
    before = (await aging.machine.place("a")).failure
    await aging.after(JOURNAL_DAYS + 1)
    after = (await aging.machine.place("a")).failure
    assert isinstance(before, ExchangeError)
    assert isinstance(after, ExchangeError)
    expected = {**(before.details or {}), "replayed": True}
    del expected["venueMessage"]
    assert after.details == expected
    assert "no longer kept" in after.message


async def test_an_id_is_free_once_its_tombstone_is_forgotten(aging: Aging) -> None:
    machine = aging.machine
    machine.venue.script.append(fail(VenueRejected(Reason.OTHER, "no")))
    await machine.place("a")
    await aging.after(TOMBSTONE_DAYS - 0.01)
    assert (await machine.place("a")).replayed
    await aging.after(0.02)
    assert not (await machine.place("a")).replayed
    assert len(machine.venue.sent) == 2


async def test_what_is_live_or_in_doubt_is_kept_whole_however_old(aging: Aging) -> None:
    machine = aging.machine
    await machine.place("live")
    machine.venue.script.append(fail(TimeoutError()))
    await machine.place("doubt")
    rows = [await machine.row("live"), await machine.row("doubt")]
    await aging.after(TOMBSTONE_DAYS + 1)
    assert [await machine.row("live"), await machine.row("doubt")] == rows
    placed = await machine.place("live")
    assert (placed.state, placed.replayed) == (OrderState.WORKING, True)


async def test_a_batch_of_which_a_part_is_old_tells_each_leg_as_it_stands(aging: Aging) -> None:
    machine = aging.machine
    legs = (a_leg("a", execution=Market()), a_leg("b"))
    await machine.place_batch(*legs)
    await aging.after(JOURNAL_DAYS + 1)
    old, live = await machine.place_batch(*legs)
    assert isinstance(old.failure, OrderNoLongerKept)
    assert (old.state, live.state) == (OrderState.FILLED, OrderState.WORKING)
    assert live.order is not None
    assert len(machine.venue.sent) == 2


async def test_the_duty_works_in_small_steps_and_then_sleeps_long() -> None:
    slept: list[float] = []
    retired: list[tuple[str, int]] = []

    class Watched(ManualClock):
        async def sleep(self, seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 4:
                raise asyncio.CancelledError
            await super().sleep(seconds)

    journal, clock = MemoryJournal(), Watched()
    await journal.insert([order(n, state=OrderState.FILLED) for n in range(2 * AT_ONCE + 7)])
    retention = Retention(
        journal, clock, journal_days=1, tombstone_days=2, on_retired=lambda *told: retired.append(told)
    )
    clock.advance(1.5 * DAY_S)
    with pytest.raises(asyncio.CancelledError):
        await retention.run()
    assert slept == [PAUSE_S, PAUSE_S, LOOK_AGAIN_S, LOOK_AGAIN_S]
    assert [count for fate, count in retired if fate == "tombstone"] == [AT_ONCE, AT_ONCE, 7, 0]
    assert sum(count for fate, count in retired if fate == "forgotten") == 0


async def test_the_duty_outlives_a_database_that_is_away() -> None:
    class Passing(ManualClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            if not journal.broken:
                raise asyncio.CancelledError
            journal.broken = False

    journal, clock = MemoryJournal(), Passing()
    await journal.insert([order(1, state=OrderState.FILLED)])
    journal.broken = True
    retention = Retention(journal, clock, journal_days=1, tombstone_days=2)
    clock.advance(1.5 * DAY_S)
    with pytest.raises(StorageUnavailable):
        await retention.run_once()
    with pytest.raises(asyncio.CancelledError):
        await retention.run()
    assert journal.rows["order-1"].is_tombstone


async def test_a_clock_that_is_set_ahead_makes_no_order_old(aging: Aging) -> None:
    await aging.machine.place("a", execution=Market())
    aging.machine.clock.jump(1_000 * DAY_S)
    await aging.after(1)
    assert not (await aging.machine.row("a")).is_tombstone


IDS = 2
_PASSING = st.sampled_from([0.0, 1.0, 60.0, 89.0, 91.0, 311.0, 399.0, 401.0])
_OUTCOMES = {
    "accepted": accept,
    "lost": accept_then(TimeoutError()),
    "vanished": fail(TimeoutError()),
    "refused": fail(VenueRejected(Reason.OTHER, "no")),
    "not sent": fail(VenueNotReached(Reason.VENUE_UNREACHABLE, "refused")),
}
_PLACE = st.tuples(
    st.just("place"),
    st.integers(0, IDS - 1),
    st.sampled_from(["0.01", "0.02"]),
    st.booleans(),
    st.sampled_from(list(_OUTCOMES)),
)
_STEPS = st.one_of(
    _PLACE,
    _PLACE,
    st.tuples(st.just("finish"), st.integers(0, IDS - 1), st.sampled_from([OrderStatus.FILLED, OrderStatus.CANCELED])),
    st.tuples(st.just("ask"), st.integers(0, IDS - 1)),
    st.tuples(st.just("reconcile"), st.sampled_from([1.0, 120.0])),
    st.tuples(st.just("tidy"), _PASSING),
    st.tuples(st.just("tidy"), _PASSING),
)

Step = tuple[Any, ...]


class Life:
    """A gateway over years. ``placed_at_ms`` is when each id last got an order of its own."""

    def __init__(self, journal: Journal, *, tombstone_days: int = TOMBSTONE_DAYS) -> None:
        self.venue = ScriptedVenue()
        self.venue.dedupes = False
        self.machine = Machine(self.venue, journal)
        self.retention = retention_of(self.machine, tombstone_days=tombstone_days)
        self.placed_at_ms: dict[str, int] = {}

    async def place(self, number: int, size: str, market: bool, outcome: str) -> None:
        client_order_id, sent = f"order-{number}", len(self.venue.sent)
        self.venue.script.extend([_OUTCOMES[outcome]] * 3)
        execution = Market() if market else None
        replayed = False
        try:
            placed = await self.machine.place(client_order_id, size=size, execution=execution)
            replayed = placed.replayed
        except GatewayError:
            replayed = True
        self.venue.script.clear()
        assert replayed == (len(self.venue.sent) == sent)
        if not replayed:
            now_ms = self.machine.clock.now_ms()
            before_ms = self.placed_at_ms.get(client_order_id)
            assert before_ms is None or now_ms - before_ms >= TOMBSTONE_DAYS * DAY_MS
            self.placed_at_ms[client_order_id] = now_ms

    async def finish(self, number: int, status: OrderStatus) -> None:
        row = await self._row(number)
        order = self.venue.orders.get(row.venue_client_id) if row else None
        if order is not None and not order.status.is_final:
            self.venue.set_status(order.client_id or "", status)

    async def ask(self, number: int) -> None:
        try:
            told = await self.machine.desk.look_up(
                self.machine.call(), order_id=None, client_order_id=f"order-{number}"
            )
        except GatewayError:
            return
        row = await self._row(number)
        assert row is not None
        assert told.state is row.state

    async def reconcile(self, seconds: float) -> None:
        await self.machine.reconcile_for(seconds, step_s=seconds / 4)

    async def tidy(self, days: float) -> None:
        self.machine.clock.advance(days * DAY_S)
        while await self.retention.run_once():
            pass
        for number in range(IDS):
            if row := await self._row(number):
                age_days = (self.machine.clock.now_ms() - row.updated_at_ms) / DAY_MS
                is_over = row.state in SETTLED and (row.next_check_ms is None or row.state is not OrderState.NOT_PLACED)
                assert row.is_tombstone == (is_over and age_days > JOURNAL_DAYS)
                assert not is_over or age_days <= TOMBSTONE_DAYS

    async def _row(self, number: int) -> Any:
        credential = self.machine.call().credential
        return await self.machine.journal.find(credential.account_id, credential.credential_id, f"order-{number}")


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(_STEPS, min_size=10, max_size=30))
def test_an_id_never_gets_a_second_order_before_its_tombstone_is_forgotten(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step]
) -> None:
    path = tmp_path_factory.mktemp("life") / "venuegate.db"
    put_empty_database(path)
    asyncio.run(_live(lambda: open_sqlite(path), steps))
    shutil.rmtree(path.parent)


@settings(max_examples=10, deadline=None)
@given(steps=st.lists(_STEPS, min_size=10, max_size=30))
def test_so_it_is_on_postgresql(postgres_url: str, steps: list[Step]) -> None:
    asyncio.run(empty(postgres_url))
    asyncio.run(_live(PostgresPlace(postgres_url).open, steps))


async def _live(open_node: Callable[[], Awaitable[Stores]], steps: list[Step]) -> None:
    stores = await open_node()
    try:
        life = Life(stores.journal)
        for name, *arguments in steps:
            await getattr(life, name)(*arguments)
    finally:
        await stores.close()


async def test_the_property_would_find_an_id_that_is_free_too_early() -> None:
    life = Life(MemoryJournal(), tombstone_days=300)
    await life.place(0, "0.01", True, "accepted")
    await life.tidy(301)
    with pytest.raises(AssertionError):
        await life.place(0, "0.01", True, "accepted")
