"""The parts of the shared limiter, each by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import pytest

from gateway.shared_limits.breaker import Breaker
from gateway.shared_limits.day_counts import DayCounts, day_name
from gateway.shared_limits.gatherer import Gatherer
from gateway.shared_limits.live_workers import LiveWorkers
from gateway.shared_limits.shared_time import SharedTime
from storage.ports import Beat, StorageUnavailable
from tests.support.manual_clock import START_MS, ManualClock
from tests.support.memory_directory import MemoryUsage

# The gatherer.


class Asked:
    def __init__(self) -> None:
        self.batches: list[Sequence[int]] = []
        self.failing: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, questions: Sequence[int]) -> Sequence[int]:
        self.batches.append(questions)
        await self.gate.wait()
        if self.failing is not None:
            raise self.failing
        return [-question for question in questions]


async def test_what_is_asked_for_meanwhile_is_asked_about_together() -> None:
    asked = Asked()
    gatherer = Gatherer(asked, at_most=4)
    asked.gate.clear()
    first = [asyncio.create_task(gatherer.get(number)) for number in (1, 2)]
    await asyncio.sleep(0.001)
    later = [asyncio.create_task(gatherer.get(number)) for number in range(3, 10)]
    await asyncio.sleep(0.001)
    asked.gate.set()
    assert await asyncio.gather(*first, *later) == [-number for number in range(1, 10)]
    assert asked.batches == [[1, 2], [3, 4, 5, 6], [7, 8, 9]]
    await gatherer.idle()


@pytest.mark.parametrize("failure", [StorageUnavailable("lost", "wait"), RuntimeError("a mistake of ours")])
async def test_a_failure_answers_those_who_wait_behind_it_and_the_next_is_asked_anew(failure: Exception) -> None:
    asked = Asked()
    gatherer = Gatherer(asked, at_most=4)
    asked.gate.clear()
    asked.failing = failure
    waiting = [asyncio.create_task(gatherer.get(number)) for number in range(9)]
    await asyncio.sleep(0.001)
    asked.gate.set()
    assert await asyncio.gather(*waiting) == [None] * 9
    assert len(asked.batches) == 1
    asked.failing = None
    assert await gatherer.get(7) == -7


# The breaker.


def test_three_failures_within_a_second_are_too_many_whatever_lies_between() -> None:
    clock = ManualClock()
    breaker = Breaker(clock.monotonic)
    told = []
    for _ in range(3):
        told.append(breaker.failed())
        breaker.succeeded()
        clock.advance(0.45)
    assert told == [False, False, True]


def test_failures_further_apart_are_not_if_one_succeeded_between() -> None:
    clock = ManualClock()
    breaker = Breaker(clock.monotonic)
    for _ in range(10):
        assert not breaker.failed()
        assert breaker.is_wary
        breaker.succeeded()
        clock.advance(0.6)
    assert not breaker.is_wary


def test_three_in_a_row_are_too_many_however_far_apart() -> None:
    clock = ManualClock()
    breaker = Breaker(clock.monotonic)
    told = []
    for _ in range(3):
        told.append(breaker.failed())
        clock.advance(100)
    assert told == [False, False, True]


def test_closed_again_it_has_forgotten() -> None:
    breaker = Breaker(ManualClock().monotonic)
    breaker.failed()
    breaker.open(7)
    breaker.open(8)
    breaker.close()
    assert (breaker.is_open, breaker.returns_at, breaker.is_wary) == (False, None, False)
    assert (breaker.times_opened, breaker.failures) == (1, 1)
    assert [breaker.failed(), breaker.failed()] == [False, False]


# The clock that all share.


def test_shared_time_follows_what_was_heard_and_the_monotonic_clock() -> None:
    clock = ManualClock()
    time = SharedTime(clock)
    assert time.now_ms() == START_MS
    clock.jump(1_000)
    clock.advance(1.5)
    assert time.now_ms() == START_MS + 1_500
    time.heard(5_000)
    clock.advance(0.25)
    assert time.now_ms() == 5_250


# How many workers there are.


class MemoryBeats:
    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.unavailable = False

    async def beat(self, worker_id: str, at_ms: int, *, slots: int) -> Beat:
        if self.unavailable:
            raise StorageUnavailable("gone", "wait")
        self.numbers[worker_id] = self.numbers.get(worker_id, -1) + 1
        return Beat(dict(self.numbers), list(self.numbers).index(worker_id))

    async def remove(self, worker_ids: Collection[str]) -> None:
        if self.unavailable:
            raise StorageUnavailable("gone", "wait")
        for worker_id in worker_ids:
            self.numbers.pop(worker_id, None)


async def test_workers_count_from_their_first_beat_to_their_third_missed() -> None:
    store, clock = MemoryBeats(), ManualClock()
    a, b = LiveWorkers(store, "a", clock, slots=8), LiveWorkers(store, "b", clock, slots=8)
    assert a.count == 1
    await a.beat()
    await b.beat()
    await a.beat()
    assert (a.count, b.count) == (2, 2)
    counts = []
    for _ in range(4):
        await a.beat()
        counts.append(a.count)
    assert counts == [2, 2, 1, 1]
    await b.beat()
    await a.beat()
    assert a.count == 2


async def test_one_that_is_gone_for_a_minute_is_removed_and_one_that_leaves_at_once() -> None:
    store, clock = MemoryBeats(), ManualClock()
    a, b, c = (LiveWorkers(store, name, clock, slots=8) for name in "abc")
    await b.beat()
    await c.beat()
    await a.beat()
    await c.leave()
    for _ in range(12):
        await a.beat()
    assert store.numbers == {"a": 12}


async def test_a_silence_of_the_store_kills_nobody() -> None:
    store, clock = MemoryBeats(), ManualClock()
    a, b = LiveWorkers(store, "a", clock, slots=8), LiveWorkers(store, "b", clock, slots=8)
    await b.beat()
    await a.beat()
    store.unavailable = True
    for _ in range(50):
        clock.advance(5)
        await a.beat()
    assert a.count == 2
    store.unavailable = False
    await a.beat()
    assert a.count == 2
    await a.leave()


async def test_a_slot_is_held_only_while_nobody_can_have_given_it_away() -> None:
    store, clock = MemoryBeats(), ManualClock()
    a, b = LiveWorkers(store, "a", clock, slots=8), LiveWorkers(store, "b", clock, slots=8)
    slots = [b.slot]
    await a.beat()
    await b.beat()
    slots += [a.slot, b.slot]
    store.unavailable = True
    for seconds in (29, 1):
        clock.advance(seconds)
        await b.beat()
        slots.append(b.slot)
    store.unavailable = False
    await b.beat()
    assert [*slots, b.slot] == [None, 0, 1, 1, None, 1]


# Each day's usage on its way.


async def test_counts_of_two_days_are_stored_under_their_days_and_kept_when_they_cannot_be() -> None:
    store = MemoryUsage()
    counts = DayCounts(store, ManualClock())
    counts.add(20_000, "a", 2)
    counts.add(20_001, "a", 3)
    counts.add(20_001, "b", 1)
    store.unavailable = True
    await counts.flush()
    counts.add(20_000, "a", 1)
    store.unavailable = False
    await counts.close()
    assert store.days == {day_name(20_000): {"a": 3}, day_name(20_001): {"a": 3, "b": 1}}
    assert day_name(20_000) == "2024-10-04"
