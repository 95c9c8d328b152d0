"""The venue put together: the exchange, what it does not know, and the two endpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

from sandbox.hyperliquid.identity import AGENT, BUILDER, NONCES, Identity
from sandbox.hyperliquid.info import Info
from sandbox.hyperliquid.orders import Record, Terms
from sandbox.hyperliquid.signing import Chain, normal_address
from sandbox.hyperliquid.trading import Trading
from sandbox.hyperliquid.universe import Universe, hyperliquid_listings
from sandbox.wires.desk import Desk
from sandbox.wires.exchange import WireExchange
from sandbox.wires.faults import WireFaults
from sandbox.wires.records import Records

# Clients tell an order's number from a client order id by its length, and real numbers have this many digits.
_FIRST_ORDER: Final = 100_000_000_001
FAUCET_USD: Final = Decimal(100_000)


class HyperliquidVenue:
    """``directory`` is where it keeps its state, None for memory only.

    ``chains`` are the networks whose signatures it takes. Clients take an address that is not the venue's own for its
    testnet (the venue's SDK) or its mainnet (ccxt), so a local venue takes both unless told otherwise.
    """

    def __init__(
        self,
        *,
        seed: int,
        directory: Path | None,
        now_ms: Callable[[], int],
        chains: Sequence[Chain] = (Chain.TESTNET, Chain.MAINNET),
    ) -> None:
        listings = hyperliquid_listings()
        path = None if directory is None else directory / "hyperliquid.db"
        self.faults = WireFaults()
        self.exchange = WireExchange(seed=seed, path=path, now_ms=now_ms, instruments=listings)
        self._records: Records[Terms] = Records(
            None if directory is None else directory / "hyperliquid-wire.db", Record, _FIRST_ORDER
        )
        self.desk = Desk(self.exchange, self._records, now_ms)
        self._universe = Universe(listings)
        self._chains = chains
        self._now_ms = now_ms
        self._parts: tuple[Info, Trading] | None = None

    async def start(self) -> None:
        """Open what was kept and catch up with the time since."""
        facts = {kind: await self._records.facts(kind) for kind in (AGENT, NONCES, BUILDER)}
        identity = Identity(facts)
        await self.desk.start()
        self._parts = (
            Info(self.exchange, self._records, self.desk, self._universe, identity, self._now_ms),
            Trading(self.exchange, self._records, self.desk, self._universe, identity, self._chains, self._now_ms),
        )

    @property
    def info(self) -> Info:
        return self._started()[0]

    @property
    def trading(self) -> Trading:
        return self._started()[1]

    async def fund(self, address: str, usd: Decimal = FAUCET_USD) -> None:
        """Give an address an account with this much, unless it has one: what a deposit does at the real venue."""
        await self.exchange.open_account(normal_address(address), usd)

    async def close(self) -> None:
        self.faults.clear()
        await self.exchange.close()
        await self._records.close()

    def _started(self) -> tuple[Info, Trading]:
        if self._parts is None:
            raise RuntimeError("start() first")
        return self._parts
