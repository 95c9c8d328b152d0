"""What a call across processes raised, as something to send: named exceptions keep their names, others only a class."""

from __future__ import annotations

from typing import Final

import msgspec

from normalization.errors import ServiceUnavailable
from normalization.venue_failures import (
    Reason,
    VenueDeferred,
    VenueDuplicate,
    VenueFailure,
    VenueNotReached,
    VenueRejected,
    VenueUnclear,
)


class CallFailed(Exception):
    """The other process failed at it in a way that has no name: its text may hold anything; only its class is told."""


class NotOpen(Exception):
    """The venue session that was meant is not open over there."""


class Failure(msgspec.Struct, frozen=True, array_like=True):
    name: str
    text: str = ""
    reason: str = ""
    retry_after_s: int | None = None


_VENUE_FAILURES: Final = {
    kind.__name__: kind for kind in (VenueNotReached, VenueRejected, VenueDeferred, VenueDuplicate, VenueUnclear)
}


def failure_of(error: Exception) -> Failure:
    name = type(error).__name__
    if isinstance(error, VenueFailure):
        return Failure(name, error.text, error.reason, error.retry_after_s)
    if isinstance(error, ServiceUnavailable):
        return Failure(ServiceUnavailable.__name__, error.message)
    return Failure(TimeoutError.__name__ if isinstance(error, TimeoutError) else name)


def raised(failure: Failure) -> Exception:
    """The exception to raise for it on this side."""
    kind = _VENUE_FAILURES.get(failure.name)
    if kind is not None:
        return kind(Reason(failure.reason), failure.text, retry_after_s=failure.retry_after_s)
    match failure.name:
        case ServiceUnavailable.__name__:
            return ServiceUnavailable(failure.text, retry_after_s=1)
        case TimeoutError.__name__:
            return TimeoutError()
        case NotOpen.__name__:
            return NotOpen()
        case _:
            return CallFailed(failure.name)
