from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from eth_account import Account
from eth_account.signers.local import LocalAccount
from hyperliquid.utils.signing import sign_agent, sign_l1_action

from sandbox.hyperliquid import Chain, HyperliquidVenue, make_app

# A Saturday noon, UTC.
NOON_MS = 1_795_262_400_000


class Clock:
    """Time that moves when a test moves it, and by a millisecond with every nonce."""

    def __init__(self) -> None:
        self.ms = NOON_MS

    def __call__(self) -> int:
        return self.ms

    def nonce(self) -> int:
        self.ms += 1
        return self.ms


class Trader:
    """A signer with a connection to the venue. ``account`` is whom it asks about, itself unless it is an agent."""

    def __init__(self, http: aiohttp.ClientSession, url: str, clock: Clock, wallet: LocalAccount, account: str) -> None:
        self._http = http
        self.url = url
        self._clock = clock
        self.wallet = wallet
        self.account = account

    async def act(
        self,
        action: dict[str, Any],
        *,
        nonce: int | None = None,
        expires_after: int | None = None,
        signed_action: dict[str, Any] | None = None,
        mainnet: bool = False,
    ) -> dict[str, Any]:
        nonce = self._clock.nonce() if nonce is None else nonce
        signature = sign_l1_action(self.wallet, signed_action or action, None, nonce, expires_after, mainnet)
        body = {"action": action, "nonce": nonce, "signature": signature, "vaultAddress": None}
        return await self.post("/exchange", {**body, "expiresAfter": expires_after})

    async def order(self, *orders: dict[str, Any], grouping: str = "na", **how: Any) -> list[Any]:
        """The statuses."""
        answer = await self.act({"type": "order", "orders": list(orders), "grouping": grouping}, **how)
        assert answer["status"] == "ok", answer
        statuses: list[Any] = answer["response"]["data"]["statuses"]
        return statuses

    async def approve_agent(self, wallet: LocalAccount, name: str = "") -> dict[str, Any]:
        nonce = self._clock.nonce()
        action = {"type": "approveAgent", "agentAddress": wallet.address, "agentName": name, "nonce": nonce}
        signature = sign_agent(self.wallet, action, False)
        return await self.post("/exchange", {"action": action, "nonce": nonce, "signature": signature})

    async def info(self, kind: str, **more: Any) -> Any:
        return await self.post("/info", {"type": kind, **more})

    async def mine(self, kind: str, **more: Any) -> Any:
        return await self.info(kind, user=self.account, **more)

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        async with self._http.post(self.url + path, json=body) as response:
            assert response.status == 200, await response.text()
            return await response.json()


def limit(
    asset: int,
    side: str,
    price: object,
    size: object,
    *,
    tif: str = "Gtc",
    reduce: bool = False,
    cloid: str | None = None,
) -> dict[str, Any]:
    wire = {"a": asset, "b": side == "buy", "p": str(price), "s": str(size), "r": reduce, "t": {"limit": {"tif": tif}}}
    return wire if cloid is None else {**wire, "c": cloid}


def trigger(
    asset: int, side: str, kind: str, at: object, size: object, *, price: object = None, reduce: bool = True
) -> dict[str, Any]:
    """``price`` None makes it a market order when it fires."""
    terms = {"isMarket": price is None, "triggerPx": str(at), "tpsl": kind}
    wire = {"a": asset, "b": side == "buy", "p": str(price or at), "s": str(size), "r": reduce, "t": {"trigger": terms}}
    return wire


OpenVenue = Callable[[], Awaitable[tuple[HyperliquidVenue, str]]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def open_venue(clock: Clock, tmp_path: Path) -> AsyncIterator[OpenVenue]:
    """Starts the venue on the same files each time; the one before must have been closed."""
    servers: list[TestServer] = []

    async def open_() -> tuple[HyperliquidVenue, str]:
        for server in servers:
            await server.close()
        venue = HyperliquidVenue(seed=5, directory=tmp_path, now_ms=clock, chains=(Chain.TESTNET,))
        server = TestServer(make_app(venue))
        await server.start_server()
        servers.append(server)
        return venue, str(server.make_url("")).rstrip("/")

    yield open_
    for server in servers:
        await server.close()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


@pytest.fixture
async def served(open_venue: OpenVenue) -> tuple[HyperliquidVenue, str]:
    return await open_venue()


@pytest.fixture
def venue(served: tuple[HyperliquidVenue, str]) -> HyperliquidVenue:
    return served[0]


@pytest.fixture
async def trader(served: tuple[HyperliquidVenue, str], http: aiohttp.ClientSession, clock: Clock) -> Trader:
    """Funded with 100,000."""
    venue, url = served
    wallet = wallet_number(1)
    await venue.fund(wallet.address)
    return Trader(http, url, clock, wallet, wallet.address)


def wallet_number(number: int) -> LocalAccount:
    return Account.from_key(number.to_bytes(32, "big"))


async def mark(venue: HyperliquidVenue, symbol: str = "BTC-USD-PERP") -> Decimal:
    return await venue.exchange.read(lambda engine: engine.views.mark_price(symbol).mark_price)


async def move_until(
    venue: HyperliquidVenue, clock: Clock, reached: Callable[[Decimal], bool], symbol: str = "BTC-USD-PERP"
) -> None:
    """To the first second in which the mark price is so; at most a day ahead."""

    def search(engine: Any) -> int:
        market = engine.views.market(symbol)
        now = clock.ms // 1_000
        return next(second for second in range(now + 1, now + 86_400) if reached(market.mark(second)))

    clock.ms = await venue.exchange.read(search) * 1_000
