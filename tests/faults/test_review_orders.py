"""Ways in which an order could be doubled, forgotten or misreported, each found once and closed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from adapters.base import Network, Submission
from normalization.errors import ServiceUnavailable
from normalization.orders import Market, Order, OrderStatus
from normalization.resolver import Markets
from normalization.venue_failures import Reason, VenueNotReached, VenueRejected
from storage.ports import OrderState
from tests.support.manual_clock import ManualClock
from tests.support.memory_journal import MemoryJournal
from tests.support.order_machine import BTC, Machine
from tests.support.scripted_venue import CAPABILITIES, MARKETS, ScriptedVenue, accept_then, fail


async def three_in_doubt(machine: Machine, *, executed: bool = True) -> None:
    machine.venue.hidden = True
    for client_order_id in ("a", "b", "c"):
        machine.venue.script.append(accept_then(TimeoutError()) if executed else fail(TimeoutError()))
        await machine.place(client_order_id)


@contextlib.contextmanager
def passing_time() -> Iterator[Callable[[float], None]]:
    """The event loop's own time, to be moved forward: what waits for a deadline need not wait for real."""
    loop: Any = asyncio.get_running_loop()
    real, passed = loop.time, 0.0

    def let_pass(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    loop.time = lambda: real() + passed
    try:
        yield let_pass
    finally:
        del loop.time


async def left_by_a_dead_node(venue: ScriptedVenue, journal: MemoryJournal, clock: ManualClock, orders: int) -> None:
    first = Machine(venue, journal, clock, owner="before")
    venue.script.extend([fail(SystemError("killed"))] * orders)
    journal.change_fails = True
    for number in range(orders):
        await first.place(f"order-{number}")
    journal.change_fails = False


async def test_what_a_dead_node_left_is_looked_up_once_each_and_not_over_and_over() -> None:
    venue, journal, clock = ScriptedVenue(), MemoryJournal(), ManualClock()
    await left_by_a_dead_node(venue, journal, clock, orders=40)
    second = Machine(venue, journal, clock, owner="after", alone=True)
    await second.reconciler.start()
    for _ in range(20):
        await second.reconciler.run_once()
    assert venue.lookups == 40


async def test_a_node_that_takes_over_leaves_alone_what_it_is_sending_itself() -> None:
    venue, journal, clock = ScriptedVenue(), MemoryJournal(), ManualClock()
    await left_by_a_dead_node(venue, journal, clock, orders=2)
    second = Machine(venue, journal, clock, owner="after", alone=True)
    await second.reconciler.start()
    venue.gate = asyncio.Event()
    venue.arrived.clear()
    placing = asyncio.create_task(second.place("new"))
    await venue.arrived.wait()
    await second.reconciler.run_once()
    venue.gate.set()
    assert (await placing).state is OrderState.WORKING


async def test_a_late_look_at_what_was_proved_absent_does_not_come_early_because_of_a_restart() -> None:
    venue, journal, clock = ScriptedVenue(), MemoryJournal(), ManualClock()
    machine = Machine(venue, journal, clock)
    venue.script.append(fail(TimeoutError()))
    await machine.place("a")
    await machine.reconcile_for(16)
    assert (await machine.row("a")).state is OrderState.NOT_PLACED
    clock.advance(40)
    restarted = Machine(venue, journal, clock, owner="after", alone=True)
    await restarted.reconciler.start()
    lookups = venue.lookups
    await restarted.reconciler.run_once()
    assert venue.lookups == lookups
    await restarted.reconcile_for(70, step_s=5)
    assert venue.lookups == lookups + 1


async def test_reconciliation_goes_on_after_an_unforeseen_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    failed = asyncio.Event()

    async def claim(**_: object) -> None:
        failed.set()
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(machine.journal, "claim", claim)
    running = asyncio.create_task(machine.reconciler.run())
    await failed.wait()
    await asyncio.sleep(0)
    assert not running.done()
    running.cancel()


async def test_a_venue_that_hangs_while_its_markets_are_learnt_does_not_stop_reconciliation() -> None:
    machine = Machine()
    machine.venue.script.append(accept_then(TimeoutError()))
    await machine.place("a")
    asked = asyncio.Event()

    async def markets(network: Network) -> Markets:
        asked.set()
        await asyncio.Event().wait()
        return MARKETS

    machine.venue.markets = markets  # type: ignore[method-assign]
    machine.clock.advance(1)
    with passing_time() as let_pass:
        looking = asyncio.create_task(machine.reconciler.run_once())
        await asked.wait()
        let_pass(11)
        assert await asyncio.wait_for(looking, 5) == 1
    assert (await machine.row("a")).state is OrderState.UNKNOWN


async def test_a_retry_is_answered_even_while_too_much_is_in_doubt_to_place_anything_new() -> None:
    machine = Machine()
    await three_in_doubt(machine)
    with pytest.raises(ServiceUnavailable):
        await machine.place("d")
    machine.venue.hidden = False
    placed = await machine.place("a")
    assert (placed.replayed, placed.state) == (True, OrderState.WORKING)


async def test_waiting_for_doubt_to_pass_does_not_use_up_the_send_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()
    await three_in_doubt(machine)

    async def wait_for_fewer(credential_id: str, limit: int) -> bool:
        machine.clock.advance(1.5)
        return True

    monkeypatch.setattr(machine.ledger, "wait_for_fewer", wait_for_fewer)
    assert (await machine.place("d")).state is OrderState.WORKING


async def test_orders_that_another_node_found_do_not_hold_back_new_ones_here() -> None:
    venue, journal, clock = ScriptedVenue(), MemoryJournal(), ManualClock()
    here, there = Machine(venue, journal, clock, "node-1"), Machine(venue, journal, clock, "node-2")
    await three_in_doubt(here)
    venue.hidden = False
    await there.reconcile_for(2)
    assert (await here.place("d")).state is OrderState.WORKING


async def test_orders_that_wait_for_a_person_do_not_close_a_credential_for_ever() -> None:
    machine = Machine(ScriptedVenue(msgspec.structs.replace(CAPABILITIES, request_expiry=False)))
    await three_in_doubt(machine, executed=False)
    await machine.reconcile_for(25 * 3600, step_s=1800)
    assert (await machine.row("a")).state is OrderState.NEEDS_OPERATOR
    assert machine.ledger.undecided_total() == 3
    assert (await machine.place("d")).state is OrderState.WORKING


async def test_an_order_that_was_accepted_is_told_as_such_whatever_goes_wrong_in_waiting_for_its_fill() -> None:
    machine = Machine()
    machine.venue.script.append(lambda venue, submission: venue.execute(submission, OrderStatus.OPEN))
    machine.venue.lookup_failure = KeyError("a field that the venue left out")
    placed = await machine.place(None, execution=Market())
    assert placed.order is not None
    assert placed.state is OrderState.WORKING


async def test_an_order_is_counted_once_for_every_state_that_it_comes_to() -> None:
    machine = Machine()
    machine.venue.script.append(fail(TimeoutError()))
    await machine.place("a")
    await machine.reconcile_for(20)
    assert [row.state for row in machine.settled] == [OrderState.UNKNOWN, OrderState.NOT_PLACED]


async def test_a_rejection_that_is_found_later_does_not_say_that_the_venue_timed_out() -> None:
    machine = Machine()

    def reject_in_silence(venue: ScriptedVenue, submission: Submission) -> Order:
        venue.execute(submission, OrderStatus.REJECTED)
        raise TimeoutError

    machine.venue.script.append(reject_in_silence)
    await machine.place("a")
    await machine.reconcile_for(1)
    failure = (await machine.place("a")).failure
    assert failure is not None
    assert failure.details is not None
    assert (failure.details["outcome"], failure.details["reason"]) == ("rejected", "OTHER")
    assert not failure.details["retryable"]


async def test_a_cancel_that_was_kept_while_another_node_was_sending_is_carried_out() -> None:
    venue, journal, clock = ScriptedVenue(), MemoryJournal(), ManualClock()
    sending, canceling = Machine(venue, journal, clock, "node-1"), Machine(venue, journal, clock, "node-2")
    venue.gate = asyncio.Event()
    placing = asyncio.create_task(sending.place("a"))
    await venue.arrived.wait()
    assert (await canceling.desk.cancel(canceling.call(), order_id=None, client_order_id="a")).pending
    venue.gate.set()
    await placing
    await canceling.reconcile_for(2)
    assert (await canceling.row("a")).state is OrderState.CANCELED


async def test_a_cancel_of_an_order_that_is_found_at_that_moment_is_not_said_to_be_kept() -> None:
    machine = Machine()
    machine.venue.hidden = True
    machine.venue.script.append(accept_then(TimeoutError()))
    await machine.place("a")
    find = machine.venue.find_order

    async def find_nothing_and_then_be_found(client_id: str, instrument: Any) -> Order | None:
        found = await find(client_id, instrument)
        machine.venue.find_order, machine.venue.hidden = find, False  # type: ignore[method-assign]
        await machine.reconcile_for(1)
        machine.venue.cancel_failure = VenueNotReached(Reason.VENUE_UNREACHABLE, "connection refused")
        return found

    machine.venue.find_order = find_nothing_and_then_be_found  # type: ignore[method-assign]
    with pytest.raises(VenueNotReached):
        await machine.desk.cancel(machine.call(), order_id=None, client_order_id="a")
    machine.venue.cancel_failure = None
    assert not (await machine.desk.cancel(machine.call(), order_id=None, client_order_id="a")).pending


async def test_canceling_everything_lists_only_orders_whose_cancel_was_kept() -> None:
    machine = Machine()
    machine.venue.hidden = True
    machine.venue.script.append(accept_then(TimeoutError()))
    await machine.place("a")
    undecided = machine.journal.undecided

    async def undecided_and_then_found(credential_id: str) -> Any:
        rows = await undecided(credential_id)
        machine.venue.hidden = False
        await machine.reconcile_for(1)
        return rows

    machine.journal.undecided = undecided_and_then_found
    assert await machine.desk.cancel_undecided(machine.call(), BTC) == []


async def test_a_page_that_a_venue_sent_as_its_reason_is_cut() -> None:
    machine = Machine()
    machine.venue.script.append(fail(VenueRejected(Reason.OTHER, "<html>" * 20_000)))
    failure = (await machine.place("a")).failure
    assert failure is not None
    assert len(failure.message) < 400
