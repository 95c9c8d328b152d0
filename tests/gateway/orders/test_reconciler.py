from __future__ import annotations

import asyncio

import msgspec

from adapters.base import Network
from normalization.errors import ExchangeError
from normalization.orders import OrderStatus
from normalization.resolver import Markets
from normalization.venue_failures import Reason, VenueUnclear
from storage.ports import OrderState
from tests.support.manual_clock import ManualClock
from tests.support.memory_journal import MemoryJournal
from tests.support.order_machine import BTC, Machine
from tests.support.scripted_venue import CAPABILITIES, ScriptedVenue, accept_then, fail

NO_EXPIRY = msgspec.structs.replace(CAPABILITIES, request_expiry=False)
SLOW_TO_SHOW = msgspec.structs.replace(CAPABILITIES, visibility_lag_ms=30_000)


async def unknown_order(machine: Machine, *, executed: bool) -> None:
    lost = TimeoutError()
    machine.venue.script.append(accept_then(lost) if executed else fail(lost))
    assert (await machine.place("a")).is_unknown


async def test_an_order_that_executed_is_found_within_a_second() -> None:
    machine = Machine()
    await unknown_order(machine, executed=True)
    await machine.reconcile_for(1)
    row = await machine.row("a")
    assert (row.state, row.venue_order_id, row.next_check_ms) == (OrderState.WORKING, "ord_1", None)


async def test_an_order_that_never_arrived_is_proved_absent_only_after_it_can_no_longer_be_accepted() -> None:
    machine = Machine()
    await unknown_order(machine, executed=False)
    await machine.reconcile_for(11)
    assert (await machine.row("a")).state is OrderState.UNKNOWN
    await machine.reconcile_for(10)
    row = await machine.row("a")
    assert row.state is OrderState.NOT_PLACED
    assert row.negatives >= 3
    placed = await machine.place("a")
    assert isinstance(placed.failure, ExchangeError)
    assert (placed.failure.details or {})["reason"] == "NOT_PLACED"
    assert len(machine.venue.sent) == 1


async def test_it_is_decided_by_the_time_that_the_caller_was_told() -> None:
    for capabilities in (CAPABILITIES, SLOW_TO_SHOW):
        machine = Machine(ScriptedVenue(capabilities))
        machine.venue.script.append(fail(TimeoutError()))
        final_by_ms = (await machine.place("a")).final_by_ms or 0
        await machine.reconcile_for((final_by_ms - machine.clock.now_ms()) / 1000)
        assert (await machine.row("a")).state is OrderState.NOT_PLACED


async def test_a_failed_lookup_is_not_a_not_found() -> None:
    machine = Machine()
    await unknown_order(machine, executed=False)
    machine.venue.lookup_failure = VenueUnclear(Reason.VENUE_UNREACHABLE, "the name could not be resolved")
    await machine.reconcile_for(120)
    row = await machine.row("a")
    assert (row.state, row.negatives) == (OrderState.UNKNOWN, 0)
    assert row.checks > 3


async def test_lookups_of_a_dead_venue_become_rare() -> None:
    machine = Machine()
    await unknown_order(machine, executed=False)
    machine.venue.lookup_failure = TimeoutError()
    await machine.reconcile_for(600)
    assert machine.venue.lookups < 40


async def test_an_order_that_the_venue_shows_late_is_not_declared_absent() -> None:
    machine = Machine(ScriptedVenue(SLOW_TO_SHOW))
    machine.venue.hidden = True
    await unknown_order(machine, executed=True)
    await machine.reconcile_for(38)
    machine.venue.hidden = False
    await machine.reconcile_for(10)
    assert (await machine.row("a")).state is OrderState.WORKING


async def test_a_venue_without_request_expiry_is_never_decided_automatically() -> None:
    machine = Machine(ScriptedVenue(NO_EXPIRY))
    await unknown_order(machine, executed=False)
    await machine.reconcile_for(3600, step_s=30)
    assert (await machine.row("a")).state is OrderState.UNKNOWN
    await machine.reconcile_for(24 * 3600, step_s=300)
    assert (await machine.row("a")).state is OrderState.NEEDS_OPERATOR


async def test_an_execution_after_proved_absence_is_kept_as_what_it_is() -> None:
    machine = Machine()
    machine.venue.hidden = True
    await unknown_order(machine, executed=True)
    await machine.reconcile_for(30)
    assert (await machine.row("a")).state is OrderState.NOT_PLACED
    machine.venue.hidden = False
    await machine.reconcile_for(90)
    assert (await machine.row("a")).state is OrderState.LATE_EXECUTION


async def test_what_a_crashed_node_was_sending_is_looked_up_by_another() -> None:
    journal, venue, clock = MemoryJournal(), ScriptedVenue(), ManualClock()
    first = Machine(venue, journal, clock, owner="node-1")

    def die(venue, submission):  # type: ignore[no-untyped-def]
        venue.execute(submission)
        journal.broken = True
        raise SystemError("killed")

    venue.script.append(die)
    await first.place("a")
    journal.broken = False
    second = Machine(venue, journal, clock, owner="node-2")
    await second.reconciler.start()
    await second.reconcile_for(20)
    row = await second.row("a")
    assert (row.state, row.owner) == (OrderState.WORKING, "node-2")
    assert len(venue.orders) == 1


async def test_a_node_that_wakes_up_late_cannot_overrule_the_one_that_took_over() -> None:
    journal, venue, clock = MemoryJournal(), ScriptedVenue(), ManualClock()
    first, second = Machine(venue, journal, clock, "node-1"), Machine(venue, journal, clock, "node-2")

    def stall(venue, submission):  # type: ignore[no-untyped-def]
        venue.execute(submission, OrderStatus.OPEN)
        clock.advance(60)
        raise TimeoutError

    async def take_over() -> None:
        await second.reconcile_for(1)

    venue.script.append(stall)
    original = journal.change
    taken: list[bool] = []

    async def change(*args, **kwargs):  # type: ignore[no-untyped-def]
        if not taken:
            taken.append(True)
            await take_over()
        return await original(*args, **kwargs)

    journal.change = change  # type: ignore[method-assign]
    placed = await first.place("a")
    assert placed.state is OrderState.WORKING
    assert (await first.row("a")).owner == "node-2"


async def test_a_cancel_of_an_unknown_order_is_kept_and_carried_out_when_it_is_found() -> None:
    machine = Machine()
    machine.venue.hidden = True
    await unknown_order(machine, executed=True)
    canceled = await machine.desk.cancel(machine.call(), order_id=None, client_order_id="a")
    assert canceled.pending
    machine.venue.hidden = False
    await machine.reconcile_for(10)
    assert (await machine.row("a")).state is OrderState.CANCELED


async def test_a_kept_cancel_that_fails_is_tried_again() -> None:
    machine = Machine()
    machine.venue.hidden = True
    await unknown_order(machine, executed=True)
    await machine.desk.cancel(machine.call(), order_id=None, client_order_id="a")
    machine.venue.hidden, machine.venue.cancel_failure = False, TimeoutError()
    await machine.reconcile_for(10)
    assert (await machine.row("a")).state is OrderState.WORKING
    machine.venue.cancel_failure = None
    await machine.reconcile_for(40)
    assert (await machine.row("a")).state is OrderState.CANCELED


async def test_canceling_everything_reaches_orders_in_doubt_too() -> None:
    machine = Machine()
    machine.venue.hidden = True
    await unknown_order(machine, executed=True)
    assert await machine.desk.cancel_undecided(machine.call(), BTC) == ["a"]
    machine.venue.hidden = False
    await machine.reconcile_for(10)
    assert (await machine.row("a")).state is OrderState.CANCELED


async def test_an_order_in_doubt_is_counted_until_it_is_decided() -> None:
    machine = Machine()
    await unknown_order(machine, executed=True)
    assert machine.ledger.undecided_total() == 1
    await machine.reconcile_for(1)
    assert machine.ledger.undecided_total() == 0


async def test_a_node_that_is_alone_does_not_wait_for_the_leases_of_the_one_that_died() -> None:
    journal, venue, clock = MemoryJournal(), ScriptedVenue(), ManualClock()
    first = Machine(venue, journal, clock, owner="before")
    venue.script.append(accept_then(SystemError("killed")))
    journal.change_fails = True
    await first.place("a")
    journal.change_fails = False
    second = Machine(venue, journal, clock, owner="after", alone=True)
    await second.reconciler.run_once()
    assert (await second.row("a")).state is OrderState.WORKING


class Silent(ScriptedVenue):
    """Never says what its markets are."""

    async def markets(self, network: Network) -> Markets:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")


async def test_a_silent_venue_does_not_keep_the_orders_of_another_from_being_found() -> None:
    machine = Machine()
    await unknown_order(machine, executed=True)
    row = await machine.row("a")
    for number in range(200):
        machine.journal.rows[f"silent-{number}"] = msgspec.structs.replace(
            row, order_key=f"silent-{number}", exchange="silent", next_check_ms=0
        )
    machine.reconciler = machine.reconciler_of({"scripted": machine.venue, "silent": Silent()})
    machine.clock.advance(1)
    running = asyncio.create_task(machine.reconciler.run())
    async with asyncio.timeout(5):
        while (await machine.row("a")).state is OrderState.UNKNOWN:  # noqa: ASYNC110 - its clock stands still
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running})
