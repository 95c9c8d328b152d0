"""A venue in the owner process, beyond what every venue is expected to do (``tests/contract``)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

import pytest

from adapters.base import Capability, Grouping, Network, OpenCredential, Submission, VenueSession
from adapters.paper import PaperAdapter, unopened_paper
from gateway.workers.channel import Caller, serving
from gateway.workers.owned_venue import CALLS, OwnedSession, OwnedVenue, VenueOwner
from gateway.workers.seat import Sockets, sockets_for
from normalization.orders import Limit, Order, OrderIntent, Side
from normalization.venue_failures import VenueNotReached, VenueRejected, VenueUnclear
from sandbox.exchange import PaperExchange
from sandbox.faults import Fault
from tests.support.manual_clock import START_MS

CREDENTIAL = OpenCredential(
    credential_id="c-1", account_id="a-1", exchange="paper", network=Network.PAPER, secrets={"startingBalance": "5000"}
)


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    with sockets_for(()) as made:
        yield made


@pytest.fixture
async def exchange() -> AsyncIterator[PaperExchange]:
    made = PaperExchange(seed=7, path=None, now_ms=lambda: START_MS)
    yield made
    await made.close()


@pytest.fixture
async def worker(sockets: Sockets) -> AsyncIterator[OwnedVenue]:
    caller = Caller(sockets.owner_path)
    yield OwnedVenue(unopened_paper(), caller)
    caller.close()


async def submission(worker: OwnedVenue, client_id: str, *, size: str = "0.01") -> Submission:
    instrument = (await worker.markets(Network.PAPER)).resolve("BTC")
    intent = OrderIntent(
        symbol=instrument.symbol, side=Side.BUY, size=Decimal(size), execution=Limit(price=Decimal(50_000))
    )
    return Submission(intent=intent, instrument=instrument, client_id=client_id, valid_until_ms=START_MS + 10_000)


def owner_of(exchange: PaperExchange) -> VenueOwner:
    return VenueOwner(PaperAdapter(exchange))


def test_every_call_of_a_session_has_a_method() -> None:
    public = {name for name in vars(VenueSession) if not name.startswith("_")} - {"close"}
    assert set(CALLS) == public
    assert public <= set(vars(OwnedSession))
    assert unopened_paper().capabilities.supports == frozenset(Capability)


async def test_two_workers_see_one_exchange(sockets: Sockets, exchange: PaperExchange, worker: OwnedVenue) -> None:
    async with serving(sockets.owner.dup(), owner_of(exchange).handlers()):
        mine = await worker.open(CREDENTIAL)
        theirs = await OwnedVenue(unopened_paper(), Caller(sockets.owner_path)).open(CREDENTIAL)
        placed = await mine.place_order(await submission(worker, "1"))
        assert await theirs.find_order("1", (await worker.markets(Network.PAPER)).resolve("BTC")) == placed
        assert (await theirs.get_balance()).account_value == Decimal(5000)
        await theirs.cancel_order(placed.order_id, None)
        assert await mine.get_open_orders(None) == []


async def test_each_leg_of_a_batch_has_its_own_outcome(
    sockets: Sockets, exchange: PaperExchange, worker: OwnedVenue
) -> None:
    async with serving(sockets.owner.dup(), owner_of(exchange).handlers()):
        session = await worker.open(CREDENTIAL)
        legs = [await submission(worker, "1"), await submission(worker, "2", size="900")]
        placed, refused = await session.place_orders(legs, Grouping.NONE)
        assert isinstance(placed, Order)
        assert isinstance(refused, VenueRejected)


async def test_an_owner_that_was_started_again_opens_the_session_again(
    sockets: Sockets, exchange: PaperExchange, worker: OwnedVenue
) -> None:
    async with serving(sockets.owner.dup(), owner_of(exchange).handlers()):
        session = await worker.open(CREDENTIAL)
        await session.place_order(await submission(worker, "1"))
    with contextlib.suppress(VenueUnclear, VenueNotReached):
        await session.test()
    async with serving(sockets.owner.dup(), owner_of(exchange).handlers()):
        assert [order.client_id for order in await session.get_open_orders(None)] == ["1"]
        await session.place_order(await submission(worker, "2"))
        assert len(await session.get_open_orders(None)) == 2


async def test_without_the_owner_nothing_was_sent(worker: OwnedVenue, sockets: Sockets) -> None:
    sockets.owner_path.unlink()
    with pytest.raises(VenueNotReached):
        await worker.open(CREDENTIAL)
    with pytest.raises(VenueNotReached):
        await OwnedSession(CREDENTIAL, Caller(sockets.owner_path)).place_order(await submission(worker, "1"))


async def test_an_owner_that_dies_before_it_answers_leaves_doubt(
    sockets: Sockets, exchange: PaperExchange, worker: OwnedVenue
) -> None:
    held = asyncio.Event()
    async with serving(sockets.owner.dup(), owner_of(exchange).handlers()):
        session = await worker.open(CREDENTIAL)
        exchange.faults.inject("c-1", Fault.SLOW, until=held)
        placing = asyncio.create_task(session.place_order(await submission(worker, "1")))
        async with asyncio.timeout(5):
            while await exchange.find_order("c-1", "1") is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    with pytest.raises(VenueUnclear):
        await placing
    held.set()


async def test_a_timeout_that_the_exchange_was_told_to_have_is_one_here_too(
    sockets: Sockets, exchange: PaperExchange, worker: OwnedVenue
) -> None:
    async with serving(sockets.owner.dup(), owner_of(exchange).handlers()):
        session = await worker.open(CREDENTIAL)
        exchange.faults.inject("c-1", Fault.TIMEOUT_AFTER_ACCEPT)
        with pytest.raises(TimeoutError):
            await session.place_order(await submission(worker, "1"))
        assert await exchange.find_order("c-1", "1") is not None
