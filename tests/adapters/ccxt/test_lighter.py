"""Lighter: transactions as the native signer makes them, one key per slot at a time, orders by our own number."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.base import Network
from adapters.ccxt_venues.lighter import INSTALL, LIGHTER, native_library
from normalization.errors import UnsupportedOperation
from normalization.orders import Execution, Limit, Market, OrderStatus, PostOnly, Side, Stop, TakeProfit, TimeInForce
from normalization.venue_failures import Reason, VenueDeferred, VenueFailure, VenueRejected, VenueUnclear
from tests.adapters.ccxt.benches import Bench, bench_of, outcome
from tests.adapters.ccxt.bridge_rig import path_of
from tests.adapters.ccxt.lighter_stand_in import CHAINS, LIBRARY, signature
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.recorded.lighter import ACCOUNT, KEY_INDEX, PRIVATE_KEY, LighterWire, error, transaction
from tests.adapters.ccxt.recording_server import Answer

ORDER = PostOnly(price=Decimal(50_000))
OTHER_KEY = PRIVATE_KEY[::-1]
SEND = ("POST", "/api/v1/sendTx")
# Of an order that rests, the signer's own; of one that waits, ours.
LIVES_UNTIL_MS = NOW_MS + 28 * 86_400_000
WAITS_UNTIL_MS = NOW_MS + 27 * 86_400_000


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench[LighterWire]]:
    async with bench_of("lighter", LighterWire(), tmp_path) as opened:
        yield opened


def contents(bench: Bench[LighterWire]) -> list[Any]:
    return [transaction(sent)[1] for sent in bench.rig.sent_to(*SEND)]


KINDS: dict[str, tuple[Execution, Side, dict[str, int]]] = {
    "limit": (
        Limit(price=Decimal("50000.5")),
        Side.BUY,
        {"Price": 500_005, "TimeInForce": 1, "OrderExpiry": LIVES_UNTIL_MS},
    ),
    "post only": (ORDER, Side.SELL, {"Price": 500_000, "IsAsk": 1, "TimeInForce": 2, "OrderExpiry": LIVES_UNTIL_MS}),
    "immediate or cancel": (
        Limit(price=Decimal(50_000), time_in_force=TimeInForce.IOC),
        Side.BUY,
        {"Price": 500_000, "TimeInForce": 0, "OrderExpiry": 0},
    ),
    "market": (Market(), Side.BUY, {"Price": 606_101, "TimeInForce": 0, "OrderExpiry": 0}),
    "stop": (
        Stop(trigger_price=Decimal(49_000)),
        Side.SELL,
        {"Price": 465_500, "IsAsk": 1, "Type": 2, "TriggerPrice": 490_000, "OrderExpiry": WAITS_UNTIL_MS},
    ),
    "take profit": (
        TakeProfit(trigger_price=Decimal(70_000)),
        Side.SELL,
        {"Price": 665_000, "IsAsk": 1, "Type": 4, "TriggerPrice": 700_000, "OrderExpiry": WAITS_UNTIL_MS},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_an_order_is_signed_as_it_was_meant(kind: str, bench: Bench[LighterWire]) -> None:
    execution, side, particular = KINDS[kind]
    await bench.session.place_order(bench.rig.order(execution, side=side))
    (content,) = contents(bench)
    expected = {
        "AccountIndex": ACCOUNT,
        "ApiKeyIndex": KEY_INDEX,
        "MarketIndex": 1,
        "ClientOrderIndex": int(bench.rig.client_id),
        "BaseAmount": 1_000,
        "IsAsk": 0,
        "Type": 0,
        "TimeInForce": 0,
        "ReduceOnly": 0,
        "TriggerPrice": 0,
        **particular,
        "L2TxAttributes": {"4": 1},
    }
    assert {name: content[name] for name in expected} == expected


@pytest.mark.parametrize("kind", KINDS)
async def test_the_native_signer_makes_of_it_what_the_stand_in_does(kind: str, tmp_path: Path) -> None:
    execution, side, _ = KINDS[kind]
    made = []
    for native in (False, True):
        async with bench_of("lighter", LighterWire(native=native), tmp_path / str(native)) as bench:
            await bench.session.place_order(bench.rig.order(execution, side=side))
            ((number, content),) = [transaction(sent) for sent in bench.rig.sent_to(*SEND)]
        assert content.pop("Sig")
        expiry, void = content.pop("OrderExpiry"), content.pop("ExpiredAt")
        made.append((number, content, expiry != 0, void > 0))
    assert made[0] == made[1]


async def test_the_native_signer_signs_cancels_leverage_and_questions_too(tmp_path: Path) -> None:
    asked = []
    for native in (False, True):
        async with bench_of("lighter", LighterWire(native=native), tmp_path / str(native)) as bench:
            placed = await bench.session.place_order(bench.rig.order(ORDER))
            session, btc = bench.session, bench.rig.btc
            await session.cancel_order(placed.order_id, btc)
            await session.cancel_all(btc)
            await session.set_leverage(btc, 5)
            await session.get_open_orders(btc)
            particular = {"Sig": 0, "ExpiredAt": 0, "OrderExpiry": 0, "Time": 0}
            asked.append(
                [
                    (path_of(sent), {**transaction(sent)[1], **particular})
                    if sent.method == "POST"
                    else (path_of(sent), sent.headers.get("Authorization", "").split(":")[:3])
                    for sent in bench.rig.server.sent
                ]
            )
    assert asked[0] == asked[1]


def test_without_the_signer_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UnsupportedOperation) as lacking:
        native_library()
    assert lacking.value.details == {"exchange": "lighter", "install": INSTALL}
    assert INSTALL in lacking.value.message


async def test_the_testnet_has_a_chain_of_its_own(tmp_path: Path) -> None:
    wire = LighterWire(CHAINS["testnet"])
    async with bench_of("lighter", wire, tmp_path, Network.TESTNET) as bench:
        assert (await bench.session.place_order(bench.rig.order(ORDER))).status is OrderStatus.OPEN


async def test_sessions_of_the_same_numbers_on_two_networks_each_sign_with_their_own_key(tmp_path: Path) -> None:
    """The library has one slot for both."""
    other = LighterWire(CHAINS["testnet"])
    other.secrets = {**other.secrets, "private_key": OTHER_KEY}
    async with (
        bench_of("lighter", LighterWire(), tmp_path / "a") as first,
        bench_of("lighter", other, tmp_path / "b", Network.TESTNET) as second,
    ):
        for number in range(3):
            for bench in (first, second):
                bench.rig.client_id = str(number + 1)
                await outcome(bench.session.place_order(bench.rig.order(ORDER)))
        both = await asyncio.gather(
            *(
                outcome(bench.session.place_order(msgspec.structs.replace(bench.rig.order(ORDER), client_id=str(n))))
                for n in range(10, 20)
                for bench in (first, second)
            )
        )
    assert len(both) == 20
    for bench, key, chain in ((first, PRIVATE_KEY, CHAINS["mainnet"]), (second, OTHER_KEY, CHAINS["testnet"])):
        signed = contents(bench)
        assert len(signed) == 13
        assert all(content["Sig"] == signature(key, chain, content) for content in signed)


async def test_a_key_is_forgotten_with_its_session_and_not_with_anothers(bench: Bench[LighterWire]) -> None:
    slot = (ACCOUNT, KEY_INDEX)
    await bench.session.place_order(bench.rig.order(ORDER))
    again = await bench.rig.open(bench.wire.secrets)
    await again.get_open_orders(None)
    await bench.session.close()
    assert LIBRARY.keys[slot][1] == PRIVATE_KEY
    await again.close()
    assert set(LIBRARY.keys[slot][1]) == {"0"}


async def test_nothing_that_is_done_registers_a_key(bench: Bench[LighterWire]) -> None:
    session, btc = bench.session, bench.rig.btc
    await session.test()
    await session.place_order(bench.rig.order(ORDER))
    await session.set_leverage(btc, 5)
    await session.cancel_all(btc)
    assert {transaction(sent)[0] for sent in bench.rig.sent_to(*SEND)} == {14, 16, 20}
    asked = {path_of(sent) for sent in bench.rig.server.sent}
    assert not [path for path in asked if "nextNonce" in path or "changeAccountTier" in path or "apikeys" in path]


async def test_nonces_only_grow_also_between_sessions_of_one_key(bench: Bench[LighterWire]) -> None:
    again = await bench.rig.open(bench.wire.secrets)
    for number in range(1, 5):
        session = again if number % 2 else bench.session
        order = msgspec.structs.replace(bench.rig.order(ORDER), client_id=str(number))
        await session.place_order(order)
    nonces = [content["Nonce"] for content in contents(bench)]
    assert nonces == sorted(set(nonces))


async def test_an_order_whose_time_has_passed_is_not_signed_for_ten_minutes_more(bench: Bench[LighterWire]) -> None:
    late = msgspec.structs.replace(bench.rig.order(ORDER), valid_until_ms=NOW_MS - 1)
    refused = await outcome(bench.session.place_order(late))
    assert isinstance(refused, VenueRejected)
    assert refused.reason is Reason.REQUEST_EXPIRED
    assert bench.placements() == []


async def test_an_order_goes_by_our_number_until_it_is_over(bench: Bench[LighterWire]) -> None:
    placed = await bench.session.place_order(bench.rig.order(ORDER))
    assert placed.order_id == placed.client_id == bench.rig.client_id
    await bench.session.cancel_order(placed.order_id, bench.rig.btc)
    found = await bench.session.get_order(placed.order_id, bench.rig.btc)
    assert (found.order_id, found.status) == (placed.order_id, OrderStatus.CANCELED)


async def test_an_order_of_another_number_proves_nothing(bench: Bench[LighterWire]) -> None:
    await bench.session.place_order(bench.rig.order(ORDER))
    other = {**bench.wire.told(bench.wire.book.latest), "client_order_index": 5}
    bench.rig.replies["GET /api/v1/accountOrders"] = {"code": 200, "orders": [other]}
    assert isinstance(await outcome(bench.session.find_order(bench.rig.client_id, bench.rig.btc)), VenueUnclear)


async def test_a_status_that_nobody_knows_proves_nothing(bench: Bench[LighterWire]) -> None:
    placed = await bench.session.place_order(bench.rig.order(ORDER))
    other = {**bench.wire.told(bench.wire.book.latest), "status": "canceled-by-the-moon"}
    bench.rig.replies["GET /api/v1/accountOrders"] = {"code": 200, "orders": [other]}
    assert isinstance(await outcome(bench.session.get_order(placed.order_id, bench.rig.btc)), VenueUnclear)


async def test_it_is_said_that_the_key_can_withdraw(bench: Bench[LighterWire]) -> None:
    (warning,) = await bench.session.test()
    assert "withdraw" in warning


async def test_a_key_that_the_account_does_not_know_is_told(tmp_path: Path) -> None:
    wire = LighterWire()
    wire.secrets = {**wire.secrets, "private_key": OTHER_KEY}
    async with bench_of("lighter", wire, tmp_path) as bench:
        failure = await outcome(bench.session.test())
    assert failure.reason is Reason.AUTHENTICATION_FAILED


@pytest.mark.parametrize(
    ("answer", "failure", "reason"),
    [
        (error(21739, "not enough margin"), VenueRejected, Reason.INSUFFICIENT_FUNDS),
        (error(21120, "invalid signature"), VenueRejected, Reason.AUTHENTICATION_FAILED),
        (error(29500, "internal"), VenueUnclear, Reason.VENUE_UNAVAILABLE),
        (error(21700, "order not found"), VenueUnclear, Reason.OTHER),
        (error(23000, "too many requests", 429), VenueDeferred, Reason.VENUE_RATE_LIMITED),
        (error(21104, "invalid nonce"), VenueDeferred, Reason.REQUEST_EXPIRED),
    ],
)
async def test_a_code_means_what_it_proves(
    answer: Answer, failure: type[VenueFailure], reason: Reason, bench: Bench[LighterWire]
) -> None:
    assert await bench.verdict_on(answer, bench.rig.order(ORDER)) == (failure, reason)


@pytest.mark.parametrize("index", ["0", "3", "255", "x", ""])
def test_an_index_that_ccxt_would_take_for_another_is_refused(index: str) -> None:
    field = next(field for field in LIGHTER.credential_fields if field.name == "api_key_index")
    assert field.check(index) is not None


async def test_reads_ask_for_what_they_need_and_no_more(bench: Bench[LighterWire]) -> None:
    session, btc = bench.session, bench.rig.btc
    account = f"account_index={ACCOUNT}"
    asked = {
        "book": await bench.sends(session.get_orderbook(btc, 5)),
        "mark": await bench.sends(session.get_mark_price(btc)),
        "funding": await bench.sends(session.get_funding_rate(btc)),
        "fees": await bench.sends(session.get_fees(btc)),
        "balance": await bench.sends(session.get_balance()),
        "fills": await bench.sends(session.get_fills(btc, 10)),
        "positions": await bench.sends(session.get_positions(None)),
        "open": await bench.sends(session.get_open_orders(btc)),
        "all open": await bench.sends(session.get_open_orders(None)),
    }
    assert {name: [sent.path.removeprefix("/api/v1/") for sent in requests] for name, requests in asked.items()} == {
        "book": ["orderBookOrders?market_id=1&limit=250"],
        "mark": ["orderBookDetails?market_id=1"],
        "funding": ["funding-rates"],
        "fees": [f"accountLimits?{account}"],
        "balance": [f"account?by=index&value={ACCOUNT}"],
        "fills": [f"trades?{account}&market_id=1&sort_by=timestamp&limit=10"],
        "positions": [f"account?by=index&value={ACCOUNT}"],
        "open": [f"accountActiveOrders?{account}&market_id=1"],
        "all open": [f"accountActiveOrders?{account}"],
    }
