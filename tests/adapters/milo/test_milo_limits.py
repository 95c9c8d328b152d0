from __future__ import annotations

import pytest

from adapters.ccxt_venues.limits import MAX_WAIT_S, Priority
from adapters.milo.limits import MARGIN_S, WINDOW_S, Group, Paces, Window
from normalization.venue_failures import Reason, VenueDeferred
from sandbox.milo import limits as sandbox
from tests.support.manual_clock import ManualClock


def window(clock: ManualClock, limit: int = 3) -> Window:
    return Window("Orders create", limit, monotonic=clock.monotonic, sleep=clock.sleep)


def test_the_groups_are_the_references() -> None:
    ours = {group.title: group.limit for group in Group if group.limit is not None}
    theirs = {group.title: group.limit for group in sandbox.Group if group.per is not sandbox.Per.WALLET}
    assert ours == {title: limit for title, limit in theirs.items() if title != "Conversations (write)"}


async def test_no_more_leave_in_any_minute_than_the_limit_and_the_next_is_refused_with_its_time() -> None:
    clock = ManualClock()
    orders = window(clock)
    for _ in range(3):
        await orders.take(1, Priority.PLACE)
        clock.advance(10)
    with pytest.raises(VenueDeferred) as refused:
        await orders.take(1, Priority.PLACE)
    assert (refused.value.reason, refused.value.retry_after_s) == (Reason.VENUE_RATE_LIMITED, 31)
    clock.advance(30 + MARGIN_S)
    await orders.take(1, Priority.PLACE)
    with pytest.raises(VenueDeferred):
        await orders.take(1, Priority.PLACE)


async def test_what_is_nearly_due_waits_for_its_turn() -> None:
    clock = ManualClock()
    orders = window(clock, 1)
    await orders.take(1, Priority.READ)
    first = clock.monotonic()
    clock.advance(WINDOW_S + MARGIN_S - MAX_WAIT_S[Priority.READ])
    await orders.take(1, Priority.READ)
    assert clock.monotonic() == pytest.approx(first + WINDOW_S + MARGIN_S)


async def test_what_milo_found_too_much_stops_everything_for_as_long_as_it_says() -> None:
    clock = ManualClock()
    orders = window(clock)
    orders.hold(17)
    with pytest.raises(VenueDeferred) as refused:
        await orders.take(1, Priority.CANCEL)
    assert refused.value.retry_after_s == 17
    clock.advance(17)
    await orders.take(1, Priority.CANCEL)


async def test_keys_have_windows_of_their_own_and_sessions_of_one_key_share_them() -> None:
    clock = ManualClock()
    paces = Paces(monotonic=clock.monotonic, sleep=clock.sleep)
    (mine,) = paces.of("mine").of(Group.CLOSE_ALL)
    await mine.take(1, Priority.PLACE)
    assert paces.of("mine").of(Group.CLOSE_ALL) == (mine,)
    (other,) = paces.of("other").of(Group.CLOSE_ALL)
    await other.take(1, Priority.PLACE)
    assert paces.of("mine").of(Group.CONVERSATIONS_WRITE) == ()
