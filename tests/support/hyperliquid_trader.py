"""Somebody who trades at the local Hyperliquid venue, signing as its SDK signs; and time for tests to move."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import aiohttp
from eth_account import Account
from eth_account.signers.local import LocalAccount
from hyperliquid.utils.signing import sign_agent, sign_l1_action  # type: ignore[import-untyped]

from sandbox.hyperliquid import HyperliquidVenue

# A Saturday noon, UTC.
NOON_MS = 1_795_262_400_000


OpenVenue = Callable[[], Awaitable[tuple[HyperliquidVenue, str]]]


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
        return await self._exchange(action, nonce, signature, vaultAddress=None, expiresAfter=expires_after)

    async def act_with_expiry_changed(
        self, action: dict[str, Any], nonce: int, signed: int, sent: int
    ) -> dict[str, Any]:
        signature = sign_l1_action(self.wallet, action, None, nonce, signed, False)
        return await self._exchange(action, nonce, signature, expiresAfter=sent)

    async def act_for_vault(self, action: dict[str, Any], vault: str) -> dict[str, Any]:
        nonce = self._clock.nonce()
        signature = sign_l1_action(self.wallet, action, vault, nonce, None, False)
        return await self._exchange(action, nonce, signature, vaultAddress=vault)

    async def _exchange(self, action: dict[str, Any], nonce: int, signature: Any, **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await self.post(
            "/exchange", {"action": action, "nonce": nonce, "signature": signature, **more}
        )
        return answer

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
        return await self._exchange(action, nonce, signature)

    async def info(self, kind: str, **more: Any) -> Any:
        return await self.post("/info", {"type": kind, **more})

    async def mine(self, kind: str, **more: Any) -> Any:
        return await self.info(kind, user=self.account, **more)

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        async with self._http.post(self.url + path, json=body) as response:
            assert response.status == 200, await response.text()
            answer = await response.json()
            assert answer is not None, "an empty answer"
            return answer


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


def wallet_number(number: int) -> LocalAccount:
    wallet: LocalAccount = Account.from_key(number.to_bytes(32, "big"))
    return wallet


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
