"""Pacifica: what is signed and until when, protection in one message, orders found in what is public."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from solders.keypair import Keypair
from solders.signature import Signature

from adapters.base import Grouping
from normalization.orders import Limit, Market, Order, OrderStatus, PostOnly, Side, Stop, TakeProfit, TimeInForce
from normalization.venue_failures import Reason, VenueDeferred, VenueFailure, VenueRejected, VenueUnclear
from tests.adapters.ccxt.benches import Bench, bench_of, outcome
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recorded.pacifica import ACCOUNT, PacificaWire, error, ok, signed_text
from tests.adapters.ccxt.recorded.wire import query
from tests.adapters.ccxt.recording_server import Answer, Sent, said

ORDER = PostOnly(price=Decimal(50_000))
HOUR_MS = 3_600_000


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench[PacificaWire]]:
    async with bench_of("pacifica", PacificaWire(), tmp_path) as opened:
        yield opened


def owner() -> PacificaWire:
    """An account whose own key signs."""
    wire = PacificaWire()
    wire.secrets = {**wire.secrets, "private_key": str(Keypair.from_seed(bytes(range(32))))}
    return wire


async def test_an_order_is_void_when_its_time_is_over(bench: Bench[PacificaWire]) -> None:
    await bench.session.place_order(bench.rig.order(ORDER))
    (placed,) = bench.placements()
    assert placed.document["timestamp"] + placed.document["expiry_window"] == NOW_MS + 10_000


async def test_a_post_only_order_is_one_and_fill_or_kill_is_refused(bench: Bench[PacificaWire]) -> None:
    await bench.session.place_order(bench.rig.order(ORDER))
    killed = bench.rig.order(Limit(price=Decimal(50_000), time_in_force=TimeInForce.FOK))
    assert isinstance(await outcome(bench.session.place_order(killed)), VenueRejected)
    assert [sent.document["tif"] for sent in bench.placements()] == ["ALO"]


@pytest.mark.parametrize("lost_zeros", ["the key's", "the signature's"])
async def test_a_signature_keeps_the_zeros_that_it_begins_with(lost_zeros: str, tmp_path: Path) -> None:
    """A key in a hundred and a signature in a hundred begin so."""
    seeds = (number.to_bytes(32, "big") for number in range(1, 10_000))
    keys = (Keypair.from_seed(seed if lost_zeros == "the key's" else seed[::-1]) for seed in seeds)
    async with bench_of("pacifica", PacificaWire(), tmp_path) as bench:
        order = bench.rig.order(ORDER)
        await bench.session.place_order(order)
        body = bench.placements()[0].document
        text = signed_text("create_order", body).encode()
        wanted = next(key for key in keys if lost_zeros == "the key's" or bytes(key.sign_message(text))[0] == 0)
        session = await bench.rig.open({**bench.wire.secrets, "private_key": str(wanted)})
        again = msgspec.structs.replace(order, client_id=body["client_order_id"])
        bench.rig.server.sent.clear()
        await outcome(session.place_order(again))
        sent = bench.placements()[0].document
    assert Signature.from_string(sent["signature"]).verify(wanted.pubkey(), text)


async def test_protection_is_one_message_with_the_size_and_the_id_of_each_leg(bench: Bench[PacificaWire]) -> None:
    await bench.session.place_order(bench.rig.order(Market()))
    legs = [
        bench.rig.order(Stop(trigger_price=Decimal(50_000)), side=Side.SELL, reduce_only=True),
        bench.rig.order(TakeProfit(trigger_price=Decimal(70_000)), side=Side.SELL, reduce_only=True),
    ]
    named = [
        msgspec.structs.replace(leg, client_id=bench.rig.row.client_id(bytes([n]) * 16)) for n, leg in enumerate(legs)
    ]
    outcomes = await bench.session.place_orders(named, Grouping.ONE_CANCELS_OTHER)
    (sent,) = bench.rig.sent_to("POST", "/api/v1/positions/tpsl")
    told = {name: sent.document[name] for name in ("symbol", "side", "stop_loss", "take_profit")}
    assert told == {
        "symbol": "BTC",
        "side": "ask",
        "stop_loss": {"stop_price": "50000", "amount": "0.01", "client_order_id": named[0].client_id},
        "take_profit": {"stop_price": "70000", "amount": "0.01", "client_order_id": named[1].client_id},
    }
    assert [leg.client_id for leg in outcomes if isinstance(leg, Order)] == [leg.client_id for leg in named]


async def test_protection_whose_answer_was_lost_is_unclear_for_both_legs(bench: Bench[PacificaWire]) -> None:
    legs = [
        bench.rig.order(execution, side=Side.SELL, reduce_only=True)
        for execution in (Stop(trigger_price=Decimal(50_000)), TakeProfit(trigger_price=Decimal(70_000)))
    ]
    bench.wire.instead = {"POST /api/v1/positions/tpsl": Answer(b"")}
    assert isinstance(await outcome(bench.session.place_orders(legs, Grouping.ONE_CANCELS_OTHER)), VenueUnclear)


async def test_a_take_profit_without_a_stop_is_refused_before_it_is_sent(bench: Bench[PacificaWire]) -> None:
    alone = bench.rig.order(TakeProfit(trigger_price=Decimal(70_000)), side=Side.SELL)
    refused = await outcome(bench.session.place_order(alone))
    assert isinstance(refused, VenueRejected)
    assert "together with a stop" in refused.text
    assert bench.placements() == []


async def test_canceling_everything_takes_what_waits_for_a_trigger_along(bench: Bench[PacificaWire]) -> None:
    await bench.session.place_order(bench.rig.order(ORDER))
    waiting = bench.rig.order(Stop(trigger_price=Decimal(70_000)))
    await bench.session.place_order(msgspec.structs.replace(waiting, client_id=bench.rig.row.client_id(b"w" * 16)))
    await bench.session.cancel_all(bench.rig.btc)
    assert bench.wire.book.open_orders() == []


async def test_a_market_order_tells_at_what_price_it_was_filled(bench: Bench[PacificaWire]) -> None:
    placed = await bench.session.place_order(bench.rig.order(Market()))
    found = await bench.session.get_order(placed.order_id, bench.rig.btc)
    assert (found.status, found.average_price) == (OrderStatus.FILLED, Decimal(60_010))


def past(number: int, created_ms: int, client_id: str | None = None) -> dict[str, Any]:
    return {"order_id": number, "created_at": created_ms, "client_order_id": client_id}


def pages(*found: list[dict[str, Any]]) -> dict[str, Answer]:
    """The history in pages, each under the cursor that the one before it names."""
    return {
        str(number or ""): said({**ok(rows), "has_more": number + 1 < len(found), "next_cursor": str(number + 1)})
        for number, rows in enumerate(found)
    }


async def look_through(bench: Bench[PacificaWire], found: dict[str, Answer]) -> tuple[Any, int]:
    """What comes of looking for an order in that history, and how many pages were read."""

    def answer(sent: Sent) -> Answer:
        return found[query(sent).get("cursor", "")]

    bench.rig.replies["GET /api/v1/orders/history"] = answer
    result = await outcome(bench.session.find_order(bench.rig.client_id, bench.rig.btc))
    return result, len(bench.rig.sent_to("GET", "/api/v1/orders/history"))


async def test_the_history_is_read_until_the_order_is_found(bench: Bench[PacificaWire]) -> None:
    execution = Limit(price=Decimal(50_000), time_in_force=TimeInForce.IOC)
    placed = await bench.session.place_order(bench.rig.order(execution))
    ours = past(int(placed.order_id), NOW_MS, bench.rig.client_id)
    found, read = await look_through(bench, pages([past(1, NOW_MS)], [past(2, NOW_MS), ours], [past(3, NOW_MS)]))
    assert (found.order_id, found.status, read) == (placed.order_id, OrderStatus.CANCELED, 2)


async def test_the_history_is_read_no_further_back_than_an_order_can_be_in_doubt(bench: Bench[PacificaWire]) -> None:
    found, read = await look_through(bench, pages([past(1, NOW_MS)], [past(2, NOW_MS - 26 * HOUR_MS)], [past(3, 0)]))
    assert (found, read) == (None, 2)


async def test_more_history_than_can_be_read_proves_nothing(bench: Bench[PacificaWire]) -> None:
    found, _ = await look_through(bench, pages(*([past(n, NOW_MS)] for n in range(40))))
    assert isinstance(found, VenueUnclear)


@pytest.mark.parametrize(
    ("answer", "failure", "reason"),
    [
        (error(5, "Insufficient balance"), VenueRejected, Reason.INSUFFICIENT_FUNDS),
        (error(14, "Engine"), VenueUnclear, Reason.VENUE_UNAVAILABLE),
        (error(6, "Order not found"), VenueUnclear, Reason.OTHER),
        (error(429, "Too many requests", 429), VenueDeferred, Reason.VENUE_RATE_LIMITED),
        (
            said({"success": False, "error": "no", "code": 400, "error_id": "signature_verification_failed"}, 400),
            VenueRejected,
            Reason.AUTHENTICATION_FAILED,
        ),
    ],
)
async def test_a_code_means_what_it_proves(
    answer: Answer, failure: type[VenueFailure], reason: Reason, bench: Bench[PacificaWire]
) -> None:
    assert await bench.verdict_on(answer, bench.rig.order(ORDER)) == (failure, reason)


async def test_an_agent_is_proved_by_a_cancel_and_the_accounts_own_key_is_warned_of(
    bench: Bench[PacificaWire], tmp_path: Path
) -> None:
    assert await bench.session.test() == []
    assert all(sent.method == "POST" for sent in await bench.sends(bench.session.test()))
    async with bench_of("pacifica", owner(), tmp_path / "owner") as own:
        own.wire.instead = {"POST .+": error(6, "Order not found")}
        (warning,) = await own.session.test()
        (sent, _) = own.rig.server.sent
    assert "withdraw" in warning
    assert (sent.document["account"], "agent_wallet" in sent.document) == (ACCOUNT, False)


async def test_a_key_that_the_account_does_not_know_is_told(tmp_path: Path) -> None:
    wire = PacificaWire()
    wire.instead = {"POST .+": error(400, "Verification failed: signature does not match signer", 400)}
    async with bench_of("pacifica", wire, tmp_path) as bench:
        failure = await outcome(bench.session.test())
    assert isinstance(failure, VenueRejected)
    assert failure.reason is Reason.AUTHENTICATION_FAILED


async def test_reads_ask_for_what_they_need_and_no_more(bench: Bench[PacificaWire]) -> None:
    session, btc = bench.session, bench.rig.btc
    asked = {
        "book": await bench.sends(session.get_orderbook(btc, 5)),
        "candles": await bench.sends(session.get_candles(btc, 60, 3)),
        "mark": await bench.sends(session.get_mark_price(btc)),
        "funding": await bench.sends(session.get_funding_rate(btc)),
        "summaries": await bench.sends(session.get_markets_with_funding()),
        "fees": await bench.sends(session.get_fees(btc)),
        "balance": await bench.sends(session.get_balance()),
        "fills": await bench.sends(session.get_fills(btc, 10)),
        "positions": await bench.sends(session.get_positions(None)),
        "open": await bench.sends(session.get_open_orders(btc)),
    }
    paths = {name: sorted(sent.path.split("&end_time")[0] for sent in requests) for name, requests in asked.items()}
    assert paths == {
        "book": ["/api/v1/book?symbol=BTC&agg_level=1"],
        "candles": [f"/api/v1/kline?symbol=BTC&interval=1h&start_time={NOW_MS - 2 * HOUR_MS}"],
        "mark": ["/api/v1/info/prices"],
        "funding": ["/api/v1/info/prices"],
        "summaries": ["/api/v1/info/prices"],
        "fees": [f"/api/v1/account?account={ACCOUNT}"],
        "balance": [f"/api/v1/account?account={ACCOUNT}"],
        "fills": [f"/api/v1/trades/history?account={ACCOUNT}&symbol=BTC&limit=10"],
        "positions": [
            f"/api/v1/account/settings?account={ACCOUNT}",
            "/api/v1/info/prices",
            f"/api/v1/positions?account={ACCOUNT}",
        ],
        "open": [f"/api/v1/orders?account={ACCOUNT}"],
    }
