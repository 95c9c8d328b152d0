"""WOOFi Pro and ModeTrade: one protocol, exactly as it is spoken, and how strictly its replies are read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from normalization.orders import (
    Execution,
    Limit,
    Market,
    OrderStatus,
    OrderType,
    PostOnly,
    Side,
    Stop,
    TakeProfit,
    TimeInForce,
)
from normalization.venue_failures import (
    Reason,
    VenueDeferred,
    VenueDuplicate,
    VenueFailure,
    VenueRejected,
    VenueUnclear,
)
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recorded.desk import Desk, desk
from tests.adapters.ccxt.recorded.orderly import FUTURES, MARKET, error, ok, paged
from tests.adapters.ccxt.recorded.wire import query
from tests.adapters.ccxt.recording_server import said

CLIENT_ID = "000102030405060708090a0b0c0d0e0f"
COMMON = {"client_order_id": CLIENT_ID, "symbol": "PERP_BTC_USDC"}
REGULAR = {**COMMON, "order_quantity": "0.01", "order_price": "50000", "side": "BUY"}
TRIGGER = {**COMMON, "quantity": "0.01", "trigger_price_type": "MARK_PRICE"}
FIRED = {"side": "SELL", "type": "MARKET", "reduce_only": True}


@pytest.fixture(params=["woofipro", "modetrade"])
async def front(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(request.param, tmp_path) as found:
        yield found


@pytest.fixture
async def woofipro(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk("woofipro", tmp_path) as found:
        yield found


@pytest.mark.parametrize(
    ("execution", "terms", "path", "body"),
    [
        (Limit(price=Decimal(50_000)), {}, "/v1/order", {**REGULAR, "order_type": "LIMIT"}),
        (
            PostOnly(price=Decimal(50_000)),
            {"reduce_only": True},
            "/v1/order",
            {**REGULAR, "order_type": "POST_ONLY", "reduce_only": True},
        ),
        (
            Limit(price=Decimal(50_000), time_in_force=TimeInForce.IOC),
            {},
            "/v1/order",
            {**REGULAR, "order_type": "IOC"},
        ),
        (
            Limit(price=Decimal(50_000), time_in_force=TimeInForce.FOK),
            {},
            "/v1/order",
            {**REGULAR, "order_type": "FOK"},
        ),
        (
            Market(max_slippage_bps=100),
            {},
            "/v1/order",
            {**REGULAR, "order_type": "IOC", "order_price": "60610.1"},
        ),
        (
            Stop(trigger_price=Decimal(49_000)),
            {"side": Side.SELL, "reduce_only": True},
            "/v1/algo/order",
            {**TRIGGER, "algo_type": "STOP", **FIRED, "trigger_price": "49000"},
        ),
        (
            TakeProfit(trigger_price=Decimal(70_000)),
            {"side": Side.SELL, "reduce_only": True},
            "/v1/algo/order",
            {
                **TRIGGER,
                "algo_type": "TP_SL",
                "child_orders": [
                    {"symbol": "PERP_BTC_USDC", "algo_type": "TAKE_PROFIT", **FIRED, "trigger_price": "70000"}
                ],
            },
        ),
    ],
)
async def test_every_kind_of_order_leaves_as_exactly_this(
    front: Desk, execution: Execution, terms: dict[str, Any], path: str, body: dict[str, Any]
) -> None:
    order = await front.place(execution, **terms)
    (sent,) = front.placements()
    assert (sent.path, sent.document) == (path, body)
    assert order.client_id == CLIENT_ID


async def test_an_order_may_be_taken_until_its_time_and_no_longer(front: Desk) -> None:
    await front.place(PostOnly(price=Decimal(50_000)))
    front.rig.client_id = "f" * 32
    await front.place(Stop(trigger_price=Decimal(49_000)), side=Side.SELL)
    for sent in front.placements():
        assert 0 <= int(sent.headers["orderly-timestamp"]) - NOW_MS < 1_000
        assert sent.headers["x-recv-window"] == "10000"


async def test_a_take_profit_that_could_open_a_position_is_not_sent(woofipro: Desk) -> None:
    with pytest.raises(VenueRejected, match="always reduce-only"):
        await woofipro.place(TakeProfit(trigger_price=Decimal(70_000)), side=Side.SELL)
    assert woofipro.asked() == []


async def test_orders_and_trigger_orders_are_canceled_where_they_are(woofipro: Desk) -> None:
    resting = await woofipro.place(PostOnly(price=Decimal(50_000)))
    woofipro.rig.client_id = "f" * 32
    waiting = await woofipro.place(Stop(trigger_price=Decimal(49_000)), side=Side.SELL, reduce_only=True)
    assert (resting.order_id.isdigit(), waiting.order_id.startswith("algo-")) == (True, True)
    woofipro.asked()
    await woofipro.session.cancel_order(resting.order_id, woofipro.btc)
    await woofipro.session.cancel_by_client_id("f" * 32, woofipro.btc)
    with pytest.raises(VenueRejected) as refused:
        await woofipro.session.cancel_order(waiting.order_id, woofipro.btc)
    assert refused.value.reason is Reason.ORDER_NOT_FOUND
    await woofipro.session.cancel_all(woofipro.btc)
    assert [query(sent) for sent in woofipro.rig.server.sent] == [
        {"order_id": resting.order_id, "symbol": "PERP_BTC_USDC"},
        {"client_order_id": "f" * 32, "symbol": "PERP_BTC_USDC"},
        {"client_order_id": "f" * 32, "symbol": "PERP_BTC_USDC"},
        {"order_id": waiting.order_id.removeprefix("algo-"), "symbol": "PERP_BTC_USDC"},
        {"symbol": "PERP_BTC_USDC"},
        {"symbol": "PERP_BTC_USDC"},
    ]
    assert woofipro.asked() == [
        ("DELETE", "/v1/order"),
        ("DELETE", "/v1/client/order"),
        ("DELETE", "/v1/algo/client/order"),
        ("DELETE", "/v1/algo/order"),
        ("DELETE", "/v1/orders"),
        ("DELETE", "/v1/algo/orders"),
    ]


async def test_leverage_is_set_for_the_market_with_the_call_that_is_documented(front: Desk) -> None:
    await front.session.set_leverage(front.btc, 5)
    (sent,) = front.rig.server.sent
    assert (sent.path, sent.document) == ("/v1/client/leverages", {"symbol": "PERP_BTC_USDC", "leverage": 5})


async def test_a_trigger_order_is_found_by_our_id_and_told_as_what_it_is(woofipro: Desk) -> None:
    await woofipro.place(TakeProfit(trigger_price=Decimal(70_000)), side=Side.SELL, reduce_only=True)
    found = await woofipro.session.find_order(CLIENT_ID, woofipro.btc)
    assert (found.type, found.trigger_price, found.status, found.reduce_only) == (
        OrderType.TAKE_PROFIT,
        Decimal(70_000),
        OrderStatus.PENDING,
        True,
    )
    assert (await woofipro.session.get_order(found.order_id, woofipro.btc)).order_id == found.order_id


async def test_an_order_of_somebody_elses_id_is_not_taken_for_ours(woofipro: Desk) -> None:
    await woofipro.place(PostOnly(price=Decimal(50_000)))
    (kept,) = woofipro.wire.book.orders.values()
    woofipro.answer_instead("GET /v1/client/order/.+", said(ok({**woofipro.wire._order(kept), "client_order_id": "x"})))
    with pytest.raises(VenueUnclear):
        await woofipro.session.find_order(CLIENT_ID, woofipro.btc)


async def test_what_has_two_legs_or_follows_the_price_hides_no_other_order(woofipro: Desk) -> None:
    await woofipro.place(Stop(trigger_price=Decimal(49_000)), side=Side.SELL)
    (kept,) = woofipro.wire.book.orders.values()
    stop = woofipro.wire._algo(kept)
    leg = {**stop, "algo_type": "TAKE_PROFIT"}
    foreign = [
        {**stop, "algo_order_id": 2, "algo_type": "TP_SL", "child_orders": [leg, {**leg, "algo_type": "STOP_LOSS"}]},
        {**stop, "algo_order_id": 3, "algo_type": "TRAILING_STOP"},
        {**stop, "algo_order_id": 4, "algo_type": "BRACKET"},
        {**stop, "algo_order_id": 5, "symbol": "PERP_UNKNOWN_USDC"},
    ]
    woofipro.answer_instead("GET /v1/algo/orders", said(paged([*foreign, stop])))
    assert [order.order_id for order in await woofipro.session.get_open_orders(None)] == [f"algo-{kept.order_id}"]


async def test_a_list_of_several_pages_is_read_whole_or_not_at_all(woofipro: Desk) -> None:
    await woofipro.place(PostOnly(price=Decimal(50_000)))
    (kept,) = woofipro.wire.book.orders.values()
    rows = [{**woofipro.wire._order(kept), "order_id": n} for n in range(1, 502)]

    def page(sent: Any) -> Any:
        start = (int(query(sent)["page"]) - 1) * 500
        meta = {"total": len(rows), "records_per_page": 500, "current_page": 1}
        return ok({"meta": meta, "rows": rows[start : start + 500]})

    woofipro.wire.routes = {**woofipro.wire.routes, "GET /v1/orders": page}
    assert len(await woofipro.session.get_open_orders(woofipro.btc)) == 501
    rows *= 10
    with pytest.raises(VenueUnclear, match="longer"):
        await woofipro.session.get_open_orders(woofipro.btc)


@pytest.mark.parametrize(
    ("answer", "failure", "reason"),
    [
        (error(-1101, "The order is rejected due to risk"), VenueRejected, Reason.INSUFFICIENT_FUNDS),
        (error(-1103, "order_quantity must be a multiple"), VenueRejected, Reason.INVALID_ORDER),
        (error(-1007, "The data already exists"), VenueDuplicate, Reason.DUPLICATE_ORDER_ID),
        (error(-1003, "Rate limit exceeded", 429), VenueDeferred, Reason.VENUE_RATE_LIMITED),
        (error(-1000, "An unknown error occurred"), VenueUnclear, None),
        (error(-1101, "The order is rejected due to risk", 502), VenueUnclear, None),
        (said(ok({"order_id": 13, "client_order_id": "another"})), VenueUnclear, None),
        (said(ok({"client_order_id": CLIENT_ID})), VenueUnclear, None),
        (said(ok(None)), VenueUnclear, None),
    ],
)
async def test_what_is_answered_to_an_order_is_judged_by_the_venues_code(
    woofipro: Desk, answer: Any, failure: type[VenueFailure], reason: Reason | None
) -> None:
    woofipro.answer_instead("POST /v1/order", answer)
    with pytest.raises(VenueFailure) as raised:
        await woofipro.place(PostOnly(price=Decimal(50_000)))
    assert type(raised.value) is failure
    assert reason in (None, raised.value.reason)


@pytest.mark.parametrize("stop", [Stop(trigger_price=Decimal(49_000))])
@pytest.mark.parametrize("data", [{"order_id": 1, "quantity": 0.02}, {"quantity": 0.01}, {}])
async def test_a_trigger_order_is_only_taken_when_the_venue_repeats_it(
    woofipro: Desk, stop: Stop, data: dict[str, Any]
) -> None:
    woofipro.answer_instead("POST /v1/algo/order", said(ok(data)))
    with pytest.raises(VenueUnclear):
        await woofipro.place(stop, side=Side.SELL)


@pytest.mark.parametrize(
    ("scope", "warnings"), [("read,trading", 0), ("read", 1), ("read,trading,asset", 1), ("asset", 2)]
)
async def test_what_a_key_may_do_beyond_trading_is_told(woofipro: Desk, scope: str, warnings: int) -> None:
    row = {**woofipro.wire._key(), "scope": scope}
    others = {"orderly_key": "ed25519:other", "scope": "read,trading,asset"}
    woofipro.answer_instead("GET /v1/client/key_info", said(ok({"rows": [others, row]})))
    assert len(await woofipro.session.test()) == warnings


async def test_market_data_and_accounts_keep_every_digit(woofipro: Desk) -> None:
    exact = said(ok({**FUTURES, "mark_price": 1.00000001, "index_price": 0.1, "est_funding_rate": -1.5e-07}))
    woofipro.answer_instead("GET /v1/public/futures/PERP_BTC_USDC", exact)
    mark = await woofipro.session.get_mark_price(woofipro.btc)
    assert (mark.mark_price, mark.index_price) == (Decimal("1.00000001"), Decimal("0.1"))
    assert (await woofipro.session.get_funding_rate(woofipro.btc)).rate == Decimal("-0.00000015")
    fees = await woofipro.session.get_fees(woofipro.btc)
    assert (fees.maker_bps, fees.taker_bps) == (2, 5)
    assert (woofipro.btc.tick_size, woofipro.btc.lot_size, woofipro.btc.max_leverage) == (
        Decimal(str(MARKET["quote_tick"])),
        Decimal("0.00001"),
        10,
    )


@pytest.mark.parametrize("broken", [{"position_qty": "NaN"}, {"mark_price": None}, {"average_open_price": 1e400}])
async def test_a_position_that_cannot_be_read_is_not_left_out(woofipro: Desk, broken: dict[str, Any]) -> None:
    await woofipro.place(Market())
    row = {**woofipro.wire._position(), **broken}
    account = {**woofipro.wire._account(), "rows": [row]}
    woofipro.answer_instead("GET /v1/positions", said(ok(account)))
    with pytest.raises(VenueUnclear):
        await woofipro.session.get_positions(None)
