"""A session against the local Milo, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from adapters.base import Grouping, Network, OpenCredential, Submission
from adapters.milo.adapter import CREDENTIAL_FIELDS, MiloAdapter
from adapters.milo.session import MiloSession
from adapters.milo.tokens import MARKETS
from adapters.transport import Transport
from normalization.errors import UnsupportedOperation
from normalization.orders import Execution, Limit, Market, Order, OrderIntent, OrderStatus, Side, Stop, TakeProfit
from normalization.venue_failures import Reason, VenueRejected, VenueUnclear
from tests.support.manual_clock import ManualClock
from tests.support.milo_orders import at, place, tokens
from tests.support.milo_served import served
from tests.support.milo_user import MiloServer, MiloUser

SOL, JUP = MARKETS.resolve("SOL"), MARKETS.resolve("JUP")


class Desk:
    def __init__(self, milo: MiloServer, user: MiloUser, session: MiloSession) -> None:
        self.milo = milo
        self.user = user
        self.session = session

    def submission(self, side: Side, execution: Execution, size: str, *, reduce_only: bool = False) -> Submission:
        """Thirteen seconds later, so that no limit is reached."""
        self.milo.clock.advance(13)
        intent = OrderIntent(
            symbol=JUP.symbol, side=side, size=Decimal(size), execution=execution, reduce_only=reduce_only
        )
        return Submission(intent=intent, instrument=JUP, client_id="c", valid_until_ms=0)

    async def bought(self, size: str = "100") -> Decimal:
        """The price that was paid."""
        placed = await self.session.place_order(self.submission(Side.BUY, Market(), size))
        order = await self.session.get_order(placed.order_id, JUP)
        assert order.status is OrderStatus.FILLED
        assert order.average_price is not None
        return order.average_price


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    clock, transport = ManualClock(), Transport()
    async with served(clock) as milo:
        adapter = MiloAdapter(transport=transport, monotonic=clock.monotonic, sleep=clock.sleep, paper_url=milo.url)
        user = await milo.user(SOL=10, USDC=5_000)
        credential = OpenCredential(
            credential_id="c", account_id="a", exchange="milo", network=Network.PAPER, secrets={"api_key": user.key}
        )
        try:
            yield Desk(milo, user, await adapter.open(credential))
        finally:
            await transport.close()


async def test_the_balance_is_what_the_wallet_holds_and_free_what_orders_are_paid_with(desk: Desk) -> None:
    await desk.bought("1000")
    balance = await desk.session.get_balance()
    jup = (await desk.session.get_mark_price(JUP)).mark_price * 1000
    assert balance.equity == balance.account_value
    assert balance.equity - balance.free_collateral == pytest.approx(jup, abs=Decimal("0.02"))


async def test_a_price_is_told_of_what_is_held_only(desk: Desk) -> None:
    with pytest.raises(UnsupportedOperation, match="holds no JUP"):
        await desk.session.get_mark_price(JUP)
    assert (await desk.session.get_mark_price(SOL)).mark_price > 0


async def test_protection_counts_from_what_was_paid_and_ends_with_the_position(desk: Desk) -> None:
    paid = await desk.bought()
    (position,) = await desk.session.get_positions(JUP)
    legs = [
        desk.submission(
            Side.SELL,
            execution,
            f"{position.size:f}",
            reduce_only=True,
        )
        for execution in (
            TakeProfit(trigger_price=JUP.round_down(paid * 2)),
            Stop(trigger_price=JUP.round_down(paid / 2)),
        )
    ]
    outcomes = await desk.session.place_orders(legs, Grouping.ONE_CANCELS_OTHER)
    assert all(isinstance(outcome, Order) for outcome in outcomes)
    shown = (await desk.user.call("GET", "/users/{userId}/orders?status=active")).data
    assert {one["payload"]["trigger"]["operator"] for one in shown} == {"rise", "drop"}
    open_orders = await desk.session.get_open_orders(JUP)
    assert {order.size for order in open_orders} == {position.size}
    triggers = sorted((order.trigger_price or Decimal(0) for order in open_orders), reverse=True)
    assert triggers == pytest.approx([paid * 2, paid / 2], rel=Decimal("1e-5"))
    await desk.session.close_positions(JUP)
    assert list(await desk.session.get_open_orders(None)) == []
    assert list(await desk.session.get_positions(None)) == []


async def test_half_a_protection_is_refused_before_any_of_it_is_sent(desk: Desk) -> None:
    await desk.bought()
    legs = [
        desk.submission(Side.SELL, Stop(trigger_price=Decimal("0.1")), size, reduce_only=True) for size in ("100", "50")
    ]
    with pytest.raises(VenueRejected) as refused:
        await desk.session.place_orders(legs, Grouping.ONE_CANCELS_OTHER)
    assert refused.value.reason is Reason.INVALID_ORDER
    assert list(await desk.session.get_open_orders(None)) == []


async def test_fills_come_newest_first_over_as_many_pages_as_it_takes(desk: Desk) -> None:
    for size in ("10", "20", "30"):
        await desk.bought(size)
    fills = await desk.session.get_fills(JUP, 2)
    assert [fill.size for fill in fills] == [Decimal(30), Decimal(20)]
    assert list(await desk.session.get_fills(SOL, 5)) == []


async def test_what_looks_like_an_order_is_named_and_never_taken_for_it(desk: Desk) -> None:
    since = desk.milo.clock.now_ms()
    execution = Limit(price=Decimal("0.1"))
    asked = desk.submission(Side.BUY, execution, "50")
    ours = await desk.session.place_order(asked)
    other_size = await place(desk.user, "buy", "JUP", tokens(51), at("lte", 0.1))
    other_price = await place(desk.user, "buy", "JUP", tokens(50), at("lte", 0.11))
    twin = await place(desk.user, "buy", "JUP", tokens(50), at("lte", 0.1))
    now = desk.milo.clock.now_ms()
    alike = await desk.session.find_alike(asked.intent, JUP, since, now)
    assert {order.order_id for order in alike} == {ours.order_id, twin["id"]}
    assert {other_size["id"], other_price["id"]}.isdisjoint(order.order_id for order in alike)
    assert list(await desk.session.find_alike(asked.intent, JUP, now + 1, now + 2)) == []
    with pytest.raises(VenueUnclear):
        await desk.session.find_order("c", JUP)


@pytest.mark.parametrize("order_id", ["..", "../../me", "a/b", "x?y=1", "%2e%2e", "", "x" * 65])
async def test_an_id_never_leads_elsewhere(desk: Desk, order_id: str) -> None:
    for asking in (desk.session.get_order(order_id, JUP), desk.session.cancel_order(order_id, JUP)):
        with pytest.raises(VenueRejected) as refused:
            await asking
        assert refused.value.reason is Reason.ORDER_NOT_FOUND


async def test_canceling_all_of_a_market_leaves_the_others(desk: Desk) -> None:
    await desk.session.place_order(desk.submission(Side.BUY, Limit(price=Decimal("0.1")), "50"))
    await desk.session.place_order(desk.submission(Side.BUY, Limit(price=Decimal("0.2")), "50"))
    other = await place(desk.user, "buy", "WIF", tokens(5), at("lte", 0.1))
    await desk.session.cancel_all(JUP)
    assert [order.order_id for order in await desk.session.get_open_orders(None)] == [other["id"]]


async def test_what_more_than_the_limit_would_cancel_is_told_with_how_far_it_came(desk: Desk) -> None:
    for _ in range(11):
        await place(desk.user, "buy", "JUP", tokens(5), at("lte", 0.1))
    desk.milo.clock.advance(61)
    with pytest.raises(VenueUnclear, match="10 of 11 orders were canceled") as stopped:
        await desk.session.cancel_all(JUP)
    assert stopped.value.reason is Reason.VENUE_RATE_LIMITED
    assert stopped.value.retry_after_s
    assert len(await desk.session.get_open_orders(JUP)) == 1


async def test_a_key_that_milo_does_not_know_fails_its_test(desk: Desk) -> None:
    assert "send tokens away" in (await desk.session.test())[0]
    adapter = MiloAdapter(
        transport=(transport := Transport()),
        monotonic=desk.milo.clock.monotonic,
        sleep=desk.milo.clock.sleep,
        paper_url=desk.milo.url,
    )
    credential = OpenCredential(
        credential_id="d", account_id="a", exchange="milo", network=Network.PAPER, secrets={"api_key": "mk_test_nobody"}
    )
    try:
        session = await adapter.open(credential)
        with pytest.raises(VenueRejected) as refused:
            await session.test()
        assert refused.value.reason is Reason.AUTHENTICATION_FAILED
    finally:
        await transport.close()


@pytest.mark.parametrize(
    "key", ["", "mk_", "mk_live_", "sk_live_0123456789", "mk_live_" + "x" * 300, "mk_live_0123 456"]
)
def test_a_key_of_another_form_is_refused_at_the_door(key: str) -> None:
    (field,) = CREDENTIAL_FIELDS
    assert field.check(key) is not None
    assert field.check("mk_live_0123456789abcdef") is None
