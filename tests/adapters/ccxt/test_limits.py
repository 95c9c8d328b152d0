from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.ccxt_venues.limits import Budget, Priority
from adapters.ccxt_venues.nonces import Nonces
from normalization.venue_failures import Reason, VenueDeferred


class Time:
    """A clock that moves when somebody sleeps on it, or is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.now += seconds


def budget(time: Time, capacity: float = 60, period_s: float = 60) -> Budget:
    return Budget(capacity, period_s, monotonic=time.monotonic, sleep=time.sleep)


async def test_what_fits_does_not_wait() -> None:
    time = Time()
    await asyncio.gather(*(budget(time).take(1, Priority.PLACE) for _ in range(60)))
    assert time.now == 0


async def test_what_does_not_fit_waits_for_the_refill() -> None:
    time = Time()
    spent = budget(time)
    assert spent.try_take(60, Priority.PLACE)
    await spent.take(3, Priority.CANCEL)
    assert time.now == pytest.approx(3)


async def test_cancels_go_before_placements_and_placements_before_reads() -> None:
    time = Time()
    spent = budget(time, 600)
    assert spent.try_take(600, Priority.PLACE)
    served: list[str] = []

    async def ask(name: str, priority: Priority) -> None:
        await spent.take(2, priority)
        served.append(name)

    asked = [
        ("read", Priority.READ),
        ("place", Priority.PLACE),
        ("cancel", Priority.CANCEL),
        ("cancel 2", Priority.CANCEL),
    ]
    await asyncio.gather(*(ask(name, priority) for name, priority in asked))
    assert served == ["cancel", "cancel 2", "place", "read"]


async def test_reads_leave_a_second_of_the_budget_to_orders() -> None:
    spent = budget(Time(), 600)
    while spent.try_take(1, Priority.READ):
        pass
    assert not spent.try_take(1, Priority.READ)
    assert spent.try_take(10, Priority.PLACE)
    assert not spent.try_take(1, Priority.PLACE)


async def test_who_would_wait_too_long_is_told_at_once_and_nothing_is_taken() -> None:
    time = Time()
    spent = budget(time)
    assert spent.try_take(60, Priority.PLACE)
    with pytest.raises(VenueDeferred) as refused:
        await spent.take(5, Priority.PLACE)
    assert (refused.value.reason, refused.value.retry_after_s) == (Reason.VENUE_RATE_LIMITED, 5)
    assert time.now == 0
    await spent.take(5, Priority.CANCEL)


async def test_a_venue_that_says_stop_is_left_alone() -> None:
    time = Time()
    held = budget(time)
    held.hold(4)
    assert not held.has_to_spare()
    await held.take(1, Priority.CANCEL)
    assert time.now == pytest.approx(5)


async def test_who_gives_up_waiting_keeps_nobody_else_waiting() -> None:
    time = Time()
    spent = budget(time)
    assert spent.try_take(60, Priority.PLACE)
    gone = asyncio.create_task(spent.take(4, Priority.CANCEL))
    await asyncio.sleep(0)
    gone.cancel()
    await spent.take(1, Priority.CANCEL)
    assert time.now < 5


@given(weights=st.lists(st.integers(1, 20), max_size=30), gaps=st.lists(st.floats(0, 3), max_size=30))
@settings(max_examples=100, deadline=None)
def test_no_window_ever_sees_more_than_the_budget(weights: list[int], gaps: list[float]) -> None:
    time = Time()
    kept = budget(time, 60, 60)
    taken: list[tuple[float, int]] = []
    for weight, gap in zip(weights, gaps, strict=False):
        time.now += gap
        if kept.try_take(weight, Priority.PLACE):
            taken.append((time.now, weight))
    for start, _ in taken:
        inside = [weight for at, weight in taken if start <= at <= start + 1]
        assert sum(inside) <= 60 + 1 + 1e-6


def test_a_nonce_is_never_given_twice_to_a_signer() -> None:
    nonces = Nonces(lambda: 1_000)
    assert [nonces.next("a"), nonces.next("a"), nonces.next("b")] == [1_000, 1_001, 1_000]


@given(clock=st.lists(st.integers(1_000_000, 1_000_050), min_size=1, max_size=60), slots=st.integers(1, 8))
@settings(max_examples=100, deadline=None)
def test_processes_that_share_a_signer_never_share_a_nonce(clock: list[int], slots: int) -> None:
    times = iter(clock * slots)
    processes = [Nonces(lambda: next(times), slot=slot, slots=slots) for slot in range(slots)]
    given_out = [[process.next("a") for _ in clock] for process in processes]
    together = [nonce for nonces in given_out for nonce in nonces]
    assert len(together) == len(set(together))
    assert all(nonces == sorted(nonces) for nonces in given_out)
    assert max(together) <= max(clock) + slots * (len(clock) + 1)
