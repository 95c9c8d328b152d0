"""What must not happen to an order, at six more venues: asked of plain ccxt, which fails it, and of our adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import aiohttp
import ccxt.async_support as ccxt  # type: ignore[import-untyped]
import pytest
from solders.pubkey import Pubkey

from adapters.ccxt_venues.apex import signing
from adapters.ccxt_venues.orderly import TRIGGERED
from normalization.orders import Execution, Limit, PostOnly, Side, Stop, TimeInForce
from normalization.venue_failures import VenueFailure
from tests.adapters.ccxt.orders_to_place import NOW_MS
from tests.adapters.ccxt.plain_ccxt import PLAIN
from tests.adapters.ccxt.recorded import apex, derive, hibachi, nado, orderly
from tests.adapters.ccxt.recorded.desk import Desk, desk
from tests.adapters.ccxt.recording_server import Sent, said

SIGNS = pytest.mark.skipif(not signing.is_installed(), reason="the library that signs ApeX orders is missing")

ORDERLY: Final = {
    "accountId": orderly.ACCOUNT,
    "apiKey": f"ed25519:{Pubkey(orderly.PUBLIC)}",
    "secret": orderly.SECRETS["secret_key"],
}
CONFIGS: Final[dict[str, dict[str, Any]]] = {
    "woofipro": ORDERLY,
    "modetrade": ORDERLY,
    "hibachi": {
        "accountId": hibachi.SECRETS["account_id"],
        "apiKey": hibachi.SECRETS["api_key"],
        "privateKey": hibachi.SECRETS["private_key"],
    },
    "derive": {
        "privateKey": derive.SECRETS["private_key"],
        "walletAddress": derive.SIGNER,
        "options": {"deriveWalletAddress": derive.OWNER, "subaccount_id": 86815, "max_fee": 1000},
    },
    "nado": {"walletAddress": nado.OWNER, "privateKey": nado.SECRETS["private_key"]},
    "apex": {
        "apiKey": apex.SECRETS["api_key"],
        "secret": apex.SECRETS["api_secret"],
        "password": apex.SECRETS["passphrase"],
        "options": {"seeds": apex.SEEDS},
    },
}
SYMBOLS: Final = {"hibachi": "BTC/USDT:USDT", "nado": "BTC/USDT0:USDT0", "apex": "BTC/USDT:USDT"}


class Caller(Protocol):
    """Somebody who trades at the venue that a desk is at."""

    async def place(
        self, execution: Execution, *, side: Side = Side.BUY, reduce_only: bool = False, client_id: str | None = None
    ) -> Any: ...
    async def fill_prices(self) -> list[Decimal]: ...
    async def waiting(self) -> list[tuple[str | None, Decimal | None]]:
        """Of each order that waits for a trigger its id and that trigger."""
        ...

    async def price_step(self) -> Decimal: ...


class Plain:
    def __init__(self, exchange: Any, symbol: str) -> None:
        self.exchange = exchange
        self.symbol = symbol

    async def place(
        self, execution: Execution, *, side: Side = Side.BUY, reduce_only: bool = False, client_id: str | None = None
    ) -> Any:
        params: dict[str, Any] = {"clientOrderId": client_id or "1" * 32, "reduceOnly": reduce_only}
        kind, price = "market", "45000"
        match execution:
            case Limit(price=limit, time_in_force=time_in_force):
                kind, price, params["timeInForce"] = "limit", str(limit), time_in_force.value
            case PostOnly(price=limit):
                kind, price, params["postOnly"] = "limit", str(limit), True
            case Stop(trigger_price=trigger):
                params["stopLossPrice"] = str(trigger)
        return await self.exchange.create_order(self.symbol, kind, side.lower(), "0.01", price, params)

    async def fill_prices(self) -> list[Decimal]:
        return [Decimal(str(trade["price"])) for trade in await self.exchange.fetch_my_trades(self.symbol)]

    async def waiting(self) -> list[tuple[str | None, Decimal | None]]:
        orders = await self.exchange.fetch_open_orders(self.symbol, None, None, {"trigger": True})
        return [(order["id"], order["triggerPrice"] and Decimal(str(order["triggerPrice"]))) for order in orders]

    async def price_step(self) -> Decimal:
        return Decimal(str(self.exchange.market(self.symbol)["precision"]["price"]))


class Ours:
    def __init__(self, at: Desk) -> None:
        self.at = at

    async def place(
        self, execution: Execution, *, side: Side = Side.BUY, reduce_only: bool = False, client_id: str | None = None
    ) -> Any:
        return await self.at.place(execution, side=side, reduce_only=reduce_only)

    async def fill_prices(self) -> list[Decimal]:
        return [fill.price for fill in await self.at.session.get_fills(self.at.btc, 10)]

    async def waiting(self) -> list[tuple[str | None, Decimal | None]]:
        orders = await self.at.session.get_open_orders(self.at.btc)
        return [(order.order_id.removeprefix(TRIGGERED), order.trigger_price) for order in orders]

    async def price_step(self) -> Decimal:
        return self.at.btc.tick_size


class Floor:
    """A desk, and whoever calls there."""

    def __init__(self, at: Desk, caller: Caller) -> None:
        self.at = at
        self.caller = caller


@pytest.fixture
async def network() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture(params=[PLAIN, "ours"])
async def floor(
    request: pytest.FixtureRequest, exchange: str, tmp_path: Path, network: aiohttp.ClientSession
) -> AsyncIterator[Floor]:
    async with desk(exchange, tmp_path) as at:
        if request.param == "ours":
            yield Floor(at, Ours(at))
            return
        plain: Any = getattr(ccxt, exchange)({"enableRateLimit": False, **CONFIGS[exchange]})
        plain.session = network
        plain.milliseconds = lambda: NOW_MS
        plain.urls["api"] = moved(plain.urls["api"], at.rig.server.url)
        plain.has["fetchCurrencies"] = False
        await plain.load_markets()
        at.rig.server.sent.clear()
        yield Floor(at, Plain(plain, SYMBOLS.get(exchange, f"BTC/{at.btc.quote}:USDC")))
        # It complains about connections that are not its own.
        plain.session = None


def moved(urls: dict[str, str], to: str) -> dict[str, str]:
    """As ours are: several hosts are folders of the server's."""
    parts = {name: urlsplit(url.replace("{hostname}", "host")) for name, url in urls.items()}
    single = len({part.netloc for part in parts.values()}) == 1
    return {name: to + ("" if single else f"/{part.netloc}") + part.path for name, part in parts.items()}


async def attempt(doing: Any) -> Any:
    """What came of it; an error is as good as an answer here."""
    try:
        return await doing
    except (VenueFailure, ccxt.BaseError) as failure:
        return failure


@pytest.mark.parametrize("exchange", ["woofipro", "modetrade", "hibachi"])
async def test_a_stop_does_not_execute_at_once(floor: Floor) -> None:
    floor.at.wire.book.position = Decimal(1)
    await attempt(floor.caller.place(Stop(trigger_price=Decimal(49_000)), side=Side.SELL, reduce_only=True))
    assert len(floor.at.placements()) == 1
    assert floor.at.wire.book.executions == []


@pytest.mark.parametrize("exchange", ["hibachi"])
async def test_fill_or_kill_does_not_become_an_order_that_rests(floor: Floor) -> None:
    await attempt(floor.caller.place(Limit(price=Decimal(50_000), time_in_force=TimeInForce.FOK)))
    assert floor.at.wire.book.open_orders() == []


@pytest.mark.parametrize("exchange", ["woofipro", "modetrade", "derive", "nado"])
async def test_nobody_else_is_paid_for_an_order_or_told_of_it(exchange: str, floor: Floor) -> None:
    await attempt(floor.caller.place(PostOnly(price=Decimal(50_000))))
    (sent,) = floor.at.placements()
    assert pays_nobody(exchange, sent)


def pays_nobody(exchange: str, sent: Sent) -> bool:
    if exchange == "nado":
        # What stands beyond the flags of an order is a builder and its fee.
        return int(sent.document["place_order"]["order"]["appendix"]) >> 13 == 0
    return not {"order_tag", "referral_code"} & sent.document.keys()


@pytest.mark.parametrize(
    ("exchange", "reply"),
    [
        ("woofipro", {"success": True, "timestamp": NOW_MS, "data": {}}),
        ("hibachi", {}),
        ("derive", {"id": "1", "result": {}}),
        ("nado", {"status": "success", "data": {}}),
    ],
)
async def test_an_order_without_an_id_is_no_order(floor: Floor, reply: dict[str, Any]) -> None:
    floor.at.wire.instead = dict.fromkeys(floor.at.wire.places, said(reply))
    with pytest.raises((VenueFailure, ccxt.BaseError)):
        await floor.caller.place(PostOnly(price=Decimal(50_000)))


@pytest.mark.parametrize("exchange", ["woofipro", "modetrade"])
async def test_an_order_that_waits_for_its_trigger_is_told_with_its_id(floor: Floor) -> None:
    await floor.at.place(Stop(trigger_price=Decimal(49_000)), side=Side.SELL)
    (kept,) = floor.at.wire.book.orders.values()
    assert await floor.caller.waiting() == [(str(kept.order_id), Decimal(49_000))]


@pytest.mark.parametrize("exchange", ["hibachi"])
async def test_prices_are_on_the_step_that_the_venue_publishes(floor: Floor) -> None:
    assert await floor.caller.price_step() == Decimal(hibachi.MARKET["tickSize"])


@pytest.mark.parametrize("exchange", ["nado"])
async def test_a_fill_is_told_at_the_price_that_was_paid(floor: Floor) -> None:
    await floor.at.place(Limit(price=Decimal(61_000), time_in_force=TimeInForce.IOC))
    assert await floor.caller.fill_prices() == [Decimal(60_010)]


@SIGNS
@pytest.mark.parametrize("exchange", ["apex"])
async def test_an_order_can_be_placed_at_all(floor: Floor) -> None:
    try:
        await floor.caller.place(PostOnly(price=Decimal(50_000)))
    except Exception as problem:
        pytest.fail(f"{type(problem).__name__}: {problem}")
    (sent,) = floor.at.placements()
    assert "brokerId" not in apex.body_of(sent)
