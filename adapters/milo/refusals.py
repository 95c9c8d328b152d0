"""What a reply proves that is no success: only what the reference says that a status and a code mean."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from adapters.ccxt_venues.link import judge_status, retry_after_s
from adapters.ccxt_venues.refusals import MAX_TEXT, Action
from adapters.milo.wire import Number, Wire, decoded
from adapters.transport import Reply
from normalization.venue_failures import (
    Reason,
    VenueDeferred,
    VenueFailure,
    VenuePaymentRequired,
    VenueRejected,
)


class Option(Wire, frozen=True, kw_only=True):
    asset: str
    amount: Number


class FreeTier(Wire, frozen=True, kw_only=True):
    requests: int
    window_seconds: int


class AntiReplay(Wire, frozen=True, kw_only=True):
    required: bool
    one_time_id_field: str
    one_time_tx_field: str
    scope: str


class Verification(Wire, frozen=True, kw_only=True):
    required: bool
    chain: str
    commitment: str
    tx_field: str


class Terms(Wire, frozen=True, kw_only=True):
    """What has to be paid, to whom, and how that is proved."""

    reason: str
    accepted_header: str
    recipient: str
    options: list[Option]
    free_tier: FreeTier | UnsetType = UNSET
    anti_replay: AntiReplay | UnsetType = UNSET
    on_chain_verification: Verification | UnsetType = UNSET


class _Error(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    message: str
    details: Any = None


class _Envelope(msgspec.Struct, frozen=True):
    error: _Error


_PLAIN: Final = msgspec.json.Decoder(_Envelope)

# What Milo has one code for, by its words. They only choose the word of ours: that it was refused, its status says.
_REASONS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), reason)
    for pattern, reason in (
        (r"there is nothing left to delete|only one that is .* can be", Reason.ORDER_ALREADY_CLOSED),
        (r"there is no .* to sell|position is not active", Reason.NO_POSITION),
        (r"more than there is|wallet holds|insufficient|not enough", Reason.INSUFFICIENT_FUNDS),
    )
)


def judge(action: Action, reply: Reply) -> VenueFailure | None:
    """None for a success, whose body is to be read. What the reference does not name proves nothing of a write."""
    if 200 <= reply.status < 300:
        return None
    said = _said(reply)
    proves = None if said is None else _PROVES.get((reply.status, said.code))
    if said is None or proves is None:
        return judge_status(action, reply)
    return proves(said, reply)


def _said(reply: Reply) -> _Error | None:
    try:
        return _PLAIN.decode(reply.body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _rejected(reason: Reason) -> Callable[[_Error, Reply], VenueFailure]:
    return lambda said, reply: VenueRejected(reason, said.message[:MAX_TEXT])


def _bad_request(said: _Error, reply: Reply) -> VenueFailure:
    found = (reason for pattern, reason in _REASONS if pattern.search(said.message))
    return VenueRejected(next(found, Reason.INVALID_REQUEST), said.message[:MAX_TEXT])


def _rate_limited(said: _Error, reply: Reply) -> VenueFailure:
    return VenueDeferred(Reason.VENUE_RATE_LIMITED, said.message[:MAX_TEXT], retry_after_s=retry_after_s(reply))


def _payment_required(said: _Error, reply: Reply) -> VenueFailure:
    try:
        terms = decoded(reply.body, _TermsEnvelope).error.details
        details = msgspec.to_builtins(terms)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        details = _told_in_headers(reply)
    return VenuePaymentRequired(said.message[:MAX_TEXT], details)


class _TermsError(msgspec.Struct, frozen=True):
    details: Terms


class _TermsEnvelope(msgspec.Struct, frozen=True):
    error: _TermsError


def _told_in_headers(reply: Reply) -> dict[str, Any]:
    """The terms again, as far as the reference has them there."""
    options = [option.partition(":") for option in reply.headers.get("x-payment-options", "").split(",") if option]
    return {
        "acceptedHeader": reply.headers.get("x-payment-header", "X-PAYMENT"),
        "recipient": reply.headers.get("x-payment-recipient"),
        "options": [{"asset": asset, "amount": amount} for asset, _, amount in options],
    }


_PROVES: Final = {
    (400, "bad_request"): _bad_request,
    (401, "unauthorized"): _rejected(Reason.AUTHENTICATION_FAILED),
    (402, "payment_required"): _payment_required,
    (404, "not_found"): _rejected(Reason.NOT_FOUND),
    (409, "error"): _rejected(Reason.CONFLICT),
    (429, "rate_limit_exceeded"): _rate_limited,
}
