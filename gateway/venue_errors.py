"""What a venue did, in the wire's words."""

from __future__ import annotations

from typing import Any, Final

from gateway.orders.classification import MAX_EVIDENCE
from normalization.errors import ExchangeError, GatewayError, PaymentRequired
from normalization.venue_failures import (
    VenueDeferred,
    VenueFailure,
    VenueNotReached,
    VenuePaymentRequired,
    VenueRejected,
)

_OUTCOMES: Final = {
    VenueRejected: ("rejected", "{exchange} refused"),
    VenueNotReached: ("not_sent", "{exchange} could not be reached"),
    VenueDeferred: ("not_sent", "{exchange} takes no requests just now"),
}


def exchange_error(exchange: str, failure: VenueFailure, *, hint: str = "") -> GatewayError:
    """A venue's failure of anything but a placement (the desk tells those).

    ``outcome`` is ``unknown`` where a request was sent and not answered: reads and cancels may simply be repeated. With
    a ``hint`` how to find out, it is something that may not.
    """
    if isinstance(failure, VenuePaymentRequired):
        return PaymentRequired(f"{exchange}: {failure.text[:MAX_EVIDENCE]}", details=failure.terms)
    outcome, prefix = _OUTCOMES.get(type(failure), ("unknown", f"{exchange} did not answer properly"))
    is_in_doubt = outcome == "unknown" and bool(hint)
    more: dict[str, Any] = {"hint": hint} if is_in_doubt else {}
    return ExchangeError(
        f"{prefix.format(exchange=exchange)}: {failure.text[:MAX_EVIDENCE]}",
        outcome=outcome,
        reason=failure.reason,
        retryable=failure.retryable and not is_in_doubt,
        venue_text=failure.text if isinstance(failure, VenueRejected) else None,
        retry_after_s=failure.retry_after_s,
        **more,
    )
