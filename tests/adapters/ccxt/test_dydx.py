"""dYdX: transactions taken apart, sizes of every market exact, what a node says and what an indexer says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import coincurve
import msgspec
import pytest

from adapters.base import Network
from adapters.ccxt_venues.bech32 import is_bech32
from adapters.ccxt_venues.dydx import address_of
from normalization.errors import ExchangeError
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
from normalization.venue_failures import Reason, VenueFailure, VenueRejected, VenueUnclear
from tests.adapters.ccxt.benches import Bench, bench_of, outcome
from tests.adapters.ccxt.orders_to_place import NOW_MS, submission
from tests.adapters.ccxt.recorded.dydx import (
    ADDRESS,
    HEIGHT,
    KEY,
    MARKET,
    DydxWire,
    message_of,
    missing,
    refusal,
    sequence_of,
)
from tests.adapters.ccxt.recording_server import Answer, said

ORDER = PostOnly(price=Decimal(50_000))
ACCOUNT_INFO = ("GET", f"/cosmos/auth/v1beta1/account_info/{ADDRESS}")
SHORT_TERM, CONDITIONAL, LONG_TERM = 0, 32, 64
TESTNET = "dydx-testnet-4"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench[DydxWire]]:
    async with bench_of("dydx", DydxWire(), tmp_path) as opened:
        yield opened


def messages(bench: Bench[DydxWire]) -> list[Any]:
    return [message_of(sent, bench.wire.chain) for sent in bench.placements()]


def test_an_address_is_that_of_the_venues_own_example() -> None:
    key = coincurve.PrivateKey(bytes.fromhex("e92a6595c934c991d3b3e987ea9b3125bf61a076deab3a9cb519787b7b3e8d77"))
    address = address_of(key.public_key.format(compressed=True))
    assert address == "dydx14zzueazeh0hj67cghhf9jypslcf9sh2n5k6art"
    assert is_bech32("dydx", address)
    for wrong in (address[:-1] + "q", address.replace("dydx1", "cosmos1"), address.upper(), address[:-1], ""):
        assert not is_bech32("dydx", wrong)


async def test_a_key_of_another_address_opens_nothing(bench: Bench[DydxWire]) -> None:
    with pytest.raises(ExchangeError):
        await bench.rig.open({**bench.wire.secrets, "private_key": "22" * 32})


@pytest.mark.parametrize(
    ("execution", "side", "kind", "time_in_force", "condition"),
    [
        (Limit(price=Decimal(50_000)), Side.BUY, LONG_TERM, 0, 0),
        (ORDER, Side.SELL, LONG_TERM, 2, 0),
        (Limit(price=Decimal(50_000), time_in_force=TimeInForce.IOC), Side.BUY, SHORT_TERM, 1, 0),
        (Market(), Side.SELL, SHORT_TERM, 1, 0),
        (Stop(trigger_price=Decimal(49_000)), Side.SELL, CONDITIONAL, 1, 1),
        (TakeProfit(trigger_price=Decimal(70_000)), Side.SELL, CONDITIONAL, 1, 2),
    ],
)
async def test_an_order_is_signed_as_it_was_meant(
    execution: Execution, side: Side, kind: int, time_in_force: int, condition: int, bench: Bench[DydxWire]
) -> None:
    order = bench.rig.order(execution, side=side)
    placed = await bench.session.place_order(order)
    (message,) = messages(bench)
    told = message.order
    assert (told.order_id.client_id, told.order_id.order_flags) == (int(order.client_id), kind)
    assert (told.quantums, told.time_in_force, told.condition_type) == (100_000_000, time_in_force, condition)
    assert told.side == (1 if side is Side.BUY else 2)
    found = await bench.session.get_order(placed.order_id, bench.rig.btc)
    assert (found.client_id, found.side, found.size) == (order.client_id, side, order.intent.size)


async def test_what_cannot_rest_is_good_for_some_blocks_and_what_rests_for_weeks(bench: Bench[DydxWire]) -> None:
    await bench.session.place_order(bench.rig.order(Market()))
    resting = msgspec.structs.replace(bench.rig.order(ORDER), client_id="7")
    await bench.session.place_order(resting)
    taking, rests = (message.order for message in messages(bench))
    assert (taking.good_til_block, taking.good_til_block_time) == (HEIGHT + 10, 0)
    assert (rests.good_til_block, rests.good_til_block_time) == (0, NOW_MS // 1000 + 30 * 86_400)


async def test_a_transaction_is_numbered_by_the_moment_so_that_it_is_soon_void(bench: Bench[DydxWire]) -> None:
    for number in range(3):
        await bench.session.place_order(msgspec.structs.replace(bench.rig.order(ORDER), client_id=str(number + 1)))
    moments = [sequence_of(sent) for sent in bench.placements()]
    assert len(set(moments)) == 3
    assert all(0 <= moment - NOW_MS < 1_000 for moment in moments)


@pytest.mark.parametrize(
    ("resolution", "size", "quantums", "price", "subticks"),
    [
        (1, "20000000", 2_000_000, "0.0000123", 123_000_000_000),
        (0, "2000000", 2_000_000, "0.0000123", 12_300_000_000),
        (-9, "0.1", 100_000_000, "1234.5", 1_234_500_000),
    ],
)
async def test_a_size_is_the_one_that_was_meant_in_markets_of_every_price(
    resolution: int, size: str, quantums: int, price: str, subticks: int, tmp_path: Path
) -> None:
    wire = DydxWire()
    step = Decimal(1_000_000).scaleb(resolution)
    tick = Decimal(100_000).scaleb(-(resolution + 15))
    particular = {"ticker": "PEPE-USD", "clobPairId": "25", "atomicResolution": resolution, "subticksPerTick": 100_000}
    wire.markets["PEPE-USD"] = {**MARKET, **particular, "stepSize": f"{step:f}", "tickSize": f"{tick:f}"}
    async with bench_of("dydx", wire, tmp_path) as bench:
        pepe = bench.rig.markets.resolve("PEPE")
        order = submission(pepe, PostOnly(price=Decimal(price)), size=size, client_id=bench.rig.client_id)
        await outcome(bench.session.place_order(order))
        (message,) = messages(bench)
    assert (message.order.quantums, message.order.subticks) == (quantums, subticks)


async def test_the_testnet_has_a_chain_of_its_own(tmp_path: Path) -> None:
    async with bench_of("dydx", DydxWire(TESTNET), tmp_path, Network.TESTNET) as bench:
        assert (await bench.session.place_order(bench.rig.order(ORDER))).status is OrderStatus.OPEN


async def test_the_account_is_asked_for_once_and_the_height_only_where_it_is_needed(bench: Bench[DydxWire]) -> None:
    orders = [msgspec.structs.replace(bench.rig.order(ORDER), client_id=str(n)) for n in range(1, 5)]
    await asyncio.gather(*(bench.session.place_order(order) for order in orders))
    assert len(bench.rig.sent_to(*ACCOUNT_INFO)) == 1
    assert bench.rig.sent_to("GET", "/abci_info") == []
    await bench.session.place_order(bench.rig.order(Market()))
    assert len(bench.rig.sent_to("GET", "/abci_info")) == 1


@pytest.mark.parametrize("path", ["/abci_info", ACCOUNT_INFO[1]])
async def test_what_is_asked_before_an_order_and_fails_says_that_nothing_was_sent(
    path: str, bench: Bench[DydxWire]
) -> None:
    bench.wire.instead = {f"GET {path}": Answer(b"", 503)}
    failure = await outcome(bench.session.place_order(bench.rig.order(Market())))
    assert isinstance(failure, VenueFailure)
    assert not isinstance(failure, VenueUnclear)
    assert bench.placements() == []


@pytest.mark.parametrize(
    ("execution", "kind"), [(ORDER, LONG_TERM), (Stop(trigger_price=Decimal(70_000)), CONDITIONAL)]
)
async def test_a_cancel_names_the_kind_of_order_that_it_is_for(
    execution: Execution, kind: int, bench: Bench[DydxWire]
) -> None:
    placed = await bench.session.place_order(bench.rig.order(execution))
    await bench.session.cancel_order(placed.order_id, None)
    assert [message.order_id.order_flags for message in messages(bench)[1:]] == [kind]
    assert bench.wire.book.open_orders() == []


async def test_an_order_is_canceled_by_our_number_whatever_its_kind(bench: Bench[DydxWire]) -> None:
    await bench.session.place_order(bench.rig.order(Stop(trigger_price=Decimal(70_000))))
    await bench.session.cancel_by_client_id(bench.rig.client_id, bench.rig.btc)
    assert bench.wire.book.open_orders() == []


async def test_an_order_that_is_over_cannot_be_canceled(bench: Bench[DydxWire]) -> None:
    placed = await bench.session.place_order(bench.rig.order(Market()))
    refused = await outcome(bench.session.cancel_order(placed.order_id, bench.rig.btc))
    assert (type(refused), refused.reason) == (VenueRejected, Reason.ORDER_ALREADY_CLOSED)


@pytest.mark.parametrize(
    ("updated", "status"),
    [("2027-01-15T07:59:55.000Z", OrderStatus.OPEN), ("2027-01-15T07:59:00.000Z", OrderStatus.CANCELED)],
)
async def test_what_one_node_canceled_is_final_when_blocks_have_settled_it(
    updated: str, status: OrderStatus, bench: Bench[DydxWire]
) -> None:
    """It is eight o'clock."""
    placed = await bench.session.place_order(bench.rig.order(ORDER))
    told = {**bench.wire.told(bench.wire.book.latest), "status": "BEST_EFFORT_CANCELED", "updatedAt": updated}
    bench.wire.instead = {"GET /v4/orders/.+": said(told)}
    assert (await bench.session.get_order(placed.order_id, bench.rig.btc)).status is status


async def test_a_filled_order_tells_its_price_and_fee_where_all_its_fills_are_known(bench: Bench[DydxWire]) -> None:
    placed = await bench.session.place_order(bench.rig.order(Market()))
    found = await bench.session.get_order(placed.order_id, bench.rig.btc)
    assert (found.status, found.average_price, found.fee) == (
        OrderStatus.FILLED,
        Decimal(60_010),
        Decimal("0.30005"),
    )
    bench.wire.instead = {"GET /v4/fills": said({"fills": []})}
    assert (await bench.session.get_order(placed.order_id, bench.rig.btc)).average_price is None


async def test_an_order_of_another_number_proves_nothing(bench: Bench[DydxWire]) -> None:
    await bench.session.place_order(bench.rig.order(ORDER))
    told = {**bench.wire.told(bench.wire.book.latest), "clientId": "5"}
    bench.wire.instead = {"GET /v4/orders/.+": said(told)}
    assert isinstance(await outcome(bench.session.find_order(bench.rig.client_id, bench.rig.btc)), VenueUnclear)


async def test_that_one_of_three_questions_failed_is_not_that_there_is_no_order(bench: Bench[DydxWire]) -> None:
    answers = [missing("Unable to find order id"), Answer(b"", 503), missing("Unable to find order id")]
    bench.wire.routes["GET /v4/orders/(.+)"] = lambda sent, order_id: answers.pop(0)
    failure = await outcome(bench.session.find_order(bench.rig.client_id, bench.rig.btc))
    assert isinstance(failure, VenueFailure)
    assert len(answers) == 1


@pytest.mark.parametrize(
    ("answer", "failure", "reason"),
    [
        (refusal("clob", 2003, "post only"), VenueRejected, Reason.POST_ONLY_WOULD_TAKE),
        (refusal("clob", 2000, "fok"), VenueRejected, Reason.NO_LIQUIDITY),
        # The same number means something else in another space.
        (refusal("ibc", 2003, "channel"), VenueUnclear, Reason.OTHER),
        (refusal("clob", 3006, "does not exist"), VenueUnclear, Reason.OTHER),
        (Answer(b"", 429), VenueUnclear, Reason.VENUE_RATE_LIMITED),
    ],
)
async def test_a_code_means_what_it_proves_in_its_space(
    answer: Answer, failure: type[VenueFailure], reason: Reason, bench: Bench[DydxWire]
) -> None:
    assert await bench.verdict_on(answer, bench.rig.order(ORDER)) == (failure, reason)


async def test_it_is_said_that_the_key_can_withdraw(bench: Bench[DydxWire]) -> None:
    (warning,) = await bench.session.test()
    assert "withdraw" in warning


async def test_a_trigger_order_is_told_as_what_it_is(bench: Bench[DydxWire]) -> None:
    placed = await bench.session.place_order(bench.rig.order(Stop(trigger_price=Decimal(70_000))))
    (found,) = await bench.session.get_open_orders(bench.rig.btc)
    assert (found.order_id, found.type, found.trigger_price) == (placed.order_id, OrderType.STOP, Decimal(70_000))


async def test_another_subaccount_is_another_account(tmp_path: Path) -> None:
    async with bench_of("dydx", DydxWire(), tmp_path) as bench:
        other = await bench.rig.open({"address": ADDRESS, "private_key": KEY, "subaccount_number": "3"})
        await bench.session.place_order(bench.rig.order(ORDER))
        await outcome(other.place_order(bench.rig.order(ORDER)))
        numbers = [message.order.order_id.subaccount_id.number for message in messages(bench)]
        (asked,) = await bench.sends(other.get_fills(bench.rig.btc, 10))
    assert numbers == [0, 3]
    assert "subaccountNumber=3" in asked.path


async def test_reads_ask_for_what_they_need_and_no_more(bench: Bench[DydxWire]) -> None:
    session, btc = bench.session, bench.rig.btc
    asked = {
        "book": await bench.sends(session.get_orderbook(btc, 5)),
        "mark": await bench.sends(session.get_mark_price(btc)),
        "funding": await bench.sends(session.get_funding_rate(btc)),
        "balance": await bench.sends(session.get_balance()),
        "fills": await bench.sends(session.get_fills(btc, 10)),
        "positions": await bench.sends(session.get_positions(None)),
    }
    own = f"address={ADDRESS}"
    host = "/indexer.dydx.trade/v4"
    assert {name: sorted(sent.path for sent in requests) for name, requests in asked.items()} == {
        "book": [f"{host}/orderbooks/perpetualMarket/BTC-USD"],
        "mark": [f"{host}/perpetualMarkets?ticker=BTC-USD"],
        "funding": [f"{host}/perpetualMarkets?ticker=BTC-USD"],
        "balance": [f"{host}/addresses/{ADDRESS}/subaccountNumber/0"],
        "fills": [f"{host}/fills?{own}&limit=10&market=BTC-USD&marketType=PERPETUAL&subaccountNumber=0"],
        "positions": [
            f"{host}/perpetualMarkets",
            f"{host}/perpetualPositions?{own}&status=OPEN&subaccountNumber=0",
        ],
    }
