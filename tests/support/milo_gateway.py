"""A gateway over HTTP with a local Milo behind it, over HTTP too, and one clock for both."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, cast

from solders.keypair import Keypair

from adapters.milo.adapter import MiloAdapter
from adapters.transport import MAX_BODY, Request, Transport
from adapters.transport import Reply as HttpReply
from gateway.clock import SystemClock
from normalization.venue_failures import Reason, VenueUnclear
from sandbox.milo.tokens import SOL
from storage.ports import Account, KeyEnvironment, Scopes, Tier
from tests.support.manual_clock import START_MS, ManualClock
from tests.support.milo_served import served as milo_served
from tests.support.milo_user import MiloServer, MiloUser
from tests.support.scripted_venue import ScriptedVenue
from tests.support.served import Reply, Served, served

CHAIN_ID = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"


class MovableClock(SystemClock):
    """Time runs as ever for whoever waits, and is set forward in leaps; the wall clock stands in between."""

    def __init__(self) -> None:
        self._leapt_s = 0.0

    def now_ms(self) -> int:
        return START_MS + int(self._leapt_s * 1000)

    def monotonic(self) -> float:
        return super().monotonic() + self._leapt_s

    def advance(self, seconds: float) -> None:
        self._leapt_s += seconds


class Wire(Transport):
    """To Milo. While ``loses_answers``, a write arrives and nobody hears of it; ``written`` are the paths of writes."""

    def __init__(self) -> None:
        super().__init__()
        self.loses_answers = False
        self.written: list[str] = []

    async def send(self, request: Request, *, max_body: int = MAX_BODY) -> HttpReply:
        reply = await super().send(request, max_body=max_body)
        if request.method != "GET":
            self.written.append(request.url)
            if self.loses_answers:
                raise VenueUnclear(Reason.VENUE_TIMEOUT, "no answer in time")
        return reply


class MiloGateway:
    """``key`` is whoever asks: None for somebody without a key."""

    def __init__(self, gateway: Served, milo: MiloServer, clock: MovableClock, wire: Wire) -> None:
        self.gateway = gateway
        self.milo = milo
        self.clock = clock
        self.wire = wire

    async def ask(self, operation: str, key: str | None, **parameters: Any) -> Reply:
        return await self.gateway.post({"operation": operation, **parameters}, key)

    async def trader(self, tier: Tier = Tier.PRO, scopes: Scopes | None = None, **funds: str | int) -> Trader:
        """An account with a key and a funded Milo credential."""
        account = await self.gateway.account(tier)
        user = await self.milo.user(**(funds or {"SOL": 20, "USDC": 20_000}))
        credential = await self.gateway.credential(account, "milo", secrets={"api_key": user.key})
        return Trader(self, account, await self.gateway.key(account, scopes=scopes), user, credential.credential_id)

    async def sign_up(self, wallet: Keypair, key: str | None = None, **changed: Any) -> Reply:
        """Both steps, with nothing but a wallet."""
        address = str(wallet.pubkey())
        issued = await self.ask("miloRequestSiwxMessage", key, accountAddress=address, chainId=CHAIN_ID)
        assert issued.status == 200, issued.text
        told = issued.json["data"]
        siwx = {**told, "signature": str(wallet.sign_message(told["message"].encode()))}
        return await self.ask("miloSignup", key, **{"signupWallet": address, "siwx": siwx, **changed})

    async def deposit(self, address: str, symbol: str, amount: float) -> None:
        asked = {"address": address, "token": symbol, "amount": amount}
        async with self.milo.http.post(f"{self.milo.url}/sandbox/milo/faucet", json=asked) as response:
            assert response.status == 200, await response.text()


class Trader:
    def __init__(self, desk: MiloGateway, account: Account, key: str, user: MiloUser, credential_id: str) -> None:
        self.desk = desk
        self.account = account
        self.key = key
        self.user = user
        self.credential_id = credential_id

    async def another_key(self, scopes: Scopes) -> str:
        return await self.desk.gateway.key(self.account, environment=KeyEnvironment.TEST, scopes=scopes)

    async def ask(self, operation: str, *, key: str | None = None, **parameters: Any) -> Reply:
        """Thirteen seconds after whatever was before: no limit of Milo's is reached by one request after another."""
        self.desk.clock.advance(13)
        return await self.desk.ask(operation, key or self.key, credentialId=self.credential_id, **parameters)

    async def told(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        reply = await self.ask(operation, **parameters)
        assert reply.status == 200, reply.text
        return reply.json

    async def order(self, type_: str, amount: Mapping[str, Any], **more: Any) -> Mapping[str, Any]:
        """One that is carried out at once."""
        trigger = {"type": "absolute", "operator": "gte", "value": "0"}
        payload = {"type": type_, "amount": amount, "trigger": trigger}
        asked = {"tokenAddress": SOL.address, "type": type_, "payload": payload} | more
        placed = await self.told("miloCreateOrder", **asked)
        return cast("Mapping[str, Any]", (await self.told("miloGetOrder", orderId=placed["data"]["id"]))["data"])


@contextlib.asynccontextmanager
async def milo_gateway(directory: Path) -> AsyncIterator[MiloGateway]:
    clock, wire = MovableClock(), Wire()
    async with milo_served(cast("ManualClock", clock)) as milo:
        adapter = MiloAdapter(transport=wire, monotonic=clock.monotonic, sleep=clock.sleep, paper_url=milo.url)
        try:
            async with served(directory, {"milo": adapter, "scripted": ScriptedVenue()}, clock) as gateway:
                yield MiloGateway(gateway, milo, clock, wire)
        finally:
            await wire.close()
