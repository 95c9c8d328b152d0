"""Extended: what is signed, what a trigger says, how long an order lives, and what its replies prove."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from pathlib import Path
from typing import Any

import ccxt  # type: ignore[import-untyped]
import pytest

from adapters.base import Network
from normalization.accounts import Balance
from normalization.orders import Execution, Limit, Market, OrderStatus, PostOnly, Side, Stop, TakeProfit, TimeInForce
from normalization.venue_failures import Reason, VenueDeferred, VenueFailure, VenueRejected, VenueUnclear
from tests.adapters.ccxt import stark_curve
from tests.adapters.ccxt.benches import Bench, bench_of, outcome
from tests.adapters.ccxt.bridge_rig import path_of
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recorded.extended import MARKET, PRIVATE_KEY, PUBLIC_KEY, VAULT, ExtendedWire, error, ok
from tests.adapters.ccxt.recording_server import Answer, said

DAY_MS = 86_400_000
RESTS_UNTIL_MS = NOW_MS + 27 * DAY_MS
REQUEST_UNTIL_MS = NOW_MS + 10_000
ORDER = PostOnly(price=Decimal(50_000))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench[ExtendedWire]]:
    async with bench_of("extended", ExtendedWire(), tmp_path) as opened:
        yield opened


def settlement_of(body: Any) -> dict[str, str]:
    """What an order of that content settles, worked out from the venue's rules alone."""
    buys = body["side"] == "BUY"
    size, value = Decimal(body["qty"]), Decimal(body["qty"]) * Decimal(body["price"])
    rules, rounding = MARKET["l2Config"], ROUND_UP if buys else ROUND_DOWN
    base = int((size * rules["syntheticResolution"]).to_integral_value(rounding))
    quote = int((value * rules["collateralResolution"]).to_integral_value(rounding))
    fee = (Decimal(body["fee"]) * value * rules["collateralResolution"]).to_integral_value(ROUND_UP)
    return {
        "starkKey": PUBLIC_KEY,
        "collateralPosition": VAULT,
        "baseAssetId": rules["syntheticId"],
        "baseAmount": str(base if buys else -base),
        "quoteAssetId": rules["collateralId"],
        "quoteAmount": str(-quote if buys else quote),
        "feeAssetId": rules["collateralId"],
        "feeAmount": str(int(fee)),
        "expiration": str(-(-body["expiryEpochMillis"] // 1000) + 14 * 86_400),
        "salt": body["nonce"],
    }


@pytest.mark.parametrize(
    ("network", "side", "size"),
    [
        (Network.MAINNET, Side.BUY, "0.00123"),
        (Network.MAINNET, Side.SELL, "12.34567"),
        (Network.TESTNET, Side.BUY, "1"),
    ],
)
async def test_what_is_signed_is_what_the_order_says(network: Network, side: Side, size: str, tmp_path: Path) -> None:
    plain: Any = ccxt.extended()
    plain.set_sandbox_mode(network is Network.TESTNET)
    async with bench_of("extended", ExtendedWire(), tmp_path, network) as bench:
        await bench.session.place_order(bench.rig.order(Limit(price=Decimal(54_321)), side=side, size=size))
        (placed,) = bench.placements()
    signature = placed.document["settlement"]["signature"]
    message = int(plain.get_extended_order_msg_hash(settlement_of(placed.document)), 16)
    assert stark_curve.is_signed_by(int(PRIVATE_KEY, 16), message, int(signature["r"], 16), int(signature["s"], 16))


@pytest.mark.parametrize(
    ("execution", "side", "direction"),
    [
        (Stop(trigger_price=Decimal(70_000)), Side.BUY, "UP"),
        (Stop(trigger_price=Decimal(50_000)), Side.SELL, "DOWN"),
        (TakeProfit(trigger_price=Decimal(50_000)), Side.BUY, "DOWN"),
        (TakeProfit(trigger_price=Decimal(70_000)), Side.SELL, "UP"),
    ],
)
async def test_a_trigger_waits_on_the_side_that_was_meant(
    execution: Stop | TakeProfit, side: Side, direction: str, bench: Bench[ExtendedWire]
) -> None:
    order = bench.rig.order(execution, side=side)
    placed = await bench.session.place_order(order)
    trigger = bench.placements()[0].document["trigger"]
    assert (trigger["direction"], trigger["triggerPriceType"], trigger["executionPriceType"]) == (
        direction,
        "MARK",
        "MARKET",
    )
    found = await bench.session.get_order(placed.order_id, bench.rig.btc)
    assert (found.type, found.trigger_price) == (order.intent.type, execution.trigger_price)


@pytest.mark.parametrize(
    ("execution", "until_ms"),
    [
        (Limit(price=Decimal(50_000)), RESTS_UNTIL_MS),
        (ORDER, RESTS_UNTIL_MS),
        (Stop(trigger_price=Decimal(70_000)), RESTS_UNTIL_MS),
        (Limit(price=Decimal(50_000), time_in_force=TimeInForce.IOC), REQUEST_UNTIL_MS),
        (Limit(price=Decimal(50_000), time_in_force=TimeInForce.FOK), REQUEST_UNTIL_MS),
        (Market(), REQUEST_UNTIL_MS),
    ],
)
async def test_what_rests_lives_for_weeks_and_what_does_not_for_its_request(
    execution: Execution, until_ms: int, bench: Bench[ExtendedWire]
) -> None:
    await bench.session.place_order(bench.rig.order(execution))
    assert [sent.document["expiryEpochMillis"] for sent in bench.placements()] == [until_ms]


async def test_no_two_orders_share_a_nonce_of_the_venues_range(bench: Bench[ExtendedWire]) -> None:
    for number in range(5):
        bench.rig.client_id = f"{number:032x}"
        await bench.session.place_order(bench.rig.order(ORDER))
    nonces = [int(sent.document["nonce"]) for sent in bench.placements()]
    assert len(set(nonces)) == 5
    assert all(1 <= nonce < 2**31 for nonce in nonces)


async def test_an_amount_that_cannot_be_settled_is_refused_and_nothing_else_dies(bench: Bench[ExtendedWire]) -> None:
    refused = await outcome(bench.session.place_order(bench.rig.order(ORDER, size="9" * 15)))
    assert isinstance(refused, VenueRejected)
    assert bench.placements() == []


@pytest.mark.parametrize(
    ("answer", "failure", "reason"),
    [
        (error(1140, "Not enough funds"), VenueRejected, Reason.INSUFFICIENT_FUNDS),
        (error(1141, "Invalid price"), VenueRejected, Reason.PRICE_OUT_OF_RANGE),
        (error(1006, "Internal"), VenueUnclear, Reason.VENUE_UNAVAILABLE),
        (error(1142, "Edit order not found"), VenueUnclear, Reason.OTHER),
        (said({"status": "ERROR", "error": {"code": 429}}, 429), VenueDeferred, Reason.VENUE_RATE_LIMITED),
    ],
)
async def test_a_code_means_what_it_proves(
    answer: Answer, failure: type[VenueFailure], reason: Reason, bench: Bench[ExtendedWire]
) -> None:
    assert await bench.verdict_on(answer, bench.rig.order(ORDER)) == (failure, reason)


async def test_an_order_that_is_over_is_found_in_the_history(bench: Bench[ExtendedWire]) -> None:
    placed = await bench.session.place_order(bench.rig.order(ORDER))
    await bench.session.cancel_order(placed.order_id, bench.rig.btc)
    bench.wire.instead = {"GET /api/v1/user/orders/external/.+": error(404, "Order not found", 404)}
    found = await bench.session.find_order(bench.rig.client_id, bench.rig.btc)
    assert found is not None
    assert (found.order_id, found.status) == (placed.order_id, OrderStatus.CANCELED)


async def test_the_order_of_another_id_proves_nothing(bench: Bench[ExtendedWire]) -> None:
    await bench.session.place_order(bench.rig.order(ORDER))
    other = {**bench.wire.told(bench.wire.book.latest), "externalId": "f" * 32}
    bench.wire.instead = {"GET /api/v1/user/orders/external/.+": said(ok([other]))}
    assert isinstance(await outcome(bench.session.find_order(bench.rig.client_id, bench.rig.btc)), VenueUnclear)


async def test_an_account_that_holds_nothing_has_a_balance_of_nothing(bench: Bench[ExtendedWire]) -> None:
    bench.wire.instead = {"GET /api/v1/user/balance": error(404, "Balance not found", 404)}
    nothing = Decimal(0)
    assert await bench.session.get_balance() == Balance(equity=nothing, free_collateral=nothing, account_value=nothing)


async def test_a_key_of_another_account_is_found_out_before_an_order_is(tmp_path: Path) -> None:
    wire = ExtendedWire()
    wire.secrets = {**wire.secrets, "vault": "10003"}
    async with bench_of("extended", wire, tmp_path) as bench:
        failure = await outcome(bench.session.test())
    assert isinstance(failure, VenueRejected)
    assert failure.reason is Reason.AUTHENTICATION_FAILED


async def test_it_is_said_that_the_key_can_withdraw(bench: Bench[ExtendedWire]) -> None:
    (warning,) = await bench.session.test()
    assert "withdraw" in warning


async def test_what_protects_a_whole_position_is_not_taken_for_an_order(bench: Bench[ExtendedWire]) -> None:
    await bench.session.place_order(bench.rig.order(ORDER))
    order = bench.wire.told(bench.wire.book.latest)
    bench.wire.instead = {"GET /api/v1/user/orders": said(ok([order, {**order, "type": "TPSL", "qty": "0"}]))}
    assert len(await bench.session.get_open_orders(None)) == 1


async def test_reads_ask_for_what_they_need_and_no_more(bench: Bench[ExtendedWire]) -> None:
    session, btc = bench.session, bench.rig.btc
    asked = {
        "book": await bench.sends(session.get_orderbook(btc, 5)),
        "candles": await bench.sends(session.get_candles(btc, 60, 3)),
        "mark": await bench.sends(session.get_mark_price(btc)),
        "funding": await bench.sends(session.get_funding_rate(btc)),
        "fees": await bench.sends(session.get_fees(btc)),
        "fills": await bench.sends(session.get_fills(btc, 10)),
        "positions": await bench.sends(session.get_positions(None)),
        "open": await bench.sends(session.get_open_orders(btc)),
    }
    assert {name: [sent.path for sent in requests] for name, requests in asked.items()} == {
        "book": ["/api/v1/info/markets/BTC-USD/orderbook"],
        "candles": ["/api/v1/info/candles/BTC-USD/trades?interval=PT1H&limit=3"],
        "mark": ["/api/v1/info/markets/BTC-USD/stats"],
        "funding": ["/api/v1/info/markets/BTC-USD/stats"],
        "fees": ["/api/v1/user/fees?market=BTC-USD"],
        "fills": ["/api/v1/user/trades?market=BTC-USD&limit=10"],
        "positions": ["/api/v1/user/positions"],
        "open": ["/api/v1/user/orders?market=BTC-USD"],
    }
    private = [sent for requests in asked.values() for sent in requests if path_of(sent).startswith("/api/v1/user")]
    assert {sent.headers["X-Api-Key"] for sent in private} == {bench.wire.secrets["api_key"]}
