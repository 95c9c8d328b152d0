"""What can go wrong at the paper exchange, on demand: so that what uses it can be tested against a venue that fails."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

from sandbox.engine.noise import uniforms

LATE_MS: Final = 5_000
_COUNTED: Final = 10_000


class Fault(StrEnum):
    """What happens to one request. Only of the first three did the exchange not carry it out."""

    DISCONNECT_BEFORE = "disconnect_before"
    RATE_LIMIT = "rate_limit"
    REJECT = "reject"
    TIMEOUT_AFTER_ACCEPT = "timeout_after_accept"
    DISCONNECT_AFTER = "disconnect_after"
    PARTIAL_FILL = "partial_fill"
    SLOW = "slow"
    LATE_VISIBILITY = "late_visibility"
    LOOKUP_ERROR = "lookup_error"


class Request(StrEnum):
    """The kinds of requests that a fault can be meant for."""

    PLACE = "place"
    CANCEL = "cancel"
    LOOKUP = "lookup"


class Injected(msgspec.Struct, frozen=True, kw_only=True):
    """``until`` is what a slow answer waits for, None for the exchange's own delay; ``delay_ms`` how late is late."""

    fault: Fault
    until: asyncio.Event | None = None
    delay_ms: int = LATE_MS


class Faults:
    """Faults to come, per account: those injected first, one per request; then by the account's rates.

    A rate is rolled from the request's client id and how often that was seen, so that a run can be repeated.
    """

    def __init__(self) -> None:
        self._injected: dict[tuple[str, Request], deque[Injected]] = {}
        self._rates: dict[str, Mapping[Fault, float]] = {}
        self._seen: dict[tuple[str, Request, str], int] = {}

    def inject(
        self,
        account: str,
        fault: Fault,
        *,
        times: int = 1,
        on: Request | None = None,
        until: asyncio.Event | None = None,
        delay_ms: int = LATE_MS,
    ) -> None:
        """Let the next ``times`` requests of the account meet ``fault``.

        They are placements unless ``on`` says otherwise, lookups for ``LOOKUP_ERROR``. A batch is one request.
        """
        request = on or (Request.LOOKUP if fault is Fault.LOOKUP_ERROR else Request.PLACE)
        waiting = self._injected.setdefault((account, request), deque())
        waiting.extend([Injected(fault=fault, until=until, delay_ms=delay_ms)] * times)

    def set_rates(self, account: str, rates: Mapping[Fault, float]) -> None:
        self._rates[account] = rates

    def draw(self, account: str, request: Request, client_id: str) -> Injected | None:
        """The fault that this request meets, if any."""
        waiting = self._injected.get((account, request))
        if waiting:
            return waiting.popleft()
        rates = self._rates.get(account)
        if not rates or request is Request.CANCEL:
            return None
        seen = self._count(account, request, client_id)
        for fault in Fault:
            rate = rates.get(fault, 0.0) if (fault is Fault.LOOKUP_ERROR) == (request is Request.LOOKUP) else 0.0
            if rate and uniforms(fault, client_id, seen)[0] < rate:
                return Injected(fault=fault)
        return None

    def _count(self, account: str, request: Request, client_id: str) -> int:
        if len(self._seen) >= _COUNTED:
            self._seen.clear()
        key = (account, request, client_id)
        self._seen[key] = self._seen.get(key, -1) + 1
        return self._seen[key]


def parse_rates(text: str) -> Mapping[Fault, float]:
    """``timeout_after_accept=0.1,reject=0.05`` as rates from 0 to 1.

    :raises ValueError: with what is wrong, for people.
    """
    rates: dict[Fault, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, value = part.partition("=")
        try:
            fault = Fault(name.strip())
        except ValueError:
            raise ValueError(f"there is no fault {name.strip()[:40]!a}: there are {', '.join(Fault)}") from None
        try:
            rate = float(value)
        except ValueError:
            rate = -1.0
        if not 0.0 <= rate <= 1.0:
            raise ValueError(f"{fault.value} needs a rate from 0 to 1, such as {fault.value}=0.1")
        rates[fault] = rate
    return MappingProxyType(rates)
