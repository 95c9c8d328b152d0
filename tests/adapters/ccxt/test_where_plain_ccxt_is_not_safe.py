"""What must not happen to an order, asked of plain ccxt, which fails every one of these, and of our adapter."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any, Protocol

import ccxt.async_support as ccxt  # type: ignore[import-untyped]
import pytest

from adapters.base import Grouping, Network, Submission
from normalization.orders import Limit, Order, PostOnly, Side, Stop, TimeInForce
from normalization.venue_failures import VenueFailure
from tests.adapters.ccxt.hyperliquid_rig import AGENT, KEY, HyperliquidRig
from tests.adapters.ccxt.orders_to_place import submission
from tests.adapters.ccxt.paradex_rig import ACCOUNT, MAIN_PUBLIC_KEY, MARKETS, SUBKEY, ParadexRig, refusal, report
from tests.adapters.ccxt.plain_ccxt import PLAIN, Connections, attempt, unified
from tests.adapters.ccxt.recording_server import Answer, Sent, recording, said


class Caller(Protocol):
    """Somebody who trades on the venue that a rig plays."""

    async def load_markets(self) -> None: ...
    async def place(self, submission: Submission) -> Any: ...
    async def place_batch(self, submissions: list[Submission]) -> list[Any]:
        """Per leg the venue's id, or None where there is no such order."""
        ...


class PlainCaller:
    def __init__(self, exchange: Any, symbol: str) -> None:
        self.exchange = exchange
        self.symbol = symbol

    async def load_markets(self) -> None:
        await self.exchange.load_markets()

    async def place(self, submission: Submission) -> Any:
        return await self.exchange.create_order(**unified(submission, self.symbol))

    async def place_batch(self, submissions: list[Submission]) -> list[Any]:
        placed = await self.exchange.create_orders([unified(order, self.symbol) for order in submissions])
        return [None if order["status"] == "rejected" else order["id"] for order in placed]


class OurCaller:
    def __init__(self, rig: HyperliquidRig | ParadexRig) -> None:
        self.rig = rig

    async def load_markets(self) -> None:
        await self.rig.adapter.markets(Network.PAPER)

    async def place(self, submission: Submission) -> Any:
        return await self.rig.session.place_order(submission)

    async def place_batch(self, submissions: list[Submission]) -> list[Any]:
        placed = await self.rig.session.place_orders(submissions, Grouping.NONE)
        return [leg.order_id if isinstance(leg, Order) else None for leg in placed]


def plain_hyperliquid(rig: HyperliquidRig, connections: Connections) -> Any:
    rig.infos |= {
        "spotMetaAndAssetCtxs": [{"tokens": [], "universe": []}, []],
        "perpDexs": [None],
        "userAbstraction": "default",
    }
    exchange: Any = ccxt.hyperliquid({"privateKey": KEY, "walletAddress": AGENT, "enableRateLimit": False})
    exchange.urls["api"] = {"public": rig.server.url, "private": rig.server.url}
    return connections.connect(exchange)


def plain_paradex(rig: ParadexRig, connections: Connections, account: str = ACCOUNT) -> Any:
    rig.replies["GET /v1/markets"] = {"results": MARKETS[:1]}
    exchange: Any = ccxt.paradex()
    exchange.urls["api"] = {"v1": f"{rig.server.url}/v1", "v2": f"{rig.server.url}/v2"}
    exchange.options["paradexAccount"] = {
        "privateKey": SUBKEY,
        "address": account,
        "publicKey": hex(MAIN_PUBLIC_KEY),
    }
    return connections.connect(exchange)


@pytest.fixture(params=[PLAIN, "ours"])
def on_hyperliquid(request: pytest.FixtureRequest, hyperliquid: HyperliquidRig, connections: Connections) -> Caller:
    if request.param == "ours":
        return OurCaller(hyperliquid)
    return PlainCaller(plain_hyperliquid(hyperliquid, connections), "BTC/USDC:USDC")


@pytest.fixture(params=[PLAIN, "ours"])
def on_paradex(request: pytest.FixtureRequest, paradex: ParadexRig, connections: Connections) -> Caller:
    if request.param == "ours":
        return OurCaller(paradex)
    paradex.replies["POST /v1/auth"] = {"jwt_token": "token"}
    return PlainCaller(plain_paradex(paradex, connections), "BTC/USD:USDC")


async def test_loading_the_markets_signs_nothing(on_hyperliquid: Caller, hyperliquid: HyperliquidRig) -> None:
    hyperliquid.exchange = {"status": "ok", "response": {"type": "default"}}
    await on_hyperliquid.load_markets()
    assert hyperliquid.actions == []


async def test_an_order_pays_a_fee_to_nobody_else(on_hyperliquid: Caller, hyperliquid: HyperliquidRig) -> None:
    await on_hyperliquid.load_markets()
    await on_hyperliquid.place(submission(hyperliquid.btc, Limit(price=Decimal(50000))))
    assert set(hyperliquid.actions[-1]["action"]) == {"type", "orders", "grouping"}


async def test_an_order_says_until_when_it_is_good(on_hyperliquid: Caller, hyperliquid: HyperliquidRig) -> None:
    await on_hyperliquid.load_markets()
    await on_hyperliquid.place(submission(hyperliquid.btc, Limit(price=Decimal(50000))))
    assert "expiresAfter" in hyperliquid.actions[-1]


@pytest.mark.parametrize("answer", [Answer(b""), Answer(b"<html>"), Answer(b'{"status":"ok"'), Answer(b"", 599)])
async def test_an_order_call_returns_an_order_or_raises(
    on_hyperliquid: Caller, hyperliquid: HyperliquidRig, answer: Answer
) -> None:
    await on_hyperliquid.load_markets()
    hyperliquid.exchange = answer
    with pytest.raises((VenueFailure, ccxt.BaseError)):
        await on_hyperliquid.place(submission(hyperliquid.btc, Limit(price=Decimal(50000))))


@pytest.mark.parametrize(("size", "price"), [("0", "50000"), ("-1", "50000"), ("0.01", "50000.5")])
async def test_a_size_or_price_that_is_not_valid_is_not_sent_as_another(
    on_hyperliquid: Caller, hyperliquid: HyperliquidRig, size: str, price: str
) -> None:
    await on_hyperliquid.load_markets()
    hyperliquid.server.sent.clear()
    await attempt(on_hyperliquid.place(submission(hyperliquid.btc, Limit(price=Decimal(price)), size=size)))
    assert hyperliquid.actions == []


async def test_the_legs_that_were_taken_survive_one_that_was_not(
    on_hyperliquid: Caller, hyperliquid: HyperliquidRig
) -> None:
    await on_hyperliquid.load_markets()
    statuses = [{"resting": {"oid": 1}}, {"error": "Insufficient margin to place order."}, {"resting": {"oid": 3}}]
    hyperliquid.exchange = {"status": "ok", "response": {"type": "order", "data": {"statuses": statuses}}}
    legs = [
        submission(hyperliquid.btc, PostOnly(price=Decimal(p)), client_id=f"0x{p:032x}") for p in (1000, 2000, 3000)
    ]
    assert await attempt(on_hyperliquid.place_batch(legs)) == ["1", None, "3"]


async def test_a_signed_order_goes_nowhere_but_to_the_venue(
    on_hyperliquid: Caller, hyperliquid: HyperliquidRig
) -> None:
    await on_hyperliquid.load_markets()
    async with recording(lambda sent: Answer()) as elsewhere:
        hyperliquid.exchange = Answer(b"", 307, {"Location": f"{elsewhere.url}/exchange"})
        await attempt(on_hyperliquid.place(submission(hyperliquid.btc, Limit(price=Decimal(50000)))))
        assert elsewhere.sent == []


async def test_fill_or_kill_does_not_become_an_order_that_rests(on_paradex: Caller, paradex: ParadexRig) -> None:
    execution = Limit(price=Decimal(50000), time_in_force=TimeInForce.FOK)
    await attempt(on_paradex.place(submission(paradex.btc, execution, client_id="a")))
    assert [order["instruction"] for order in paradex.placed] == []


async def test_a_stop_is_sent_with_the_size_that_was_meant(on_paradex: Caller, paradex: ParadexRig) -> None:
    stop = submission(paradex.btc, Stop(trigger_price=Decimal(49000)), side=Side.SELL, reduce_only=True, client_id="a")
    await attempt(on_paradex.place(stop))
    assert [order["size"] for order in paradex.placed] == ["0.01"]


@pytest.mark.parametrize("answer", [Answer(b"", 200), Answer(b"<html>", 200), Answer(b'{"id":"1"', 201)])
async def test_an_order_without_an_id_is_no_order(on_paradex: Caller, paradex: ParadexRig, answer: Answer) -> None:
    paradex.replies["POST /v1/orders"] = answer
    with pytest.raises((VenueFailure, ccxt.BaseError)):
        await on_paradex.place(submission(paradex.btc, Limit(price=Decimal(50000)), client_id="a"))


async def test_a_refused_leg_stays_in_its_place(on_paradex: Caller, paradex: ParadexRig) -> None:
    def placed(sent: Sent) -> Answer:
        orders = [report(sent.document[n], id=f"{n + 1}") for n in (1, 2)]
        return said({"orders": orders, "errors": [{"error": "MARKET_NOT_OPEN", "message": "closed"}]}, 201)

    paradex.replies["POST /v1/orders/batch"] = placed
    legs = [submission(paradex.btc, PostOnly(price=Decimal(p)), client_id=f"leg{p}") for p in (1000, 2000, 3000)]
    assert await attempt(on_paradex.place_batch(legs)) == [None, "2", "3"]


async def test_the_token_goes_nowhere_but_to_the_venue(on_paradex: Caller, paradex: ParadexRig) -> None:
    async with recording(lambda sent: Answer()) as elsewhere:
        paradex.replies["POST /v1/orders"] = Answer(b"", 307, {"Location": f"{elsewhere.url}/v1/orders"})
        await attempt(on_paradex.place(submission(paradex.btc, Limit(price=Decimal(50000)), client_id="a")))
        assert elsewhere.sent == []


@pytest.mark.parametrize("caller", [PLAIN, "ours"])
async def test_no_account_gets_the_token_of_another(caller: str, paradex: ParadexRig, connections: Connections) -> None:
    paradex.replies["POST /v1/auth"] = lambda sent: said({"jwt_token": sent.headers["PARADEX-STARKNET-ACCOUNT"]})
    paradex.replies["GET /v1/balance"] = paradex.replies["GET /v1/account"] = refusal("NOT_FOUND", status=404)
    accounts = [hex(int(ACCOUNT, 16) + n) for n in range(4)]
    if caller == "ours":
        sessions = [await paradex.open(account) for account in accounts]
        await asyncio.gather(*(attempt(session.get_balance()) for session in sessions))
    else:
        exchanges = [plain_paradex(paradex, connections, account) for account in accounts]
        await asyncio.gather(*(attempt(exchange.fetch_balance()) for exchange in exchanges))
    used = {
        s.headers["Authorization"] for s in paradex.server.sent if s.path.startswith(("/v1/balance", "/v1/account"))
    }
    assert used == {f"Bearer {account}" for account in accounts}
