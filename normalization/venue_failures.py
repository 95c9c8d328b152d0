"""What can go wrong between us and a venue, as adapters report it.

    VenueFailure
    ├── VenueNotReached     the request provably never left: DNS, refused, connect timeout, TLS handshake
    ├── VenueRejected       a code on the adapter's own allow-list, in a well-formed reply: it did not happen
    │   └── VenuePaymentRequired    it would happen if it was paid for
    ├── VenueDeferred       refused before acceptance: rate limit, nonce too old
    ├── VenueDuplicate      duplicate client id or nonce used: an earlier try of ours landed
    └── VenueUnclear        it was sent and nobody knows

An exception that is none of these is treated as ``VenueUnclear`` by the classifier (``gateway.orders.classification``).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final


class Reason(StrEnum):
    """The stable words of ``details.reason``. One is added when a venue has a refusal that none of these names."""

    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    ORDER_NOT_FOUND = "ORDER_NOT_FOUND"
    ORDER_ALREADY_CLOSED = "ORDER_ALREADY_CLOSED"
    POST_ONLY_WOULD_TAKE = "POST_ONLY_WOULD_TAKE"
    REDUCE_ONLY_WOULD_INCREASE = "REDUCE_ONLY_WOULD_INCREASE"
    NO_POSITION = "NO_POSITION"
    NO_LIQUIDITY = "NO_LIQUIDITY"
    PRICE_OUT_OF_RANGE = "PRICE_OUT_OF_RANGE"
    TRIGGER_WOULD_FIRE = "TRIGGER_WOULD_FIRE"
    INVALID_ORDER = "INVALID_ORDER"
    INVALID_LEVERAGE = "INVALID_LEVERAGE"
    TOO_MANY_ORDERS = "TOO_MANY_ORDERS"
    POSITION_LIMIT = "POSITION_LIMIT"
    DUPLICATE_ORDER_ID = "DUPLICATE_ORDER_ID"
    MARKET_CLOSED = "MARKET_CLOSED"
    REQUEST_EXPIRED = "REQUEST_EXPIRED"
    AUTHENTICATION_FAILED = "AUTHENTICATION_FAILED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    PAYMENT_REQUIRED = "PAYMENT_REQUIRED"
    INVALID_REQUEST = "INVALID_REQUEST"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    VENUE_RATE_LIMITED = "VENUE_RATE_LIMITED"
    VENUE_UNREACHABLE = "VENUE_UNREACHABLE"
    VENUE_TIMEOUT = "VENUE_TIMEOUT"
    VENUE_UNAVAILABLE = "VENUE_UNAVAILABLE"
    SEND_DEADLINE_PASSED = "SEND_DEADLINE_PASSED"
    NOT_PLACED = "NOT_PLACED"
    OTHER = "OTHER"


RETRYABLE: Final = frozenset(
    {
        Reason.VENUE_RATE_LIMITED,
        Reason.VENUE_UNREACHABLE,
        Reason.VENUE_TIMEOUT,
        Reason.VENUE_UNAVAILABLE,
        Reason.SEND_DEADLINE_PASSED,
        Reason.REQUEST_EXPIRED,
        Reason.NO_LIQUIDITY,
    }
)


class VenueFailure(Exception):
    """``text`` is the venue's own words or a description of ours: shown to callers, so never a secret."""

    def __init__(self, reason: Reason, text: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text
        self.retry_after_s = retry_after_s

    @property
    def retryable(self) -> bool:
        return self.reason in RETRYABLE


class VenueNotReached(VenueFailure):
    pass


class VenueRejected(VenueFailure):
    pass


class VenuePaymentRequired(VenueRejected):
    """``terms`` says what to pay, to whom and how to prove it, in the venue's own fields."""

    def __init__(self, text: str, terms: Mapping[str, Any]) -> None:
        super().__init__(Reason.PAYMENT_REQUIRED, text)
        self.terms = terms


class VenueDeferred(VenueFailure):
    pass


class VenueDuplicate(VenueFailure):
    pass


class VenueUnclear(VenueFailure):
    pass
