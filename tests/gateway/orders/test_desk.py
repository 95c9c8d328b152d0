from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest

from adapters.base import Grouping, Submission
from normalization.errors import ClientOrderIdConflict, ExchangeError, ServiceUnavailable
from normalization.orders import Market, Order, OrderStatus, Side, Stop, TakeProfit
from normalization.venue_failures import (
    Reason,
    VenueDeferred,
    VenueDuplicate,
    VenueNotReached,
    VenueRejected,
    VenueUnclear,
)
from storage.ports import JournalRow, OrderState, StorageUnavailable
from tests.support.manual_clock import ManualClock
from tests.support.memory_journal import MemoryJournal
from tests.support.order_machine import Machine, a_leg
from tests.support.scripted_venue import ScriptedVenue, accept, accept_then, fail


async def test_the_row_is_in_the_journal_before_the_venue_hears_of_the_order() -> None:
    machine = Machine()
    seen: list[OrderState] = []

    def look(venue: ScriptedVenue, submission: Submission) -> Order:
        seen.extend(row.state for row in machine.journal.rows.values())
        return venue.execute(submission)

    machine.venue.script.append(look)
    await machine.place()
    assert seen == [OrderState.SENDING]


async def test_an_accepted_order_is_answered_and_recorded_as_the_venue_told_it() -> None:
    machine = Machine()
    placed = await machine.place()
    assert placed.order is not None
    assert (placed.state, placed.order.order_id) == (OrderState.WORKING, "ord_1")
    assert (await machine.row()).venue_order_id == "ord_1"


async def test_nothing_is_sent_when_the_journal_cannot_take_it() -> None:
    machine = Machine()
    machine.journal.broken = True
    with pytest.raises(StorageUnavailable):
        await machine.place()
    assert machine.venue.sent == []


async def test_a_lost_record_of_the_outcome_still_answers_with_the_truth() -> None:
    machine = Machine()

    def break_journal(venue: ScriptedVenue, submission: Submission) -> Order:
        machine.journal.broken = True
        return venue.execute(submission)

    machine.venue.script.append(break_journal)
    placed = await machine.place()
    assert placed.order is not None
    machine.journal.broken = False
    assert (await machine.row()).state is OrderState.SENDING
    await machine.reconcile_for(20)
    assert (await machine.row()).state is OrderState.WORKING


async def test_the_same_id_with_the_same_parameters_is_placed_once_and_answered_twice() -> None:
    machine = Machine()
    first = await machine.place("a", size="0.10")
    second = await machine.place("a", size="0.1")
    assert len(machine.venue.sent) == 1
    assert (first.replayed, second.replayed) == (False, True)
    assert first.order == second.order


async def test_the_same_id_with_other_parameters_is_a_conflict() -> None:
    machine = Machine()
    await machine.place("a", size="0.1")
    with pytest.raises(ClientOrderIdConflict):
        await machine.place("a", size="0.2")
    assert len(machine.venue.sent) == 1


async def test_two_requests_with_one_id_at_the_same_moment_place_one_order() -> None:
    machine = Machine()
    machine.venue.gate = asyncio.Event()
    both = asyncio.gather(machine.place("a"), machine.place("a"))
    await machine.venue.arrived.wait()
    machine.venue.gate.set()
    first, second = await both
    assert len(machine.venue.sent) == 1
    assert first.order == second.order
    assert {first.replayed, second.replayed} == {False, True}


async def test_an_absent_id_is_minted_and_differs_every_time() -> None:
    machine = Machine()
    ids = {(await machine.place(None)).client_order_id for _ in range(3)}
    assert len(ids) == 3


async def test_a_caller_who_hangs_up_changes_nothing() -> None:
    machine = Machine()
    machine.venue.gate = asyncio.Event()
    caller = asyncio.create_task(machine.place("a"))
    await machine.venue.arrived.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    machine.venue.gate.set()
    assert await machine.supervisor.drain(5)
    assert (await machine.row("a")).state is OrderState.WORKING


async def test_a_refusal_is_told_with_its_reason_and_told_again_on_a_retry() -> None:
    machine = Machine()
    machine.venue.script.append(fail(VenueRejected(Reason.INSUFFICIENT_FUNDS, "not enough margin")))
    for replayed in (False, True):
        placed = await machine.place("a")
        assert placed.state is OrderState.REJECTED
        assert isinstance(placed.failure, ExchangeError)
        details = placed.failure.details or {}
        assert (details["outcome"], details["reason"]) == ("rejected", "INSUFFICIENT_FUNDS")
        assert details.get("replayed", False) is replayed
    assert len(machine.venue.sent) == 1


async def test_what_never_left_is_tried_twice_more_and_then_told_as_not_sent() -> None:
    machine = Machine()
    machine.venue.script.extend([fail(VenueNotReached(Reason.VENUE_UNREACHABLE, "connection refused"))] * 5)
    placed = await machine.place("a")
    assert len(machine.venue.sent) == 3
    assert placed.state is OrderState.NOT_SENT
    assert placed.failure is not None
    assert (placed.failure.details or {})["outcome"] == "not_sent"
    assert (placed.failure.details or {})["retryable"] is True


async def test_what_never_left_may_succeed_at_the_next_try() -> None:
    machine = Machine()
    machine.venue.script.extend([fail(VenueNotReached(Reason.VENUE_UNREACHABLE, "connection refused")), accept])
    placed = await machine.place("a")
    assert placed.state is OrderState.WORKING
    assert len(machine.venue.orders) == 1


async def test_what_was_refused_before_acceptance_is_sent_once_more() -> None:
    machine = Machine()
    machine.venue.script.extend([fail(VenueDeferred(Reason.VENUE_RATE_LIMITED, "slow down"))] * 3)
    placed = await machine.place("a")
    assert len(machine.venue.sent) == 2
    assert placed.state is OrderState.NOT_SENT


@pytest.mark.parametrize(
    "lost",
    [
        TimeoutError(),
        ConnectionResetError("peer"),
        VenueUnclear(Reason.OTHER, "html"),
        KeyError("result"),
        ValueError("truncated"),
    ],
    ids=repr,
)
async def test_every_answer_that_proves_nothing_is_unknown_and_never_sent_again(lost: Exception) -> None:
    machine = Machine()
    machine.venue.script.append(accept_then(lost))
    placed = await machine.place("a")
    assert placed.is_unknown
    assert placed.state is OrderState.UNKNOWN
    assert placed.final_by_ms is not None
    assert len(machine.venue.sent) == 1


async def test_a_venue_that_hangs_is_unknown_after_the_timeout() -> None:
    machine = Machine(timeout_s=0.01)
    machine.venue.gate = asyncio.Event()
    placed = await machine.place("a")
    assert placed.state is OrderState.UNKNOWN


async def test_an_acknowledgement_of_something_else_proves_nothing() -> None:
    machine = Machine()

    def mix_up(venue: ScriptedVenue, submission: Submission) -> Order:
        return msgspec.structs.replace(venue.execute(submission), side=Side.SELL)

    machine.venue.script.append(mix_up)
    assert (await machine.place("a")).state is OrderState.UNKNOWN


async def test_a_retry_of_an_unknown_order_finds_it_on_the_venue() -> None:
    machine = Machine()
    machine.venue.script.append(accept_then(TimeoutError()))
    assert (await machine.place("a")).is_unknown
    again = await machine.place("a")
    assert again.replayed
    assert again.order is not None
    assert len(machine.venue.sent) == 1


async def test_a_duplicate_id_at_the_venue_means_that_an_earlier_try_landed() -> None:
    machine = Machine()
    machine.venue.script.append(accept_then(VenueDuplicate(Reason.DUPLICATE_ORDER_ID, "duplicate")))
    placed = await machine.place("a")
    assert placed.order is not None
    assert placed.state is OrderState.WORKING


async def test_a_worker_that_stalled_between_commit_and_send_does_not_send() -> None:
    clock = ManualClock()
    machine = Machine(clock=clock, journal=StallingJournal(clock, 5.0))
    placed = await machine.place("a")
    assert machine.venue.sent == []
    assert placed.state is OrderState.NOT_SENT
    assert (await machine.row("a")).reason == Reason.SEND_DEADLINE_PASSED


async def test_a_market_order_waits_for_its_fill() -> None:
    machine = Machine()

    def fill_later(venue: ScriptedVenue, submission: Submission) -> Order:
        order = venue.execute(submission, OrderStatus.OPEN)
        venue.set_status(submission.client_id, OrderStatus.FILLED)
        return order

    machine.venue.script.append(fill_later)
    placed = await machine.place("a", execution=Market())
    assert placed.state is OrderState.FILLED


async def test_a_market_order_that_does_not_fill_is_answered_after_a_bounded_wait() -> None:
    machine = Machine()
    machine.venue.script.append(lambda venue, submission: venue.execute(submission, OrderStatus.OPEN))
    before = machine.clock.monotonic()
    placed = await machine.place("a", execution=Market())
    assert placed.state is OrderState.WORKING
    assert machine.clock.monotonic() - before <= 2.5


async def test_a_batch_answers_for_every_leg_in_order() -> None:
    machine = Machine()
    machine.venue.script.extend([accept, fail(VenueRejected(Reason.INSUFFICIENT_FUNDS, "no")), accept])
    placed = await machine.place_batch(a_leg("a"), a_leg("b"), a_leg("c"))
    assert [leg.state for leg in placed] == [OrderState.WORKING, OrderState.REJECTED, OrderState.WORKING]
    assert [leg.client_order_id for leg in placed] == ["a", "b", "c"]


async def test_a_batch_that_the_venue_answers_without_its_legs_is_unknown_in_all_of_them() -> None:
    machine = Machine()
    machine.venue.script.extend([accept, accept_then(ConnectionResetError())])
    placed = await machine.place_batch(a_leg("a"), a_leg("b"))
    assert [leg.state for leg in placed] == [OrderState.UNKNOWN, OrderState.UNKNOWN]
    await machine.reconcile_for(1)
    assert {(await machine.row(i)).state for i in "ab"} == {OrderState.WORKING}


async def test_a_repeated_batch_is_replayed_and_half_of_one_is_a_conflict() -> None:
    machine = Machine()
    await machine.place_batch(a_leg("a"), a_leg("b"))
    again = await machine.place_batch(a_leg("a"), a_leg("b"))
    assert [leg.replayed for leg in again] == [True, True]
    with pytest.raises(ClientOrderIdConflict):
        await machine.place_batch(a_leg("b"), a_leg("c"))
    assert len(machine.venue.sent) == 2


async def test_linked_legs_go_to_the_venue_together() -> None:
    machine = Machine()
    legs = (
        a_leg("tp", side=Side.SELL, execution=TakeProfit(trigger_price=Decimal(99000)), reduce_only=True),
        a_leg("sl", side=Side.SELL, execution=Stop(trigger_price=Decimal(90000)), reduce_only=True),
    )
    placed = await machine.place_batch(*legs, grouping=Grouping.ONE_CANCELS_OTHER)
    assert [leg.order.status for leg in placed if leg.order] == [OrderStatus.PENDING, OrderStatus.PENDING]


async def test_with_three_orders_in_doubt_a_credential_places_nothing_new() -> None:
    machine = Machine()
    machine.venue.hidden = True
    machine.venue.script.extend([accept_then(TimeoutError())] * 3)
    for name in "abc":
        assert (await machine.place(name)).is_unknown
    with pytest.raises(ServiceUnavailable):
        await machine.place("d")
    machine.venue.hidden = False
    await machine.reconcile_for(1)
    assert (await machine.place("d")).state is OrderState.WORKING
    assert len(machine.venue.sent) == 4


async def test_nothing_new_is_started_once_the_gateway_stops() -> None:
    machine = Machine()
    await machine.supervisor.drain(1)
    with pytest.raises(ServiceUnavailable):
        await machine.place("a")
    assert machine.venue.sent == []


class StallingJournal(MemoryJournal):
    """The process is stopped for a while right after the commit."""

    def __init__(self, clock: ManualClock, seconds: float) -> None:
        super().__init__()
        self._clock = clock
        self._seconds = seconds

    async def insert(self, rows: Sequence[JournalRow]) -> Sequence[JournalRow | None]:
        earlier = await super().insert(rows)
        self._clock.advance(self._seconds)
        return earlier


async def test_with_orders_in_doubt_a_position_can_still_be_reduced() -> None:
    machine = Machine()
    machine.venue.hidden = True
    machine.venue.script.extend([accept_then(TimeoutError())] * 3)
    for name in "abc":
        assert (await machine.place(name)).is_unknown
    placed = await machine.place("out", execution=Market(), side=Side.SELL, reduce_only=True)
    assert placed.state is OrderState.FILLED
