"""What a venue is made of: one row of facts, and what serves one of its networks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from adapters.base import Capabilities, CredentialField, Network, OpenCredential, VenueSession
from adapters.ccxt_venues.limits import Budget
from adapters.ccxt_venues.nonces import Nonces
from adapters.transport import Transport
from normalization.resolver import Markets


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What the process gives every venue. ``slot`` of ``slots`` tells apart processes that share signers.

    ``nonces`` are for all of them together, where somebody sees to that.
    """

    data_dir: Path
    transport: Transport
    now_ms: Callable[[], int]
    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    slot: int = 0
    slots: int = 1
    nonces: Nonces | None = None


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """One network of one venue: its address, and what is shared by all who use it."""

    exchange: str
    network: Network
    base_url: str
    around: Surroundings
    nonces: Nonces

    @property
    def store(self) -> Path | None:
        """Where its list of markets is kept. That of a local venue may be another's at the next start."""
        if self.network is Network.PAPER:
            return None
        return self.around.data_dir / "markets" / f"{self.exchange}-{self.network}.json"

    def budgets(self, capacity: float, period_s: float) -> tuple[Budget, ...]:
        """This process's share of a budget to keep to; none on a local venue, which has no limits but its own."""
        if self.network is Network.PAPER:
            return ()
        share = capacity / self.around.slots
        return (Budget(share, period_s, monotonic=self.around.monotonic, sleep=self.around.sleep),)


class Service(Protocol):
    """One network of one venue, at work."""

    async def markets(self) -> Markets: ...
    async def open(self, credential: OpenCredential) -> VenueSession:
        """:raises ValueError: a secret is not what the venue's keys look like."""
        ...

    async def close(self) -> None: ...


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """``hosts`` are fixed. ``client_id`` spells our 16 bytes, ``describe`` what may be shown of a credential."""

    exchange: str
    hosts: Mapping[Network, str]
    capabilities: Capabilities
    credential_fields: Sequence[CredentialField]
    client_id: Callable[[bytes], str]
    describe: Callable[[Mapping[str, str]], str]
    serve: Callable[[Site], Service]
