"""The venue put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

from sandbox.engine import listings
from sandbox.paradex.access import FAUCET_USDC, Access
from sandbox.paradex.account_api import AccountApi
from sandbox.paradex.market_views import instruments_of
from sandbox.paradex.members import MEMBER, Members
from sandbox.paradex.orders import Record, Terms
from sandbox.paradex.tokens import Tokens
from sandbox.paradex.trading import Trading
from sandbox.wires.desk import Desk
from sandbox.wires.exchange import WireExchange
from sandbox.wires.faults import WireFaults
from sandbox.wires.records import Fact, Records

_SIGNER: Final = "signer"


class Parts(NamedTuple):
    access: Access
    trading: Trading
    account: AccountApi


class ParadexVenue:
    """``directory`` is where it keeps its state, None for memory only."""

    def __init__(self, *, seed: int, directory: Path | None, now_ms: Callable[[], int]) -> None:
        listed = listings("paradex")
        path = None if directory is None else directory / "paradex.db"
        self.faults = WireFaults()
        self.instruments = instruments_of(listed)
        self.exchange = WireExchange(seed=seed, path=path, now_ms=now_ms, instruments=listed)
        self.now_ms = now_ms
        self._records: Records[Terms] = Records(
            None if directory is None else directory / "paradex-wire.db", Record, first_number=1
        )
        self.desk = Desk(self.exchange, self._records, now_ms, ids_for_ever=False)
        self._parts: Parts | None = None

    async def start(self) -> None:
        """Open what was kept and catch up with the time since."""
        members = Members(await self._records.facts(MEMBER))
        key = (await self._records.facts(_SIGNER)).get("")
        if key is None:
            key = Tokens.new_key()
            await self._commit([Fact(_SIGNER, "", key)])
        await self.desk.start()
        access = Access(self.exchange, members, Tokens(key), self._commit, self.now_ms)
        trading = Trading(self.exchange, self._records, self.desk, access, self.instruments, self.now_ms)
        self._parts = Parts(access, trading, AccountApi(self.exchange, self._records, self.desk, self.instruments))

    @property
    def parts(self) -> Parts:
        if self._parts is None:
            raise RuntimeError("start() first")
        return self._parts

    async def admit(self, public_key: int, usdc: Decimal = FAUCET_USDC) -> str:
        """Onboard and fund the account of a Stark public key. Its address."""
        return await self.parts.access.admit(public_key, usdc=usdc)

    async def close(self) -> None:
        self.faults.clear()
        if self._parts is not None:
            self._parts.access.close()
        await self.exchange.close()
        await self._records.close()

    async def _commit(self, facts: Sequence[Fact]) -> None:
        await self._records.commit(facts=facts)
