"""What must not happen to an order at the bridged venues, asked of plain ccxt, which fails every one, and of ours."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Protocol

import ccxt.async_support as ccxt  # type: ignore[import-untyped]
import pytest
from solders.keypair import Keypair

from adapters.base import Network, Submission
from adapters.ccxt_venues import dydx, extended, grvt, lighter, pacifica
from adapters.ccxt_venues.bridge.quirks import Quirks
from normalization.errors import ExchangeError
from normalization.orders import Limit, PostOnly, Side, Stop, TimeInForce
from normalization.venue_failures import VenueFailure
from tests.adapters.ccxt.benches import Bench, bench_of, outcome
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.plain_ccxt import PLAIN, Connections, unified
from tests.adapters.ccxt.recorded.dydx import MARKET, DydxWire, message_of
from tests.adapters.ccxt.recorded.extended import ExtendedWire
from tests.adapters.ccxt.recorded.grvt import COOKIE, GrvtWire
from tests.adapters.ccxt.recorded.lighter import ACCOUNT, KEY_INDEX, PRIVATE_KEY, LighterWire, ok, transaction
from tests.adapters.ccxt.recorded.pacifica import PacificaWire, signed_text
from tests.adapters.ccxt.recorded.wire import Wire
from tests.adapters.ccxt.recording_server import Answer, recording

QUIRKS: Final[dict[str, Quirks]] = {
    "dydx": dydx.QUIRKS,
    "extended": extended.QUIRKS,
    "grvt": grvt.QUIRKS,
    "lighter": lighter.QUIRKS,
    "pacifica": pacifica.QUIRKS,
}
ORDER: Final = PostOnly(price=Decimal(50_000))
STOP: Final = Stop(trigger_price=Decimal(49_000))
DAY_MS: Final = 86_400_000
BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
HEADER: Final = ("type", "timestamp", "expiry_window")
REGISTERS: Final = 8


class Trader(Protocol):
    """Somebody who trades at a recorded venue. Refusals are answers; anything else that is raised is not one."""

    async def place(self, order: Submission) -> Any: ...
    async def cancel_all(self) -> Any: ...


class Plain:
    def __init__(self, exchange: Any, symbol: str) -> None:
        self.exchange = exchange
        self.symbol = symbol

    async def place(self, order: Submission) -> Any:
        return await self.exchange.create_order(**unified(order, self.symbol))

    async def cancel_all(self) -> Any:
        return await self.exchange.cancel_all_orders(self.symbol)


class Ours:
    def __init__(self, bench: Bench[Any]) -> None:
        self.bench = bench

    async def place(self, order: Submission) -> Any:
        return await self.bench.session.place_order(order)

    async def cancel_all(self) -> Any:
        return await self.bench.session.cancel_all(self.bench.rig.btc)


def plain(bench: Bench[Any], connections: Connections, *, as_shipped: bool = False) -> Plain:
    """Set up as ccxt is meant to be, and at our time; ``as_shipped`` without being told to take no fee."""
    quirks = QUIRKS[bench.rig.row.exchange]
    config = dict(quirks.config(bench.wire.secrets, Network.MAINNET))
    options = dict(config["options"])
    if as_shipped:
        options = {name: value for name, value in options.items() if "uilder" not in name}
    if quirks.ccxt_id == "lighter":
        options |= {
            "libraryPath": options["library"]._name,
            "auths": {str(ACCOUNT): {str(KEY_INDEX): {"lighterPrivateKey": PRIVATE_KEY}}},
        }
    exchange = getattr(ccxt, quirks.ccxt_id)({**config, "options": options, "enableRateLimit": False})
    exchange.urls["api"] = dict(bench.session._exchange.urls["api"])
    exchange.milliseconds = lambda: NOW_MS
    if quirks.ccxt_id == "grvt" and not as_shipped:
        exchange.options |= {"AuthCookieValue": COOKIE, "AuthAccountId": "acc:1"}
        exchange.sign_in = signed_in
    if quirks.ccxt_id != "dydx":
        exchange.set_markets(list(bench.session._exchange.markets.values()))
    return Plain(connections.connect(exchange), bench.session._theirs(bench.rig.btc))


async def signed_in() -> bool:
    return True


Open = Callable[..., Awaitable[tuple[Bench[Any], Trader]]]


@pytest.fixture(params=[PLAIN, "ours"])
async def trading(request: pytest.FixtureRequest, connections: Connections, tmp_path: Path) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def opened(exchange: str, wire: Wire, *, as_shipped: bool = False) -> tuple[Bench[Any], Trader]:
            bench = await stack.enter_async_context(bench_of(exchange, wire, tmp_path))
            if request.param == "ours":
                return bench, Ours(bench)
            return bench, plain(bench, connections, as_shipped=as_shipped)

        yield opened


def orders(bench: Bench[Any]) -> list[Any]:
    """What was placed, as it was said."""
    return [sent.document for sent in bench.placements()]


@pytest.mark.parametrize(("exchange", "wire"), [("extended", ExtendedWire), ("pacifica", PacificaWire)])
async def test_an_order_pays_nobody_else(exchange: str, wire: Callable[[], Wire], trading: Open) -> None:
    bench, trader = await trading(exchange, wire(), as_shipped=True)
    await outcome(trader.place(bench.rig.order(ORDER)))
    assert len(orders(bench)) == 1
    assert not [sent for sent in bench.rig.server.sent if b"builder" in sent.path.encode() + sent.body]


async def test_an_order_is_placed_also_where_nobody_else_can_be_paid(trading: Open) -> None:
    """Without the wallet's key, which it does not need, ccxt cannot approve a fee, and places nothing."""
    bench, trader = await trading("grvt", GrvtWire(), as_shipped=True)
    await outcome(trader.place(bench.rig.order(ORDER)))
    assert [order["order"]["legs"][0]["size"] for order in orders(bench)] == ["0.01"]


async def test_no_router_gets_a_share_of_the_fees(trading: Open) -> None:
    bench, trader = await trading("dydx", spelled_for_ccxt())
    await outcome(trader.place(bench.rig.order(ORDER)))
    assert [message_of(sent).order.order_router_address for sent in bench.placements()] == [""]


def spelled_for_ccxt(**particular: Any) -> DydxWire:
    """With text where the venue has numbers: ccxt gets no further without."""
    wire = DydxWire()
    market = {**MARKET, **particular}
    scales = {name: str(market[name]) for name in ("atomicResolution", "quantumConversionExponent")}
    wire.markets = {"BTC-USD": {**market, **scales}}
    return wire


WIRES_AS_CCXT_READS_THEM: Final[dict[str, Callable[[], Wire]]] = {
    "dydx": spelled_for_ccxt,
    "extended": ExtendedWire,
    "grvt": GrvtWire,
    "lighter": lambda: LighterWire(native=True),
    "pacifica": PacificaWire,
}


async def test_an_order_can_be_placed_in_the_markets_as_they_are_listed(trading: Open) -> None:
    bench, trader = await trading("dydx", DydxWire())
    await outcome(trader.place(bench.rig.order(ORDER)))
    assert len(bench.placements()) == 1


async def test_the_size_of_an_order_in_a_cheap_market_is_the_one_that_was_meant(trading: Open) -> None:
    wire = spelled_for_ccxt(atomicResolution=1, stepSize="10000000", tickSize="0.00001")
    bench, trader = await trading("dydx", wire)
    order = bench.rig.order(PostOnly(price=Decimal("0.01")), size="20000000")
    await outcome(trader.place(order))
    assert [message_of(sent).order.quantums for sent in bench.placements()] == [2_000_000]


async def test_a_stop_does_not_execute_at_once(trading: Open) -> None:
    bench, trader = await trading("pacifica", PacificaWire())
    await outcome(trader.place(bench.rig.order(STOP, side=Side.SELL, reduce_only=True)))
    assert not bench.rig.sent_to("POST", "/api/v1/orders/create_market")


async def test_a_stop_is_no_take_profit(trading: Open) -> None:
    bench, trader = await trading("grvt", GrvtWire())
    await outcome(trader.place(bench.rig.order(STOP, side=Side.SELL, reduce_only=True)))
    assert [order["order"]["metadata"]["trigger"]["trigger_type"] for order in orders(bench)] == ["STOP_LOSS"]


async def test_a_stop_says_what_it_goes_by_and_what_it_does(trading: Open) -> None:
    bench, trader = await trading("extended", ExtendedWire())
    await outcome(trader.place(bench.rig.order(STOP, side=Side.SELL, reduce_only=True)))
    assert [order["trigger"].get("triggerPriceType") for order in orders(bench)] == ["MARK"]
    assert [order["trigger"].get("executionPriceType") for order in orders(bench)] == ["MARKET"]


async def test_a_stop_can_be_placed(trading: Open) -> None:
    """The venue wants to be told its last day."""
    bench, trader = await trading("lighter", LighterWire(native=True))
    await outcome(trader.place(bench.rig.order(STOP, side=Side.SELL, reduce_only=True)))
    assert [transaction(sent)[1]["TriggerPrice"] for sent in bench.placements()] == [490_000]


async def test_fill_or_kill_does_not_become_an_order_that_rests(trading: Open) -> None:
    bench, trader = await trading("pacifica", PacificaWire())
    await outcome(trader.place(bench.rig.order(Limit(price=Decimal(50_000), time_in_force=TimeInForce.FOK))))
    assert orders(bench) == []


async def test_a_post_only_order_does_not_take(trading: Open) -> None:
    bench, trader = await trading("pacifica", PacificaWire())
    await outcome(trader.place(bench.rig.order(ORDER)))
    assert [order["tif"] for order in orders(bench)] == ["ALO"]


async def test_an_order_that_rests_is_there_the_next_day(trading: Open) -> None:
    bench, trader = await trading("extended", ExtendedWire())
    await outcome(trader.place(bench.rig.order(Limit(price=Decimal(50_000)))))
    assert [order["expiryEpochMillis"] > NOW_MS + DAY_MS for order in orders(bench)] == [True]


async def test_an_order_that_rests_is_signed_for_longer_than_a_day(trading: Open) -> None:
    bench, trader = await trading("grvt", GrvtWire())
    await outcome(trader.place(bench.rig.order(Limit(price=Decimal(50_000)))))
    ends = [int(order["order"]["signature"]["expiration"]) // 10**6 for order in orders(bench)]
    assert [end > NOW_MS + DAY_MS for end in ends] == [True]


async def test_canceling_the_orders_of_a_market_leaves_the_others(trading: Open) -> None:
    bench, trader = await trading("extended", ExtendedWire())
    await outcome(trader.cancel_all())
    assert [sent.document for sent in bench.rig.sent_to("POST", "/api/v1/user/order/massCancel")] == [
        {"markets": ["BTC-USD"]}
    ]


async def test_a_signature_keeps_the_zeros_that_it_begins_with(trading: Open) -> None:
    """One in 256 does: this key's, of this order."""
    bench, trader = await trading("pacifica", PacificaWire())
    await outcome(trader.place(bench.rig.order(Limit(price=Decimal(50_000)))))
    text = signed_text("create_order", orders(bench)[0]).encode()
    keys = (Keypair.from_seed(number.to_bytes(32, "little")) for number in range(1, 10_000))
    key = next(key for key in keys if bytes(key.sign_message(text))[0] == 0)
    exchange = trader.exchange if isinstance(trader, Plain) else bench.session._exchange
    told = json.loads(text)
    signed = exchange.sign_message({name: told[name] for name in HEADER}, told["data"], str(key))
    assert len(base58_decoded(signed)) == 64


def base58_decoded(text: str) -> bytes:
    zeros = len(text) - len(text.lstrip("1"))
    number = 0
    for letter in text:
        number = number * 58 + BASE58.index(letter)
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


async def test_the_wallets_key_in_the_place_of_an_api_key_registers_none(trading: Open) -> None:
    bench, trader = await trading("lighter", LighterWire(native=True))
    bench.rig.replies |= {"GET /api/v1/nextNonce": ok(nonce=1), "POST /api/v1/sendTx": ok(tx_hash="ab")}
    wallet = "0x" + "11" * 32
    if isinstance(trader, Plain):
        trader.exchange.privateKey = wallet
        trader.exchange.options |= {"auths": {}, "apiKeyIndex": None}
        await outcome(trader.place(bench.rig.order(ORDER)))
    else:
        with pytest.raises(ExchangeError):
            await bench.rig.open({**bench.wire.secrets, "private_key": wallet})
    assert REGISTERS not in [transaction(sent)[0] for sent in bench.placements()]


async def test_a_key_of_another_index_than_was_told_does_not_sign(trading: Open) -> None:
    bench, trader = await trading("lighter", LighterWire(native=True))
    if isinstance(trader, Plain):
        keys = {index: {"lighterPrivateKey": PRIVATE_KEY} for index in ("3", "254")}
        trader.exchange.options |= {"apiKeyIndex": 3, "auths": {str(ACCOUNT): keys}}
        await outcome(trader.place(bench.rig.order(ORDER)))
    else:
        with pytest.raises(ExchangeError):
            await bench.rig.open({**bench.wire.secrets, "api_key_index": "3"})
    assert [transaction(sent)[1]["ApiKeyIndex"] for sent in bench.placements()] == []


@pytest.mark.parametrize("exchange", sorted(QUIRKS))
async def test_an_order_call_returns_an_order_or_raises(exchange: str, trading: Open) -> None:
    bench, trader = await trading(exchange, WIRES_AS_CCXT_READS_THEM[exchange]())
    for body in (b"", b"<html>", b'{"success":true,"result":{"order', b"{}"):
        bench.wire.instead = dict.fromkeys(bench.wire.places, Answer(body))
        found = await outcome(trader.place(bench.rig.order(ORDER)))
        assert isinstance(found, VenueFailure | ccxt.BaseError), f"{body!r}: {found}"


async def test_a_signed_order_goes_nowhere_but_to_the_venue(trading: Open) -> None:
    bench, trader = await trading("extended", ExtendedWire())
    async with recording(lambda sent: Answer()) as elsewhere:
        moved = Answer(b"", 307, {"Location": f"{elsewhere.url}/api/v1/user/order"})
        bench.wire.instead = dict.fromkeys(bench.wire.places, moved)
        await outcome(trader.place(bench.rig.order(ORDER)))
        assert elsewhere.sent == []


@pytest.mark.parametrize(("size", "price"), [("0.0012345", "50000"), ("0.01", "50000.5")])
async def test_a_size_or_price_that_is_not_valid_is_not_sent_as_another(size: str, price: str, trading: Open) -> None:
    bench, trader = await trading("extended", ExtendedWire())
    await outcome(trader.place(bench.rig.order(Limit(price=Decimal(price)), size=size)))
    assert orders(bench) == []
