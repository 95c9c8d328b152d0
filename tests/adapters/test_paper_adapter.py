from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.base import Adapter, Capability, Grouping, Network, OpenCredential, Submission, VenueSession
from adapters.paper import CREDENTIAL_FIELDS, PaperAdapter, PaperSession, open_paper
from normalization.instruments import Instrument
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
)
from normalization.venue_failures import Reason, VenueDuplicate, VenueFailure, VenueRejected
from sandbox.exchange import PaperExchange

NOW_MS = 1_800_000_000_000


class Clock:
    def __init__(self) -> None:
        self.ms = NOW_MS

    def __call__(self) -> int:
        return self.ms


class Desk:
    """The adapter with one open credential, and its BTC market."""

    def __init__(self, adapter: PaperAdapter, session: PaperSession, btc: Instrument, clock: Clock) -> None:
        self.adapter = adapter
        self.session = session
        self.btc = btc
        self.clock = clock
        self._tokens = 0

    async def price(self, percent: str) -> Decimal:
        """A price on the tick at that many percent of the mark price."""
        mark = (await self.session.get_mark_price(self.btc)).mark_price
        return self.btc.round_down(mark * Decimal(percent) / 100)

    def submission(
        self, side: Side, execution: Execution, *, size: str = "0.1", reduce_only: bool = False, valid_ms: int = 10_000
    ) -> Submission:
        self._tokens += 1
        return Submission(
            intent=OrderIntent(
                symbol=self.btc.symbol,
                side=side,
                size=Decimal(size),
                execution=execution,
                reduce_only=reduce_only,
            ),
            instrument=self.btc,
            client_id=self.adapter.client_id(self._tokens.to_bytes(16, "big")),
            valid_until_ms=self.clock.ms + valid_ms,
        )


def credential(credential_id: str = "c1", **secrets: str) -> OpenCredential:
    return OpenCredential(
        credential_id=credential_id, account_id="a1", exchange="paper", network=Network.PAPER, secrets=secrets
    )


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    clock = Clock()
    adapter = PaperAdapter(PaperExchange(seed=7, path=None, now_ms=clock))
    markets = await adapter.markets(Network.PAPER)
    yield Desk(adapter, await adapter.open(credential()), markets.resolve("BTC"), clock)
    await adapter.close()


def test_it_is_an_adapter_with_sessions_that_can_do_everything() -> None:
    adapter = PaperAdapter(PaperExchange(seed=7, path=None, now_ms=lambda: NOW_MS))
    as_promised: Adapter = adapter
    opening: Callable[[OpenCredential], Awaitable[VenueSession]] = adapter.open
    assert opening == adapter.open
    assert as_promised.exchange == "paper"
    assert as_promised.networks == {Network.PAPER}
    capabilities = as_promised.capabilities
    assert capabilities.supports == set(Capability)
    assert (capabilities.native_batch_size, capabilities.visibility_lag_ms) == (10, 0)
    assert capabilities.request_expiry
    assert capabilities.lookup_includes_finished
    assert adapter.client_id(bytes(range(16))) == "000102030405060708090a0b0c0d0e0f"
    assert adapter.describe({"startingBalance": "5"}) == ""


async def test_its_markets_are_resolved_by_every_usual_spelling(desk: Desk) -> None:
    markets = await desk.adapter.markets(Network.PAPER)
    assert len(markets) >= 15
    for spelling in ("BTC", "btc-perp", "BTC/USD", "BTCUSDT", "BTC-USD-PERP"):
        assert markets.resolve(spelling) is desk.btc
    assert markets.resolve("1000PEPE").symbol == "kPEPE-USD-PERP"


async def test_a_credential_is_an_account_funded_when_it_is_first_opened(desk: Desk) -> None:
    assert (await desk.session.get_balance()).equity == 100_000
    other = await desk.adapter.open(credential("c2", startingBalance="2500.50"))
    assert (await other.get_balance()).equity == Decimal("2500.50")
    again = await desk.adapter.open(credential("c2", startingBalance="9999"))
    assert (await again.get_balance()).equity == Decimal("2500.50")
    assert await other.test() == []


@pytest.mark.parametrize(
    ("name", "value", "is_fine"),
    [
        ("startingBalance", "100000", True),
        ("startingBalance", "10", True),
        ("startingBalance", "9.99", False),
        ("startingBalance", "1e400", False),
        ("startingBalance", "NaN", False),
        ("startingBalance", "lots", False),
        ("startingBalance", "", False),
        ("faults", "timeout_after_accept=0.1,reject=0.05", True),
        ("faults", "", True),
        ("faults", "reject=maybe", False),
        ("faults", "gremlins=1", False),
    ],
)
def test_settings_are_checked_where_they_are_entered(name: str, value: str, is_fine: bool) -> None:
    (field,) = (field for field in CREDENTIAL_FIELDS if field.name == name)
    assert not field.required
    assert not field.secret
    assert (field.check(value) is None) is is_fine


async def test_a_credential_with_bad_settings_does_not_open(desk: Desk) -> None:
    with pytest.raises(VenueRejected) as refused:
        await desk.adapter.open(credential("c3", startingBalance="-1"))
    assert refused.value.reason is Reason.AUTHENTICATION_FAILED


async def test_a_credential_with_faults_says_so_and_has_them(desk: Desk) -> None:
    faulty = await desk.adapter.open(credential("c4", faults="reject=1"))
    assert len(await faulty.test()) == 1
    with pytest.raises(VenueRejected):
        await faulty.place_order(desk.submission(Side.BUY, Market()))


async def test_a_market_order_fills_and_shows_everywhere(desk: Desk) -> None:
    order = await desk.session.place_order(desk.submission(Side.BUY, Market()))
    assert (order.status, order.filled_size) == (OrderStatus.FILLED, Decimal("0.1"))
    (fill,) = await desk.session.get_fills(desk.btc, 10)
    assert (fill.order_id, fill.price, fill.fee) == (order.order_id, order.average_price, order.fee)
    (position,) = await desk.session.get_positions(desk.btc)
    assert (position.side, position.size) == (PositionSide.LONG, Decimal("0.1"))
    assert len(await desk.session.get_positions(None)) == 1
    balance = await desk.session.get_balance()
    assert balance.free_collateral < balance.equity < 100_000


async def test_an_order_is_found_by_both_ids_after_it_ended(desk: Desk) -> None:
    submission = desk.submission(Side.BUY, PostOnly(price=await desk.price("98")))
    order = await desk.session.place_order(submission)
    assert list(await desk.session.get_open_orders(None)) == [order]
    await desk.session.cancel_by_client_id(submission.client_id, desk.btc)
    found = await desk.session.find_order(submission.client_id, desk.btc)
    assert found is not None
    assert found.status is OrderStatus.CANCELED
    assert await desk.session.get_order(order.order_id, None) == found
    with pytest.raises(VenueRejected) as refused:
        await desk.session.cancel_order(order.order_id, desk.btc)
    assert refused.value.reason is Reason.ORDER_ALREADY_CLOSED
    with pytest.raises(VenueDuplicate):
        await desk.session.place_order(submission)


async def test_what_was_never_placed_is_not_found(desk: Desk) -> None:
    assert await desk.session.find_order("00", desk.btc) is None
    with pytest.raises(VenueRejected) as refused:
        await desk.session.get_order("ord_none", desk.btc)
    assert refused.value.reason is Reason.ORDER_NOT_FOUND


async def test_a_late_request_is_refused(desk: Desk) -> None:
    submission = desk.submission(Side.BUY, Market(), valid_ms=1_000)
    desk.clock.ms += 1_001
    with pytest.raises(VenueRejected) as refused:
        await desk.session.place_order(submission)
    assert refused.value.reason is Reason.REQUEST_EXPIRED
    assert await desk.session.find_order(submission.client_id, desk.btc) is None


async def test_every_leg_of_a_batch_is_judged_on_its_own_and_in_order(desk: Desk) -> None:
    price = await desk.price("98")
    outcomes = await desk.session.place_orders(
        [
            desk.submission(Side.BUY, Limit(price=price)),
            desk.submission(Side.SELL, PostOnly(price=price)),
            desk.submission(Side.BUY, Market(), size="1000000"),
            desk.submission(Side.BUY, Limit(price=price)),
        ],
        Grouping.NONE,
    )
    assert [o.status if isinstance(o, Order) else o.reason for o in outcomes] == [
        OrderStatus.OPEN,
        Reason.POST_ONLY_WOULD_TAKE,
        Reason.INSUFFICIENT_FUNDS,
        OrderStatus.OPEN,
    ]
    await desk.session.cancel_all(desk.btc)
    assert list(await desk.session.get_open_orders(desk.btc)) == []


async def test_a_protection_lives_and_dies_with_its_position(desk: Desk) -> None:
    await desk.session.place_order(desk.submission(Side.BUY, Market()))
    pair = await desk.session.place_orders(
        [
            desk.submission(Side.SELL, TakeProfit(trigger_price=await desk.price("110")), reduce_only=True),
            desk.submission(Side.SELL, Stop(trigger_price=await desk.price("90")), reduce_only=True),
        ],
        Grouping.ONE_CANCELS_OTHER,
    )
    assert [leg.status for leg in pair if isinstance(leg, Order)] == [OrderStatus.PENDING] * 2
    await desk.session.place_order(desk.submission(Side.SELL, Market(), reduce_only=True))
    assert list(await desk.session.get_open_orders(None)) == []


async def test_leverage_is_set_per_market(desk: Desk) -> None:
    await desk.session.set_leverage(desk.btc, 25)
    await desk.session.place_order(desk.submission(Side.SELL, Market()))
    assert (await desk.session.get_positions(None))[0].leverage == 25
    with pytest.raises(VenueFailure):
        await desk.session.set_leverage(desk.btc, 51)


async def test_the_market_can_be_read(desk: Desk) -> None:
    book = await desk.session.get_orderbook(desk.btc, 20)
    assert (len(book.bids), len(book.asks)) == (20, 20)
    assert len(await desk.session.get_candles(desk.btc, 60, 100)) == 100
    assert (await desk.session.get_funding_rate(desk.btc)).next_funding_ms > NOW_MS
    fees = await desk.session.get_fees(desk.btc)
    assert (fees.maker_bps, fees.taker_bps) == (Decimal(2), Decimal(5))
    summaries = await desk.session.get_markets_with_funding()
    markets = await desk.adapter.markets(Network.PAPER)
    assert [summary.symbol for summary in summaries] == [instrument.symbol for instrument in markets]


async def test_accounts_and_orders_outlive_the_process(tmp_path: Path) -> None:
    clock = Clock()
    first = await open_paper(tmp_path / "paper.db", clock)
    session = await first.open(credential(startingBalance="5000"))
    btc = (await first.markets(Network.PAPER)).resolve("BTC")
    desk = Desk(first, session, btc, clock)
    submission = desk.submission(Side.BUY, Limit(price=await desk.price("95")), size="0.01")
    order = await session.place_order(submission)
    await session.close()
    await first.close()
    second = await open_paper(tmp_path / "paper.db", clock)
    session = await second.open(credential())
    assert (await session.get_balance()).equity == 5_000
    assert await session.find_order(submission.client_id, btc) == order
    await second.close()


async def test_a_venue_whose_file_cannot_be_opened_fails_its_calls_and_not_the_start(tmp_path: Path) -> None:
    adapter = await open_paper(tmp_path / "missing" / "paper.db", Clock())
    assert len(await adapter.markets(Network.PAPER)) >= 15
    with pytest.raises(VenueFailure) as failed:
        await adapter.open(credential())
    assert failed.value.reason is Reason.VENUE_UNAVAILABLE
    await adapter.close()
