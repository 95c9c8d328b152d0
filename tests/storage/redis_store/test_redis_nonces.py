"""Nonces of signers that several workers sign for, with a real Redis and without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.ccxt_venues.shared_nonces import OWN, PERIOD, SHARED, SharedNonces
from normalization.venue_failures import VenueNotReached
from storage.redis_store.nonces import RedisNonces
from storage.redis_store.servers import server_at
from tests.support.manual_clock import START_MS
from tests.support.redis_clock import TEST_TIME, RedisClock
from tests.support.redis_server import RedisProcess


class Signing:
    """Workers that sign for the same signers. Each can be cut off."""

    def __init__(self, server: RedisProcess, count: int) -> None:
        self.clock = RedisClock(server)
        redis = server_at(server.address, answer_within_s=5.0)
        self.close = redis.close
        self.allocator = RedisNonces(redis, period=PERIOD, given=SHARED, clock=TEST_TIME)
        self.cut: set[int] = set()
        self.workers = [self._worker(number) for number in range(count)]

    def _worker(self, number: int) -> SharedNonces:
        async def ask(signer: str, above: int) -> int | None:
            return None if number in self.cut else await self.allocator.next(signer, above)

        return SharedNonces(self.clock.now_ms, ask=ask, slot=lambda: number)


@pytest.fixture
async def signing(redis_process: RedisProcess) -> AsyncIterator[Signing]:
    signing = Signing(redis_process, 3)
    yield signing
    await signing.close()


async def test_numbers_are_the_milliseconds_of_redis_and_rise_whoever_asks(signing: Signing) -> None:
    signing.clock.jump(-3_600)
    taken = [await worker.take("a") for worker in signing.workers * 3]
    assert taken == list(range(START_MS, START_MS + 9))
    signing.clock.advance(1.024)
    assert await signing.workers[2].take("a") == START_MS + 1_024
    assert await signing.workers[0].take("b") == START_MS + 1_024


async def test_a_clock_that_goes_back_repeats_nothing(signing: Signing) -> None:
    first = await signing.workers[0].take("a")
    signing.clock.set_redis(START_MS - 60_000)
    assert await signing.workers[1].take("a") == first + 1


async def test_a_wiped_redis_goes_on_above_what_the_worker_had(signing: Signing, redis_process: RedisProcess) -> None:
    first = [await signing.workers[0].take("a") for _ in range(3)][-1]
    redis_process.ask("FLUSHALL")
    signing.clock.put_back()
    assert await signing.workers[0].take("a") == first + 1


async def test_without_redis_every_worker_has_numbers_of_its_own(signing: Signing) -> None:
    await signing.workers[0].take("a")
    signing.cut = {0, 1, 2}
    taken = [await worker.take("a") for worker in signing.workers for _ in range(5)]
    assert len(set(taken)) == 15
    assert all(number % PERIOD >= SHARED for number in taken)
    assert all(abs(number - START_MS) < 6 * PERIOD for number in taken)


async def test_an_answer_that_comes_after_a_number_of_its_own_is_not_used(signing: Signing) -> None:
    worker = signing.workers[0]
    asked = asyncio.create_task(worker.take("a"))
    await asyncio.sleep(0)
    own = worker.next("a")
    assert await asked > own


async def test_a_worker_that_has_no_slot_signs_nothing_without_redis(signing: Signing) -> None:
    async def nothing(signer: str, above: int) -> int | None:
        return None

    nonces = SharedNonces(signing.clock.now_ms, ask=nothing, slot=lambda: None)
    with pytest.raises(VenueNotReached, match="nothing was sent"):
        await nonces.take("a")


async def test_signatures_at_the_same_time_have_different_numbers(signing: Signing) -> None:
    signing.cut = {2}
    taken = await asyncio.gather(*(worker.take("a") for worker in signing.workers for _ in range(40)))
    assert len(set(taken)) == 120


steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["take", "next"]), st.integers(0, 2)),
        st.tuples(st.sampled_from(["cut", "mend"]), st.integers(0, 2)),
        st.tuples(st.just("wait"), st.sampled_from([1, 7, 40, 1_000])),
        st.tuples(st.just("jump"), st.sampled_from([-5_000, -70, 70, 5_000])),
    ),
    max_size=80,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
async def test_no_number_is_given_twice_and_none_goes_back_whatever_fails(
    redis_process: RedisProcess, taken: list[tuple[str, int]]
) -> None:
    redis_process.ask("FLUSHALL")
    signing = Signing(redis_process, 3)
    given_out: list[list[int]] = [[], [], []]
    for kind, number in taken:
        match kind:
            case "take":
                given_out[number].append(await signing.workers[number].take("a"))
            case "next":
                given_out[number].append(signing.workers[number].next("a"))
            case "cut":
                signing.cut.add(number)
            case "mend":
                signing.cut.discard(number)
            case "wait":
                signing.clock.advance(number / 1000)
            case _:
                signing.clock.jump(number / 1000)
    together = [nonce for of_one in given_out for nonce in of_one]
    assert len(set(together)) == len(together)
    assert all(of_one == sorted(of_one) for of_one in given_out)
    await signing.close()


def test_every_worker_has_a_slot_in_the_period() -> None:
    assert SHARED + OWN == PERIOD
