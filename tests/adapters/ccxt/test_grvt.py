"""GRVT: the session that a key opens, signatures that live as long as the order, numbers that come a moment later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from email.utils import formatdate
from pathlib import Path

import pytest

from adapters.base import Network
from normalization.orders import Execution, Limit, Market, OrderStatus, PostOnly, Side, Stop, TakeProfit, TimeInForce
from normalization.venue_failures import Reason, VenueDeferred, VenueFailure, VenueRejected, VenueUnclear
from tests.adapters.ccxt.benches import Bench, bench_of, outcome
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recorded.grvt import COOKIE, SIGNER, SUB_ACCOUNT, GrvtWire, error, signer_of
from tests.adapters.ccxt.recording_server import Answer, Sent, said

ORDER = PostOnly(price=Decimal(50_000))
LOGIN = ("POST", "/auth/api_key/login")
LOOKUP = ("POST", "/full/v1/order")
RESTS_UNTIL_NS = (NOW_MS + 29 * 86_400_000) * 10**6
REQUEST_UNTIL_NS = (NOW_MS + 10_000) * 10**6


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench[GrvtWire]]:
    async with bench_of("grvt", GrvtWire(), tmp_path) as opened:
        yield opened


def session_until(until_ms: int) -> Answer:
    expires = formatdate(until_ms / 1000, usegmt=True)
    return Answer(
        b'{"status":"success"}',
        200,
        {"Set-Cookie": f"{COOKIE}; Path=/; Expires={expires}", "X-Grvt-Account-Id": "acc:1"},
    )


@pytest.mark.parametrize(("network", "chain_id"), [(Network.MAINNET, 325), (Network.TESTNET, 326)])
async def test_an_order_is_signed_for_the_chain_of_its_network(network: Network, chain_id: int, tmp_path: Path) -> None:
    async with bench_of("grvt", GrvtWire(chain_id), tmp_path, network) as bench:
        placed = await bench.session.place_order(bench.rig.order(ORDER, size="0.123"))
        (sent,) = bench.placements()
    assert placed.status is OrderStatus.OPEN
    assert signer_of(sent.document["order"], chain_id) == SIGNER


@pytest.mark.parametrize(
    ("execution", "until_ns"),
    [
        (Limit(price=Decimal(50_000)), RESTS_UNTIL_NS),
        (ORDER, RESTS_UNTIL_NS),
        (Stop(trigger_price=Decimal(70_000)), RESTS_UNTIL_NS),
        (Limit(price=Decimal(50_000), time_in_force=TimeInForce.IOC), REQUEST_UNTIL_NS),
        (Limit(price=Decimal(50_000), time_in_force=TimeInForce.FOK), REQUEST_UNTIL_NS),
        (Market(), REQUEST_UNTIL_NS),
    ],
)
async def test_what_rests_is_signed_for_weeks_and_what_does_not_for_its_request(
    execution: Execution, until_ns: int, bench: Bench[GrvtWire]
) -> None:
    await bench.session.place_order(bench.rig.order(execution))
    (sent,) = bench.placements()
    assert int(sent.document["order"]["signature"]["expiration"]) == until_ns


@pytest.mark.parametrize(
    ("execution", "side", "kind"),
    [
        (Stop(trigger_price=Decimal(70_000)), Side.BUY, "STOP_LOSS"),
        (Stop(trigger_price=Decimal(50_000)), Side.SELL, "STOP_LOSS"),
        (TakeProfit(trigger_price=Decimal(50_000)), Side.BUY, "TAKE_PROFIT"),
        (TakeProfit(trigger_price=Decimal(70_000)), Side.SELL, "TAKE_PROFIT"),
    ],
)
async def test_a_stop_is_a_stop_and_a_take_profit_one_and_both_go_by_the_mark_price(
    execution: Stop | TakeProfit, side: Side, kind: str, bench: Bench[GrvtWire]
) -> None:
    order = bench.rig.order(execution, side=side)
    placed = await bench.session.place_order(order)
    trigger = bench.placements()[0].document["order"]["metadata"]["trigger"]
    assert (trigger["trigger_type"], trigger["tpsl"]["trigger_by"]) == (kind, "MARK")
    assert (placed.type, placed.trigger_price) == (order.intent.type, execution.trigger_price)


async def test_an_order_is_answered_for_with_the_number_that_it_was_given(bench: Bench[GrvtWire]) -> None:
    def unnumbered() -> Answer:
        return said({"result": {**bench.wire.told(bench.wire.book.latest), "order_id": "0x00"}})

    answers = [lambda: error(1004, "Data Not Found", 404), unnumbered]

    def later(sent: Sent) -> Answer:
        return answers.pop(0)() if answers else bench.wire.answer(sent)

    bench.rig.replies["POST /full/v1/order"] = later
    placed = await bench.session.place_order(bench.rig.order(ORDER))
    assert int(placed.order_id, 16) == bench.wire.book.latest.order_id
    assert len(bench.rig.sent_to(*LOOKUP)) == 3


async def test_an_order_that_does_not_show_is_unclear_and_is_not_sent_again(bench: Bench[GrvtWire]) -> None:
    bench.rig.replies["POST /full/v1/order"] = error(1004, "Data Not Found", 404)
    assert isinstance(await outcome(bench.session.place_order(bench.rig.order(ORDER))), VenueUnclear)
    assert len(bench.placements()) == 1
    assert bench.rig.paused_s <= 1


async def test_an_order_that_is_over_is_found_in_the_history(bench: Bench[GrvtWire]) -> None:
    placed = await bench.session.place_order(bench.rig.order(ORDER))
    await bench.session.cancel_order(placed.order_id, bench.rig.btc)
    bench.rig.replies["POST /full/v1/order"] = error(1004, "Data Not Found", 404)
    found = await bench.session.find_order(bench.rig.client_id, bench.rig.btc)
    assert found is not None
    assert (found.order_id, found.status) == (placed.order_id, OrderStatus.CANCELED)


async def test_the_key_opens_one_session_however_many_ask_at_once(bench: Bench[GrvtWire]) -> None:
    await asyncio.gather(*(bench.session.get_balance() for _ in range(5)))
    assert len(bench.rig.sent_to(*LOGIN)) == 1


async def test_a_session_is_renewed_before_it_ends(bench: Bench[GrvtWire]) -> None:
    bench.rig.replies["POST /auth/api_key/login"] = session_until(NOW_MS + 30_000)
    await bench.session.get_balance()
    await bench.session.get_balance()
    assert len(bench.rig.sent_to(*LOGIN)) == 2


async def test_a_session_that_the_venue_ended_is_opened_again_by_the_next_call(bench: Bench[GrvtWire]) -> None:
    await bench.session.get_balance()
    bench.wire.instead = {"POST /full/v1/.+": error(1000, "You need to authenticate", 401)}
    assert isinstance(await outcome(bench.session.get_balance()), VenueFailure)
    bench.wire.instead = {}
    await bench.session.get_balance()
    assert len(bench.rig.sent_to(*LOGIN)) == 2


@pytest.mark.parametrize("answer", [Answer(b"{}"), Answer(b"{}", 200, {"Set-Cookie": "gravity=x"}), Answer(b"", 503)])
async def test_without_a_session_no_order_leaves(answer: Answer, bench: Bench[GrvtWire]) -> None:
    bench.rig.replies["POST /auth/api_key/login"] = answer
    failure = await outcome(bench.session.place_order(bench.rig.order(ORDER)))
    assert isinstance(failure, VenueFailure)
    assert not isinstance(failure, VenueUnclear)
    assert bench.placements() == []


async def test_a_wrong_key_is_told_as_one(tmp_path: Path) -> None:
    wire = GrvtWire()
    wire.secrets = {**wire.secrets, "api_key": "another-key"}
    async with bench_of("grvt", wire, tmp_path) as bench:
        failure = await outcome(bench.session.test())
    assert failure.reason is Reason.AUTHENTICATION_FAILED


@pytest.mark.parametrize(
    ("answer", "failure", "reason"),
    [
        (error(2080, "Insufficient balance"), VenueRejected, Reason.INSUFFICIENT_FUNDS),
        (error(2002, "Signature does not match payload"), VenueRejected, Reason.AUTHENTICATION_FAILED),
        (error(1002, "Internal", 500), VenueUnclear, Reason.VENUE_UNAVAILABLE),
        (error(1004, "Data Not Found", 404), VenueUnclear, Reason.OTHER),
        (error(1006, "Rate limited", 429), VenueDeferred, Reason.VENUE_RATE_LIMITED),
    ],
)
async def test_a_code_means_what_it_proves(
    answer: Answer, failure: type[VenueFailure], reason: Reason, bench: Bench[GrvtWire]
) -> None:
    assert await bench.verdict_on(answer, bench.rig.order(ORDER)) == (failure, reason)


async def test_reads_ask_for_what_they_need_and_no_more(bench: Bench[GrvtWire]) -> None:
    session, btc = bench.session, bench.rig.btc
    await session.get_balance()
    own, market = {"sub_account_id": SUB_ACCOUNT}, {"instrument": "BTC_USDT_Perp"}
    pair = {"base": ["BTC"], "quote": ["USDT"]}
    asked = {
        "book": await bench.sends(session.get_orderbook(btc, 5)),
        "mark_price": await bench.sends(session.get_mark_price(btc)),
        "funding": await bench.sends(session.get_funding_rate(btc)),
        "balance": await bench.sends(session.get_balance()),
        "fills": await bench.sends(session.get_fills(btc, 10)),
        "positions": await bench.sends(session.get_positions(None)),
        "open": await bench.sends(session.get_open_orders(None)),
    }
    assert {name: [(sent.path, sent.document) for sent in requests] for name, requests in asked.items()} == {
        "book": [("/market-data.grvt.io/full/v1/book", {**market, "depth": 10})],
        "mark_price": [("/market-data.grvt.io/full/v1/ticker", market)],
        "funding": [("/market-data.grvt.io/full/v1/ticker", market)],
        "balance": [("/trades.grvt.io/full/v1/account_summary", own)],
        "fills": [("/trades.grvt.io/full/v1/fill_history", {**own, **pair, "limit": 10})],
        "positions": [("/trades.grvt.io/full/v1/positions", own)],
        "open": [("/trades.grvt.io/full/v1/open_orders", own)],
    }
    public = [sent for name in ("book", "mark_price", "funding") for sent in asked[name]]
    assert not [sent for sent in public if "Cookie" in sent.headers]
