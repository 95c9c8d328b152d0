"""The local Milo, served, and somebody with a wallet who uses it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import aiohttp
import msgspec
from multidict import CIMultiDictProxy
from solders.keypair import Keypair

from sandbox.milo.core import Core
from sandbox.milo.signin import open_account
from sandbox.milo.tokens import BY_SYMBOL, SOL
from sandbox.milo.venue import MiloVenue
from sandbox.milo.wallets import Wallet
from tests.support.manual_clock import ManualClock

T = TypeVar("T")


class MiloReply(msgspec.Struct, frozen=True):
    status: int
    headers: CIMultiDictProxy[str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def data(self) -> Any:
        """What is in the envelope of a success."""
        assert self.status in (200, 201, 202), self.text
        return self.json["data"]

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and code."""
        return self.status, self.json["error"]["code"]

    @property
    def message(self) -> str:
        return str(self.json["error"]["message"])


class MiloServer:
    def __init__(self, venue: MiloVenue, url: str, clock: ManualClock, http: aiohttp.ClientSession) -> None:
        self.venue = venue
        self.url = url
        self.clock = clock
        self.http = http

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> MiloReply:
        """``path`` after ``/api/v1``. ``body`` is encoded, unless it is bytes already."""
        sent = {"Content-Type": "application/json"} | ({"X-API-Key": key} if key else {}) | dict(headers or {})
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        async with self.http.request(method, f"{self.url}/api/v1{path}", data=data, headers=sent) as response:
            return MiloReply(response.status, response.headers, await response.text())

    async def run(self, job: Callable[[Core], T]) -> T:
        return await self.venue.run(job)

    async def user(self, **funds: str | int) -> MiloUser:
        """A new one whose trading wallet holds ``funds``, such as ``SOL=2, USDC="100.5"``."""
        keypair = Keypair()

        def opened(core: Core) -> tuple[str, str, Wallet]:
            user, key = open_account(core, str(keypair.pubkey()))
            return user.user_id, key, core.wallets.trading(user.user_id)

        user_id, key, wallet = await self.run(opened)
        user = MiloUser(self, keypair, user_id, key, wallet)
        for symbol, amount in funds.items():
            await user.fund(symbol, amount)
        return user


class MiloUser:
    """``keypair`` is the wallet that signed up, ``wallet`` the one that Milo trades with."""

    def __init__(self, server: MiloServer, keypair: Keypair, user_id: str, key: str, wallet: Wallet) -> None:
        self.server = server
        self.keypair = keypair
        self.user_id = user_id
        self.key = key
        self.wallet = wallet

    async def fund(self, symbol: str, amount: str | int) -> None:
        token = BY_SYMBOL[symbol]
        units = token.units(msgspec.convert(str(amount), type=type(token.amount(0))))
        await self.server.run(lambda core: core.chain.fund(self.wallet.address, token, units, core.now_ms))

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> MiloReply:
        """``path`` after ``/api/v1``, in which ``{userId}`` and ``{walletId}`` are this user's."""
        path = path.replace("{userId}", self.user_id).replace("{walletId}", self.wallet.wallet_id)
        return await self.server.call(method, path, body, key=self.key, headers=headers)

    async def units(self, symbol: str = SOL.symbol) -> int:
        return await self.server.run(lambda core: core.chain.balance(self.wallet.address, BY_SYMBOL[symbol]))
