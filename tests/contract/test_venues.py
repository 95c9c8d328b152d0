"""What the gateway expects of every venue: of those that this machine can serve, and of the others' recorded words."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from adapters.base import (
    Adapter,
    Capability,
    FindsByLikeness,
    Grouping,
    Network,
    OpenCredential,
    Submission,
    VenueSession,
)
from adapters.milo.api import EXCHANGE as MILO
from adapters.paper import unopened_paper
from adapters.registry import VENUES, VenueContext, venue_of
from adapters.transport import Transport
from gateway.clock import SystemClock
from gateway.local_venues import served
from gateway.orders.client_ids import ClientIds
from gateway.workers.channel import Caller, serving
from gateway.workers.owned_venue import OwnedVenue, VenueOwner
from gateway.workers.seat import sockets_for
from normalization.decimals import ceil_to
from normalization.errors import UnsupportedOperation
from normalization.instruments import Instrument, InstrumentKind
from normalization.orders import (
    Execution,
    Limit,
    Market,
    Order,
    OrderIntent,
    OrderStatus,
    PositionSide,
    PostOnly,
    Side,
    Stop,
    TakeProfit,
    TimeInForce,
)
from normalization.venue_failures import Reason, VenueFailure, VenueRejected, VenueUnclear
from sandbox.wires.local import OPENERS
from tests.adapters.ccxt.recorded import RECORDED, WIRES
from tests.adapters.ccxt.recording_server import recording
from tests.support.milo_account import milo_account

OFFLINE = sorted(name for name, venue in VENUES.items() if Network.PAPER in venue.networks)
PAPER_OF_ANOTHER = "paper, in another process"
NOW_MS = 1_800_000_000_000
NUMBERED = {"dydx", "lighter", "grvt", "nado"}
"""Their client order ids are numbers, too small for a tag."""


class Bench:
    """One session on one venue, with the shorthand that the tests below share."""

    def __init__(self, adapter: Adapter, session: VenueSession, instrument: Instrument) -> None:
        self.adapter = adapter
        self.session = session
        self.instrument = instrument

    def submission(
        self, execution: Execution, *, side: Side = Side.BUY, size: Decimal, reduce_only: bool = False
    ) -> Submission:
        intent = OrderIntent(
            symbol=self.instrument.symbol,
            side=side,
            size=size,
            execution=execution,
            reduce_only=reduce_only,
        )
        return Submission(
            intent=intent,
            instrument=self.instrument,
            client_id=self.adapter.client_id(secrets.token_bytes(16)),
            valid_until_ms=NOW_MS + 10_000,
        )

    async def mark(self) -> Decimal:
        return (await self.session.get_mark_price(self.instrument)).mark_price

    async def away(self, side: Side) -> Decimal:
        """A price on the tick at which an order of that side rests."""
        factor = Decimal("0.9") if side is Side.BUY else Decimal("1.1")
        return self.instrument.round_down(await self.mark() * factor)

    async def sized(self, notional: int = 100) -> Decimal:
        return ceil_to(Decimal(notional) / await self.mark(), self.instrument.lot_size)

    async def filled(self, submission: Submission) -> Order:
        """As the venue tells it at once, or when it is asked again."""
        order = await self.session.place_order(submission)
        if order.status is OrderStatus.OPEN:
            return await self.session.get_order(order.order_id, self.instrument)
        return order

    @property
    def keeps_client_ids(self) -> bool:
        return not isinstance(self.session, FindsByLikeness)

    async def resting(self, side: Side = Side.BUY, size: Decimal | None = None) -> Submission:
        price = await self.away(side)
        execution = PostOnly(price=price) if self.adapter.capabilities.post_only else Limit(price=price)
        return self.submission(execution, side=side, size=size or await self.sized())

    async def rest(self, side: Side = Side.BUY) -> tuple[Submission, Order]:
        submission = await self.resting(side)
        return submission, await self.session.place_order(submission)


class NoonClock(SystemClock):
    """The wall clock stands; deadlines run."""

    def now_ms(self) -> int:
        return NOW_MS


@pytest.fixture(params=[*OFFLINE, PAPER_OF_ANOTHER, *RECORDED])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    exchange: str = request.param.partition(",")[0]
    clock = NoonClock()
    async with contextlib.AsyncExitStack() as stack:
        urls: dict[str, str] = {}
        fields: dict[str, str] = {}
        venue = VENUES[exchange]
        if exchange == MILO:
            urls[exchange], fields = await stack.enter_async_context(milo_account(clock.now_ms))
        elif exchange in OPENERS:
            local = OPENERS[exchange](tmp_path, clock.now_ms)
            urls[exchange] = await stack.enter_async_context(served(local.app))
            fields = await local.enroll()
        elif exchange in WIRES:
            wire = WIRES[exchange]()
            urls[exchange] = (await stack.enter_async_context(recording(wire.answer))).url
            fields = dict(wire.secrets)
            venue = venue_of(wire.row) if wire.row else venue
        transport = Transport()
        stack.push_async_callback(transport.close)
        context = VenueContext(data_dir=tmp_path, clock=clock, transport=transport, paper_urls=urls)
        adapter = await venue.open(context)
        stack.push_async_callback(adapter.close)
        if request.param == PAPER_OF_ANOTHER:
            adapter = await stack.enter_async_context(as_a_worker_has_it(adapter))
        credential = OpenCredential(
            credential_id="c-1", account_id="a-1", exchange=exchange, network=Network.PAPER, secrets=fields
        )
        try:
            session = await adapter.open(credential)
        except UnsupportedOperation as lacking:
            pytest.skip(lacking.message)
        stack.push_async_callback(session.close)
        markets = await adapter.markets(Network.PAPER)
        yield Bench(adapter, session, markets.resolve("SOL" if exchange == MILO else "BTC"))


@contextlib.asynccontextmanager
async def as_a_worker_has_it(adapter: Adapter) -> AsyncIterator[Adapter]:
    """``adapter`` as one of several workers reaches it."""
    with sockets_for(()) as sockets:
        async with serving(sockets.owner, VenueOwner(adapter).handlers()):
            owner = Caller(sockets.owner_path)
            yield OwnedVenue(unopened_paper(), owner)
            owner.close()


async def refusal_of(bench: Bench, submission: Submission) -> Reason | None:
    """Why it was refused: None where the venue acknowledges first, and says so only when it is asked."""
    (outcome,) = await asyncio.gather(bench.session.place_order(submission), return_exceptions=True)
    if isinstance(outcome, VenueRejected):
        return outcome.reason
    assert isinstance(outcome, Order)
    assert bench.adapter.capabilities.judges_later
    found = await bench.session.find_order(submission.client_id, bench.instrument)
    assert found is not None
    assert found.status in (OrderStatus.REJECTED, OrderStatus.CANCELED)
    assert found.filled_size == 0
    return None


def has_client_ids(bench: Bench) -> None:
    if not bench.keeps_client_ids:
        pytest.skip(f"{bench.adapter.exchange} keeps no client order ids")


def is_supported(bench: Bench, *capabilities: Capability) -> None:
    missing = set(capabilities) - bench.adapter.capabilities.supports
    if missing:
        pytest.skip(f"{bench.adapter.exchange} has no {', '.join(sorted(missing))}")


async def test_an_open_order_of_ours_is_known_by_its_tag_where_the_venues_ids_have_room_for_it(bench: Bench) -> None:
    has_client_ids(bench)
    ids = ClientIds(b"k" * 32)
    token = ids.token("a-1", "c-1", "mine", 0)
    resting = msgspec.structs.replace(await bench.resting(), client_id=bench.adapter.client_id(token))
    await bench.session.place_order(resting)
    told = [order.client_id or "" for order in await bench.session.get_open_orders(None)]
    ours = [] if bench.adapter.exchange in NUMBERED else [token]
    assert list(filter(None, (ids.token_behind(client_id, "c-1") for client_id in told))) == ours
    assert list(filter(None, (ids.token_behind(client_id, "c-2") for client_id in told))) == []


async def test_its_row_and_its_adapter_agree(bench: Bench) -> None:
    venue = VENUES[bench.adapter.exchange]
    assert bench.adapter.networks == venue.networks | {Network.PAPER}
    assert tuple(bench.adapter.credential_fields) == tuple(venue.credential_fields)


async def test_what_it_cannot_do_is_explained(bench: Bench) -> None:
    capabilities = bench.adapter.capabilities
    assert set(Capability) - capabilities.supports == set(capabilities.unsupported)


async def test_every_instrument_resolves_by_its_symbol_and_has_usable_steps(bench: Bench) -> None:
    markets = await bench.adapter.markets(Network.PAPER)
    for instrument in markets:
        assert markets.resolve(instrument.symbol) is instrument
        assert instrument.exchange == bench.adapter.exchange
        assert instrument.max_leverage >= 1


async def test_market_data_is_on_the_steps_of_the_market(bench: Bench) -> None:
    is_supported(bench, Capability.ORDERBOOK)
    book = await bench.session.get_orderbook(bench.instrument, 20)
    depth = 1 if Capability.ORDERBOOK in bench.adapter.capabilities.emulated else 20
    assert len(book.bids) == len(book.asks) == depth
    assert book.bids[0].price < book.asks[0].price
    assert [level.price for level in book.bids] == sorted({level.price for level in book.bids}, reverse=True)
    assert [level.price for level in book.asks] == sorted({level.price for level in book.asks})
    for level in (*book.bids, *book.asks):
        assert bench.instrument.on_tick(level.price)
        assert level.size > 0
    mark = await bench.mark()
    assert book.bids[0].price * Decimal("0.99") < mark < book.asks[0].price * Decimal("1.01")


@pytest.mark.parametrize("minutes", [1, 5, 15, 60, 240, 1440])
async def test_candles_are_oldest_first_and_whole(bench: Bench, minutes: int) -> None:
    is_supported(bench, Capability.CANDLES)
    candles = await bench.session.get_candles(bench.instrument, minutes, 50)
    assert len(candles) == 50
    starts = [candle.opened_at_ms for candle in candles]
    assert starts == list(range(starts[0], starts[0] + 50 * minutes * 60_000, minutes * 60_000))
    for candle in candles:
        assert candle.low <= min(candle.open, candle.close) <= max(candle.open, candle.close) <= candle.high


async def test_funding_is_told(bench: Bench) -> None:
    is_supported(bench, Capability.FUNDING_RATE)
    funding = await bench.session.get_funding_rate(bench.instrument)
    assert NOW_MS < funding.next_funding_ms <= NOW_MS + 8 * 3_600_000
    assert abs(funding.rate) < Decimal("0.01")


async def test_fees_are_told(bench: Bench) -> None:
    is_supported(bench, Capability.FEES)
    assert abs((await bench.session.get_fees(bench.instrument)).taker_bps) < 100


async def test_every_market_is_told_with_its_funding(bench: Bench) -> None:
    is_supported(bench, Capability.MARKETS_WITH_FUNDING)
    symbols = {market.symbol for market in await bench.session.get_markets_with_funding()}
    assert bench.instrument.symbol in symbols


async def test_a_resting_order_is_open_found_by_its_ids_and_canceled_once(bench: Bench) -> None:
    submission, order = await bench.rest()
    assert order.status is OrderStatus.OPEN
    assert order.client_id in (None, submission.client_id)
    assert [o.order_id for o in await bench.session.get_open_orders(bench.instrument)] == [order.order_id]
    if bench.keeps_client_ids:
        found = await bench.session.find_order(submission.client_id, bench.instrument)
        assert found is not None
        assert found.order_id == order.order_id
    await bench.session.cancel_order(order.order_id, bench.instrument)
    assert await bench.session.get_open_orders(None) == []
    with pytest.raises(VenueRejected) as refused:
        await bench.session.cancel_order(order.order_id, bench.instrument)
    assert refused.value.reason in (Reason.ORDER_ALREADY_CLOSED, Reason.ORDER_NOT_FOUND)
    after = await bench.session.get_order(order.order_id, bench.instrument)
    assert after.status is OrderStatus.CANCELED


async def test_an_order_can_be_canceled_by_its_client_id(bench: Bench) -> None:
    has_client_ids(bench)
    submission, _ = await bench.rest()
    await bench.session.cancel_by_client_id(submission.client_id, bench.instrument)
    assert await bench.session.get_open_orders(bench.instrument) == []


async def test_an_id_that_nobody_placed_is_not_found(bench: Bench) -> None:
    unknown = bench.adapter.client_id(secrets.token_bytes(16))
    if bench.keeps_client_ids:
        assert await bench.session.find_order(unknown, bench.instrument) is None
    else:
        with pytest.raises(VenueUnclear):
            await bench.session.find_order(unknown, bench.instrument)
    with pytest.raises(VenueRejected) as refused:
        await bench.session.get_order("ord_nope", bench.instrument)
    assert refused.value.reason is Reason.ORDER_NOT_FOUND


async def test_the_same_client_id_never_executes_twice(bench: Bench) -> None:
    has_client_ids(bench)
    submission, _ = await bench.rest()
    with pytest.raises(VenueFailure):
        await bench.session.place_order(submission)
    assert len(await bench.session.get_open_orders(bench.instrument)) == 1


async def test_a_request_past_its_time_is_refused(bench: Bench) -> None:
    if not bench.adapter.capabilities.request_expiry:
        pytest.skip("the venue has no request expiry")
    submission = bench.submission(PostOnly(price=await bench.away(Side.BUY)), size=await bench.sized())
    with pytest.raises(VenueRejected) as refused:
        await bench.session.place_order(msgspec.structs.replace(submission, valid_until_ms=NOW_MS - 1))
    assert refused.value.reason is Reason.REQUEST_EXPIRED


async def test_a_market_order_fills_opens_a_position_and_is_closed_by_a_reduce_only_one(bench: Bench) -> None:
    size = await bench.sized()
    bought = await bench.filled(bench.submission(Market(), size=size))
    assert (bought.status, bought.filled_size) == (OrderStatus.FILLED, size)
    assert bought.average_price is not None
    (position,) = await bench.session.get_positions(bench.instrument)
    assert (position.side, position.size) == (PositionSide.LONG, size)
    fills = await bench.session.get_fills(bench.instrument, 100)
    assert sum(fill.size for fill in fills) == size
    assert all(fill.fee > 0 for fill in fills)
    await bench.session.place_order(bench.submission(Market(), side=Side.SELL, size=size * 2, reduce_only=True))
    assert list(await bench.session.get_positions(None)) == []


async def test_a_post_only_order_that_would_take_is_refused(bench: Bench) -> None:
    price = bench.instrument.round_down(await bench.mark() * Decimal("1.05"))
    submission = bench.submission(PostOnly(price=price), size=await bench.sized())
    refused = Reason.POST_ONLY_WOULD_TAKE if bench.adapter.capabilities.post_only else Reason.INVALID_ORDER
    assert await refusal_of(bench, submission) in (None, refused)


async def test_what_an_ioc_does_not_fill_is_dropped(bench: Bench) -> None:
    execution = Limit(price=await bench.away(Side.BUY), time_in_force=TimeInForce.IOC)
    submission = bench.submission(execution, size=await bench.sized())
    (outcome,) = await asyncio.gather(bench.filled(submission), return_exceptions=True)
    if TimeInForce.IOC not in bench.adapter.capabilities.times_in_force:
        assert isinstance(outcome, VenueRejected)
        assert outcome.reason is Reason.INVALID_ORDER
    elif isinstance(outcome, VenueRejected):
        assert outcome.reason is Reason.NO_LIQUIDITY
    else:
        assert isinstance(outcome, Order)
        assert outcome.status in (OrderStatus.CANCELED, OrderStatus.EXPIRED)
    assert list(await bench.session.get_open_orders(bench.instrument)) == []


async def test_an_order_beyond_the_funds_is_refused(bench: Bench) -> None:
    # What is bought is paid for when it is bought, where nothing is set aside for an order before.
    side = Side.BUY if bench.keeps_client_ids else Side.SELL
    submission = await bench.resting(side, await bench.sized(500_000_000))
    assert await refusal_of(bench, submission) in (None, Reason.INSUFFICIENT_FUNDS)


async def test_a_stop_waits_for_its_trigger(bench: Bench) -> None:
    is_supported(bench, Capability.STOP_ORDER)
    trigger = bench.instrument.round_down(await bench.mark() * Decimal("0.9"))
    await bench.session.place_order(bench.submission(Market(), size=await bench.sized()))
    stop = bench.submission(Stop(trigger_price=trigger), side=Side.SELL, size=await bench.sized(), reduce_only=True)
    order = await bench.session.place_order(stop)
    assert (order.status, order.trigger_price) == (OrderStatus.PENDING, trigger)


async def test_a_batch_answers_leg_by_leg_in_order(bench: Bench) -> None:
    is_supported(bench, Capability.BATCH)
    if bench.instrument.kind is InstrumentKind.SPOT:
        await bench.session.place_order(bench.submission(Market(), size=await bench.sized()))
    good, also = await bench.resting(Side.BUY), await bench.resting(Side.SELL)
    bad = await bench.resting(Side.BUY if bench.keeps_client_ids else Side.SELL, await bench.sized(500_000_000))
    outcomes = await bench.session.place_orders([good, bad, also], Grouping.NONE)
    middle = "Order" if bench.adapter.capabilities.judges_later else "VenueRejected"
    assert [type(outcome).__name__ for outcome in outcomes] == ["Order", middle, "Order"]
    assert len(await bench.session.get_open_orders(bench.instrument)) == 2
    await bench.session.cancel_all(bench.instrument)
    assert list(await bench.session.get_open_orders(bench.instrument)) == []


async def test_protection_is_two_pending_orders_that_do_not_outlive_the_position(bench: Bench) -> None:
    is_supported(bench, Capability.PROTECTION)
    size, mark = await bench.sized(), await bench.mark()
    await bench.session.place_order(bench.submission(Market(), size=size))
    legs = [
        bench.submission(execution, side=Side.SELL, size=size, reduce_only=True)
        for execution in (
            TakeProfit(trigger_price=bench.instrument.round_down(mark * Decimal("1.1"))),
            Stop(trigger_price=bench.instrument.round_down(mark * Decimal("0.9"))),
        )
    ]
    outcomes = await bench.session.place_orders(legs, Grouping.ONE_CANCELS_OTHER)
    assert [o.status for o in outcomes if isinstance(o, Order)] == [OrderStatus.PENDING] * 2
    await bench.session.place_order(bench.submission(Market(), side=Side.SELL, size=size, reduce_only=True))
    assert list(await bench.session.get_open_orders(bench.instrument)) == []


async def test_leverage_shows_in_the_position(bench: Bench) -> None:
    is_supported(bench, Capability.LEVERAGE)
    await bench.session.set_leverage(bench.instrument, 3)
    await bench.session.place_order(bench.submission(Market(), size=await bench.sized()))
    (position,) = await bench.session.get_positions(bench.instrument)
    assert position.leverage == 3


async def test_a_good_credential_is_said_to_be_good(bench: Bench) -> None:
    assert isinstance(list(await bench.session.test()), list)
    balance = await bench.session.get_balance()
    assert balance.equity >= balance.free_collateral > 0
