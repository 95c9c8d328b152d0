"""What came back from a placement, judged. Pure; the default is UNKNOWN.

Denied is ours, rejected is the venue's, unknown is nobody's: only an adapter that matched a code on its own allow-list
may say "rejected", and only one that knows that no byte left may say "not sent".
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import msgspec

from adapters.base import Submission
from gateway.orders.states import state_of
from normalization.orders import Order
from normalization.venue_failures import (
    Reason,
    VenueDeferred,
    VenueDuplicate,
    VenueFailure,
    VenueNotReached,
    VenueRejected,
)
from storage.ports import OrderState

MAX_EVIDENCE: Final = 300
"""Characters of a venue's text that are kept and told: it may have sent a page."""

_REPORTED_REJECTED: Final = "the venue reports it as rejected"


class Next(Enum):
    """What may be done about it without being asked."""

    NOTHING = auto()
    SEND_AGAIN = auto()  # it never left: at most twice more, within 1.5 s
    SEND_ONCE_ANEW = auto()  # refused before acceptance: once, inside the send deadline
    LOOK_UP_NOW = auto()  # an earlier try of ours landed


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """``reason`` and ``evidence`` are kept with the order; ``order`` is set when the venue has it."""

    state: OrderState
    next: Next = Next.NOTHING
    order: Order | None = None
    reason: Reason | None = None
    evidence: str | None = None


def classify(submission: Submission, outcome: Order | BaseException) -> Verdict:
    match outcome:
        case Order():
            return _acknowledged(submission, outcome)
        case VenueRejected():
            return _failed(OrderState.REJECTED, Next.NOTHING, outcome)
        case VenueNotReached():
            return _failed(OrderState.NOT_SENT, Next.SEND_AGAIN, outcome)
        case VenueDeferred():
            again = Next.NOTHING if outcome.retry_after_s else Next.SEND_ONCE_ANEW
            return _failed(OrderState.NOT_SENT, again, outcome)
        case VenueDuplicate():
            return _failed(OrderState.UNKNOWN, Next.LOOK_UP_NOW, outcome)
        case VenueFailure():
            return _failed(OrderState.UNKNOWN, Next.NOTHING, outcome)
        case TimeoutError():
            return Verdict(
                state=OrderState.UNKNOWN, reason=Reason.VENUE_TIMEOUT, evidence="the venue did not answer in time"
            )
        case _:
            # The text of an unforeseen exception may hold anything: only its class is kept.
            return Verdict(state=OrderState.UNKNOWN, reason=Reason.OTHER, evidence=f"raised {type(outcome).__name__}")


def _acknowledged(submission: Submission, order: Order) -> Verdict:
    """An acknowledgement counts when it is plainly of this order; one that is not proves nothing."""
    ours = (
        order.order_id != ""
        and order.client_id in (None, submission.client_id)
        and order.symbol == submission.intent.symbol
        and order.side is submission.intent.side
    )
    if not ours:
        return Verdict(
            state=OrderState.UNKNOWN, reason=Reason.OTHER, evidence="the venue acknowledged something other than this"
        )
    state = state_of(order)
    if state is OrderState.REJECTED:
        reason, evidence = why_rejected(order)
        return Verdict(state=state, order=order, reason=reason, evidence=evidence)
    return Verdict(state=state, order=order)


def why_rejected(order: Order) -> tuple[Reason, str]:
    """Of an order that the venue reports as rejected: the word for it, and what it says."""
    if order.rejection is None:
        return Reason.OTHER, _REPORTED_REJECTED
    return order.rejection.reason, order.rejection.text[:MAX_EVIDENCE]


def _failed(state: OrderState, following: Next, failure: VenueFailure) -> Verdict:
    return Verdict(state=state, next=following, reason=failure.reason, evidence=failure.text[:MAX_EVIDENCE])
