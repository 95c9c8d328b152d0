"""Somebody who trades at the local Paradex venue with a Stark key of their own."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import aiohttp
import fast_stark_crypto

from sandbox.paradex import ParadexVenue
from sandbox.paradex.felts import (
    MODIFY_ORDER,
    ORDER,
    account_address,
    auth_hash,
    message_hash,
    onboarding_hash,
    scaled,
    short_string,
)
from sandbox.paradex.system import ACCOUNT_HASH, CHAIN_ID, PROXY_HASH

# A Saturday noon, UTC.
NOON_MS = 1_795_262_400_000
BTC = "BTC-USD-PERP"

OpenVenue = Callable[[], Awaitable[tuple[ParadexVenue, str]]]


class Clock:
    """Time that moves when a test moves it."""

    def __init__(self) -> None:
        self.ms = NOON_MS

    def __call__(self) -> int:
        return self.ms


class StarkTrader:
    """``signing_key`` signs, for the account of ``key``."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, clock: Clock, key: int, signing_key: int | None = None
    ) -> None:
        self._http = http
        self.url = url
        self._clock = clock
        self.signing_key = key if signing_key is None else signing_key
        self.public_key = fast_stark_crypto.get_public_key(key)
        self.address = account_address(self.public_key, ACCOUNT_HASH, PROXY_HASH)
        self.account = hex(self.address)
        self.token = ""

    def signature(self, message: int) -> str:
        r, s = fast_stark_crypto.sign(self.signing_key, message)
        return json.dumps([hex(r), str(s)])

    async def call(
        self, method: str, path: str, body: Any = None, *, status: int = 200, headers: dict[str, str] | None = None
    ) -> Any:
        sent = {"Authorization": f"Bearer {self.token}"} if headers is None else headers
        async with self._http.request(method, f"{self.url}/v1{path}", json=body, headers=sent) as response:
            text = await response.text()
            assert response.status == status, (response.status, text)
            return json.loads(text) if text else None

    async def get(self, path: str, *, status: int = 200) -> Any:
        return await self.call("GET", path, status=status)

    async def results(self, path: str) -> list[Any]:
        found: list[Any] = (await self.get(path))["results"]
        return found

    async def onboard(self, *, status: int = 200, **changed: str) -> Any:
        headers = {
            "PARADEX-ETHEREUM-ACCOUNT": "0x" + "1" * 40,
            "PARADEX-STARKNET-ACCOUNT": self.account,
            "PARADEX-STARKNET-SIGNATURE": self.signature(onboarding_hash(CHAIN_ID, self.address)),
            **changed,
        }
        return await self.call(
            "POST", "/onboarding", {"public_key": hex(self.public_key)}, headers=headers, status=status
        )

    async def authenticate(
        self, *, status: int = 200, at_s: int | None = None, lasting_s: int = 180, in_path: bool = False
    ) -> Any:
        at_s = self._clock.ms // 1_000 if at_s is None else at_s
        signer = fast_stark_crypto.get_public_key(self.signing_key)
        headers = {
            "PARADEX-STARKNET-ACCOUNT": self.account,
            "PARADEX-STARKNET-SIGNATURE": self.signature(auth_hash(CHAIN_ID, self.address, at_s, at_s + lasting_s)),
            "PARADEX-TIMESTAMP": str(at_s),
            "PARADEX-SIGNATURE-EXPIRATION": str(at_s + lasting_s),
        }
        path = f"/auth/{hex(signer)}" if in_path else "/auth"
        answer = await self.call("POST", path, headers=headers, status=status)
        if status == 200:
            self.token = answer["jwt_token"]
        return answer

    def order(self, side: str, kind: str, size: object, price: object = None, **more: Any) -> dict[str, Any]:
        """A signed order. ``sign_as`` replaces fields in what is signed."""
        sign_as = more.pop("sign_as", {})
        body = {"market": BTC, "side": side, "type": kind, "size": str(size), "instruction": "GTC", **more}
        if price is not None:
            body["price"] = str(price)
        body.setdefault("signature_timestamp", self._clock.ms)
        body["signature"] = self.signature(self._hash(ORDER, {**body, **sign_as}))
        return body

    def change(self, order: dict[str, Any], **changed: str) -> dict[str, Any]:
        """A signed modification of an order as the venue shows it."""
        kept = {name: order[name] for name in ("id", "market", "side", "type", "size", "price")}
        body = {**kept, **changed, "signature_timestamp": self._clock.ms}
        body["signature"] = self.signature(self._hash(MODIFY_ORDER, body, int(order["id"])))
        return body

    async def place(self, *order: Any, status: int = 201, **more: Any) -> Any:
        return await self.call("POST", "/orders", self.order(*order, **more), status=status)

    async def placed(self, *order: Any, **more: Any) -> dict[str, Any]:
        """Place, and see what has come of it."""
        answer = await self.place(*order, **more)
        assert (answer["status"], answer["cancel_reason"]) == ("NEW", "")
        found: dict[str, Any] = await self.get(f"/orders/{answer['id']}")
        return found

    def _hash(self, kind: str, body: dict[str, Any], *ids: int) -> int:
        price = "0" if "MARKET" in body["type"] else body["price"]
        side = 1 if body["side"] == "BUY" else 2
        names = [short_string(body["market"]), side, short_string(body["type"])]
        values = [body["signature_timestamp"], *names, scaled(body["size"]), scaled(price), *ids]
        return message_hash(CHAIN_ID, self.address, kind, values)


async def mark(venue: ParadexVenue) -> int:
    """Of BTC, in whole dollars."""
    price: Decimal = await venue.exchange.read(lambda engine: engine.views.mark_price(BTC).mark_price)
    return int(price)


async def move_until(venue: ParadexVenue, clock: Clock, reached: Callable[[Decimal], bool]) -> None:
    """To the first second in which the mark price of BTC is so; at most a day ahead."""

    def search(engine: Any) -> int:
        market = engine.views.market(BTC)
        now = clock.ms // 1_000
        return next(second for second in range(now + 1, now + 86_400) if reached(market.mark(second)))

    clock.ms = await venue.exchange.read(search) * 1_000
