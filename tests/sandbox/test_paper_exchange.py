from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from normalization.orders import Limit, Market, Order, OrderIntent, OrderStatus, Side
from normalization.venue_failures import (
    Reason,
    VenueDeferred,
    VenueFailure,
    VenueNotReached,
    VenueRejected,
    VenueUnclear,
)
from sandbox.engine import Engine, NewOrder
from sandbox.exchange import PaperExchange
from sandbox.faults import Fault, Faults, Request, parse_rates
from tests.sandbox.trading import START_MS

BTC = "BTC-USD-PERP"


class Clock:
    def __init__(self) -> None:
        self.ms = START_MS

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def exchange(clock: Clock) -> AsyncIterator[PaperExchange]:
    exchange = PaperExchange(seed=7, path=None, now_ms=clock)
    await exchange.open_account("ann", Decimal(100_000))
    yield exchange
    await exchange.close()


def new_order(
    client_id: str | None = "x", *, size: str = "0.01", price: int | None = None, symbol: str = BTC
) -> NewOrder:
    execution = Market() if price is None else Limit(price=Decimal(price))
    return NewOrder(
        intent=OrderIntent(symbol=symbol, side=Side.BUY, size=Decimal(size), execution=execution), client_id=client_id
    )


async def place(exchange: PaperExchange, client_id: str = "x", *, price: int | None = None) -> Order:
    (result,) = await exchange.place("ann", [new_order(client_id, price=price)])
    if isinstance(result, VenueFailure):
        raise result
    return result


async def position(exchange: PaperExchange) -> Decimal:
    return await exchange.read(lambda engine: engine.markets[BTC].size(engine.account("ann").lots(BTC)))


async def test_an_order_is_placed_found_and_canceled(exchange: PaperExchange) -> None:
    order = await place(exchange, price=50_000)
    assert order.status is OrderStatus.OPEN
    assert await exchange.find_order("ann", "x") == order
    assert await exchange.get_order("ann", order.order_id) == order
    assert await exchange.open_orders("ann") == [order]
    assert await exchange.open_orders("ann", "ETH-USD-PERP") == []
    await exchange.cancel("ann", order.order_id)
    found = await exchange.find_order("ann", "x")
    assert found is not None
    assert found.status is OrderStatus.CANCELED


async def test_what_does_not_exist_is_not_found(exchange: PaperExchange) -> None:
    assert await exchange.find_order("ann", "x") is None
    assert await exchange.get_order("ann", "ord_1") is None
    for cancel in (exchange.cancel("ann", "ord_1"), exchange.cancel_by_client_id("ann", "x")):
        with pytest.raises(VenueRejected) as refused:
            await cancel
        assert refused.value.reason is Reason.ORDER_NOT_FOUND


async def test_an_account_is_funded_once(exchange: PaperExchange) -> None:
    await exchange.open_account("ann", Decimal(5))
    assert (await exchange.read(lambda engine: engine.account("ann").cash)) == 100_000


async def test_commands_that_wait_share_one_commit(tmp_path: Path) -> None:
    reads = iter(range(10**6))
    exchange = PaperExchange(seed=7, path=tmp_path / "paper.db", now_ms=lambda: START_MS + next(reads))
    await exchange.open_account("ann", Decimal(100_000))
    busy, release = threading.Event(), threading.Event()

    def block(engine: Engine) -> None:
        busy.set()
        release.wait(10)

    blocking = asyncio.create_task(exchange.read(block))
    await asyncio.to_thread(busy.wait, 10)
    placing = [asyncio.create_task(place(exchange, str(number), price=50_000)) for number in range(20)]
    await asyncio.sleep(0)
    release.set()
    orders = await asyncio.gather(*placing)
    await blocking
    # The clock moves with every look at it, and it is looked at once per commit.
    assert len({order.created_at_ms for order in orders}) == 1
    assert len({order.order_id for order in orders}) == 20
    await exchange.close()


async def test_a_caller_that_goes_away_changes_nothing(exchange: PaperExchange) -> None:
    placing = asyncio.create_task(place(exchange))
    await asyncio.sleep(0)
    placing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await placing
    found = await exchange.find_order("ann", "x")
    assert found is not None
    assert found.status is OrderStatus.FILLED


async def test_a_closed_exchange_says_so(exchange: PaperExchange) -> None:
    await exchange.close()
    await exchange.close()
    with pytest.raises(VenueNotReached):
        await place(exchange)


async def test_a_file_that_cannot_be_opened_is_tried_again_with_every_call(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "later" / "paper.db"
    exchange = PaperExchange(seed=7, path=path, now_ms=clock)
    with pytest.raises(VenueNotReached):
        await exchange.start()
    path.parent.mkdir()
    await exchange.start()
    await exchange.close()


@pytest.mark.parametrize(
    ("fault", "failure", "reason"),
    [
        (Fault.DISCONNECT_BEFORE, VenueNotReached, Reason.VENUE_UNREACHABLE),
        (Fault.RATE_LIMIT, VenueDeferred, Reason.VENUE_RATE_LIMITED),
        (Fault.REJECT, VenueRejected, Reason.OTHER),
    ],
)
async def test_some_faults_keep_the_order_from_ever_being_placed(
    exchange: PaperExchange, fault: Fault, failure: type[VenueFailure], reason: Reason
) -> None:
    exchange.faults.inject("ann", fault)
    with pytest.raises(failure) as failed:
        await place(exchange)
    assert failed.value.reason is reason
    assert await exchange.find_order("ann", "x") is None
    assert await position(exchange) == 0
    assert (await place(exchange)).status is OrderStatus.FILLED


@pytest.mark.parametrize(
    ("fault", "failure"), [(Fault.TIMEOUT_AFTER_ACCEPT, TimeoutError), (Fault.DISCONNECT_AFTER, VenueUnclear)]
)
async def test_some_faults_lose_the_answer_of_an_order_that_was_placed(
    exchange: PaperExchange, fault: Fault, failure: type[Exception]
) -> None:
    exchange.faults.inject("ann", fault, times=2)
    for client_id in ("x", "y"):
        with pytest.raises(failure):
            await place(exchange, client_id)
        found = await exchange.find_order("ann", client_id)
        assert found is not None
        assert found.status is OrderStatus.FILLED
    assert await position(exchange) == Decimal("0.02")
    await place(exchange, "z")


async def test_a_cancel_can_lose_its_answer_too(exchange: PaperExchange) -> None:
    order = await place(exchange, price=50_000)
    exchange.faults.inject("ann", Fault.TIMEOUT_AFTER_ACCEPT, on=Request.CANCEL)
    with pytest.raises(TimeoutError):
        await exchange.cancel("ann", order.order_id)
    with pytest.raises(VenueRejected) as refused:
        await exchange.cancel("ann", order.order_id)
    assert refused.value.reason is Reason.ORDER_ALREADY_CLOSED


async def test_half_of_an_order_fills_on_a_partial_fill(exchange: PaperExchange) -> None:
    exchange.faults.inject("ann", Fault.PARTIAL_FILL)
    order = await place(exchange)
    assert (order.filled_size, order.size) == (Decimal("0.005"), Decimal("0.01"))
    assert order.status is OrderStatus.CANCELED


async def test_a_slow_answer_comes_when_it_is_let(exchange: PaperExchange) -> None:
    until = asyncio.Event()
    exchange.faults.inject("ann", Fault.SLOW, until=until)
    placing = asyncio.create_task(place(exchange))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await exchange.find_order("ann", "x") is not None
        assert not placing.done()
        until.set()
        assert (await placing).status is OrderStatus.FILLED


async def test_a_slow_answer_by_rate_takes_as_long_as_the_exchange_says(clock: Clock) -> None:
    waits: list[str] = []

    async def slowly() -> None:
        waits.append("waited")

    exchange = PaperExchange(seed=7, path=None, now_ms=clock, slowly=slowly)
    await exchange.open_account("ann", Decimal(100_000))
    exchange.faults.set_rates("ann", {Fault.SLOW: 1.0})
    await place(exchange)
    assert waits == ["waited"]
    await exchange.close()


async def test_a_lookup_that_fails_is_not_a_lookup_that_finds_nothing(exchange: PaperExchange) -> None:
    order = await place(exchange)
    exchange.faults.inject("ann", Fault.LOOKUP_ERROR, times=2)
    with pytest.raises(VenueUnclear):
        await exchange.find_order("ann", "x")
    with pytest.raises(VenueUnclear):
        await exchange.get_order("ann", order.order_id)
    assert await exchange.find_order("ann", "x") == order


async def test_an_order_can_take_its_time_to_show(exchange: PaperExchange, clock: Clock) -> None:
    exchange.faults.inject("ann", Fault.LATE_VISIBILITY, delay_ms=2_000)
    order = await place(exchange, price=50_000)
    clock.ms += 1_999
    assert await exchange.find_order("ann", "x") is None
    assert await exchange.get_order("ann", order.order_id) is None
    assert await exchange.open_orders("ann") == []
    clock.ms += 1
    assert await exchange.find_order("ann", "x") == order
    assert await exchange.open_orders("ann") == [order]


async def test_a_fault_meets_only_the_account_it_was_meant_for(exchange: PaperExchange) -> None:
    await exchange.open_account("bob", Decimal(100_000))
    exchange.faults.inject("bob", Fault.REJECT)
    await place(exchange)
    with pytest.raises(VenueRejected):
        await exchange.place("bob", [new_order()])


async def test_a_fault_meets_a_batch_as_a_whole(exchange: PaperExchange) -> None:
    exchange.faults.inject("ann", Fault.TIMEOUT_AFTER_ACCEPT)
    with pytest.raises(TimeoutError):
        await exchange.place("ann", [new_order("x"), new_order("y", symbol="ETH-USD-PERP")])
    assert await exchange.find_order("ann", "x") is not None
    assert await exchange.find_order("ann", "y") is not None


def test_rates_are_met_over_many_orders_and_the_same_in_every_run() -> None:
    def run() -> list[Fault | None]:
        faults = Faults()
        faults.set_rates("ann", parse_rates("reject=0.2, timeout_after_accept=0.1"))
        drawn = (faults.draw("ann", Request.PLACE, f"order-{number}") for number in range(2_000))
        return [None if injected is None else injected.fault for injected in drawn]

    first = run()
    assert first == run()
    assert 0.16 < first.count(Fault.REJECT) / 2_000 < 0.24
    assert 0.05 < first.count(Fault.TIMEOUT_AFTER_ACCEPT) / 2_000 < 0.11


def test_the_same_order_sent_again_rolls_again() -> None:
    faults = Faults()
    faults.set_rates("ann", {Fault.DISCONNECT_BEFORE: 0.5})
    assert len({faults.draw("ann", Request.PLACE, "x") is None for _ in range(50)}) == 2


def test_rates_of_placements_leave_lookups_and_cancels_alone() -> None:
    faults = Faults()
    faults.set_rates("ann", {Fault.REJECT: 1.0})
    assert faults.draw("ann", Request.LOOKUP, "x") is None
    assert faults.draw("ann", Request.CANCEL, "x") is None
    faults.set_rates("ann", {Fault.LOOKUP_ERROR: 1.0})
    assert faults.draw("ann", Request.PLACE, "x") is None
    assert faults.draw("ann", Request.LOOKUP, "x") is not None


@pytest.mark.parametrize("text", ["nope=0.1", "reject", "reject=", "reject=2", "reject=-0.1", "reject=nan", "=0.5"])
def test_rates_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"there is no fault|needs a rate"):
        parse_rates(text)


def test_no_rates_are_no_faults() -> None:
    assert parse_rates("") == parse_rates(" , ") == {}
