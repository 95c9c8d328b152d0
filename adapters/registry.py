"""The only list of venues. A venue is a row here and a module beside this one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

import msgspec

from adapters import paper
from adapters.base import Adapter, Capabilities, CredentialField, Network
from adapters.ccxt_venues.adapter import CcxtAdapter
from adapters.ccxt_venues.nonces import Nonces
from adapters.ccxt_venues.rows import ROWS
from adapters.ccxt_venues.venue import Row, Surroundings
from adapters.milo import adapter as milo
from adapters.milo.api import EXCHANGE as MILO
from adapters.transport import Transport


class Time(Protocol):
    """UTC epoch milliseconds, and seconds that never go back."""

    def now_ms(self) -> int: ...
    def monotonic(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...


class VenueContext(msgspec.Struct, frozen=True, kw_only=True):
    """What opening a venue may need.

    ``transport`` has the connections that all venues share. ``paper_urls`` is where a venue's protocol is served on
    this machine, by exchange: network ``paper`` of that exchange. ``nonces`` are given where other workers sign for
    the same signers; ``slot`` of ``slots`` tells apart those of one machine. ``paper`` is given where another process
    has the paper venue.
    """

    data_dir: Path
    clock: Time
    transport: Transport
    paper_urls: Mapping[str, str] = {}
    nonces: Nonces | None = None
    slot: int = 0
    slots: int = 1
    paper: Adapter | None = None


class Venue(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a venue without opening it, and how to open it."""

    exchange: str
    networks: frozenset[Network]
    capabilities: Capabilities
    credential_fields: Sequence[CredentialField]
    open: Callable[[VenueContext], Awaitable[Adapter]]


async def _open_paper(context: VenueContext) -> Adapter:
    return context.paper or await paper.open_paper(context.data_dir / "paper.db", context.clock.now_ms)


async def _open_dex(row: Row, context: VenueContext) -> Adapter:
    around = Surroundings(
        data_dir=context.data_dir,
        transport=context.transport,
        now_ms=context.clock.now_ms,
        monotonic=context.clock.monotonic,
        sleep=context.clock.sleep,
        nonces=context.nonces,
        slot=context.slot,
        slots=context.slots,
    )
    return CcxtAdapter(row, around, paper_url=context.paper_urls.get(row.exchange))


async def _open_milo(context: VenueContext) -> Adapter:
    return milo.MiloAdapter(
        transport=context.transport,
        monotonic=context.clock.monotonic,
        sleep=context.clock.sleep,
        paper_url=context.paper_urls.get(MILO),
    )


SERVED_LOCALLY: Final = frozenset({"hyperliquid", "paradex"})
"""Venues whose protocol the sandbox speaks: their network ``paper``."""

_PAPER: Final = Venue(
    exchange="paper",
    networks=paper.NETWORKS,
    capabilities=paper.CAPABILITIES,
    credential_fields=paper.CREDENTIAL_FIELDS,
    open=_open_paper,
)


def venue_of(row: Row) -> Venue:
    return Venue(
        exchange=row.exchange,
        networks=frozenset(row.hosts) | ({Network.PAPER} if row.exchange in SERVED_LOCALLY else set()),
        capabilities=row.capabilities,
        credential_fields=row.credential_fields,
        open=partial(_open_dex, row),
    )


_MILO: Final = Venue(
    exchange=MILO,
    networks=milo.NETWORKS,
    capabilities=milo.CAPABILITIES,
    credential_fields=milo.CREDENTIAL_FIELDS,
    open=_open_milo,
)

VENUES: Final[Mapping[str, Venue]] = MappingProxyType(
    {venue.exchange: venue for venue in (_PAPER, *map(venue_of, ROWS.values()), _MILO)}
)


async def open_adapters(context: VenueContext, venues: Mapping[str, Venue] = VENUES) -> dict[str, Adapter]:
    """Every venue, by the name it has on the wire."""
    return {name: await venue.open(context) for name, venue in venues.items()}
