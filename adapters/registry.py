"""The only list of venues. A venue is a row here and a module beside this one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from adapters import paper
from adapters.base import Adapter, CredentialField, Network


class VenueContext(msgspec.Struct, frozen=True, kw_only=True):
    """What opening a venue may need. ``now_ms`` is UTC epoch milliseconds."""

    data_dir: Path
    now_ms: Callable[[], int]


class Venue(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a venue without opening it, and how to open it."""

    exchange: str
    networks: frozenset[Network]
    credential_fields: Sequence[CredentialField]
    open: Callable[[VenueContext], Awaitable[Adapter]]


async def _open_paper(context: VenueContext) -> Adapter:
    return await paper.open_paper(context.data_dir / "paper.db", context.now_ms)


VENUES: Final[Mapping[str, Venue]] = MappingProxyType(
    {
        venue.exchange: venue
        for venue in (
            Venue(
                exchange="paper",
                networks=paper.NETWORKS,
                credential_fields=paper.CREDENTIAL_FIELDS,
                open=_open_paper,
            ),
        )
    }
)


async def open_adapters(context: VenueContext) -> dict[str, Adapter]:
    """Every venue, by the name it has on the wire."""
    return {name: await venue.open(context) for name, venue in VENUES.items()}
