"""What a row of the table says of an operation."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from adapters.base import Capability
from gateway.operations.wire import Reply, Request
from storage.ports import Tier


class Group(StrEnum):
    MARKET_DATA = "Market data"
    ACCOUNT = "Account"
    PLACEMENT = "Order placement"
    MANAGEMENT = "Order management"
    MILO = "Milo"


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation. ``capability`` is what the venue must be able to do, None where no venue is involved.

    ``read_only``, ``destructive`` and ``idempotent`` are hints for clients: destructive ends something that was there
    (an order, a position), idempotent may be sent twice without a second effect. What ``places_orders`` has the desk's
    deadlines; everything else is cut short when the venue does not answer. ``public`` takes no key: how one gets one.
    ``explicit_only`` is for what no key may do unless its scope names it, ``only_at`` the one exchange that has it.
    ``when_unknown`` tells how to find out what became of it, where sending it again could do it twice.
    """

    name: str
    group: Group
    request: type[Request]
    reply: type[Reply]
    minimum_tier: Tier
    capability: Capability | None
    read_only: bool
    destructive: bool = False
    idempotent: bool = False
    places_orders: bool = False
    public: bool = False
    explicit_only: bool = False
    only_at: str | None = None
    when_unknown: str = ""
    description: str
    example: Mapping[str, Any]
