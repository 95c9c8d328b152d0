from __future__ import annotations

import json
from typing import Any

import pytest

from adapters.ccxt_venues.refusals import Action
from adapters.milo.refusals import judge
from adapters.transport import Reply
from normalization.venue_failures import (
    Reason,
    VenueDeferred,
    VenuePaymentRequired,
    VenueRejected,
    VenueUnclear,
)

TERMS = {
    "reason": "conversation_write_overage",
    "acceptedHeader": "X-PAYMENT",
    "recipient": "Treasury",
    "options": [{"asset": "USDC", "amount": 0.25}, {"asset": "SOL", "amount": 0.01}],
    "freeTier": {"requests": 2, "windowSeconds": 60},
    "antiReplay": {
        "required": True,
        "oneTimeIdField": "paymentId",
        "oneTimeTxField": "txSignature",
        "scope": "api_key",
    },
    "onChainVerification": {"required": True, "chain": "solana", "commitment": "confirmed", "txField": "txSignature"},
}


def said(status: int, code: str, message: str = "no", headers: dict[str, str] | None = None, **more: Any) -> Reply:
    body = json.dumps({"error": {"code": code, "message": message, **more}}).encode()
    return Reply(status=status, body=body, headers=headers or {})


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (400, "bad_request", Reason.INVALID_REQUEST),
        (401, "unauthorized", Reason.AUTHENTICATION_FAILED),
        (404, "not_found", Reason.NOT_FOUND),
        (409, "error", Reason.CONFLICT),
    ],
)
def test_what_the_reference_names_is_a_refusal(status: int, code: str, reason: Reason) -> None:
    failure = judge(Action.PLACE, said(status, code, "because"))
    assert isinstance(failure, VenueRejected)
    assert (failure.reason, failure.text) == (reason, "because")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("There is no JUP to sell, neither in a position nor in the wallet", Reason.NO_POSITION),
        ("The order sells 5 SOL, more than there is: expected at most 1 SOL", Reason.INSUFFICIENT_FUNDS),
        ("The order is archived: there is nothing left to delete", Reason.ORDER_ALREADY_CLOSED),
    ],
)
def test_words_only_choose_the_reason_of_what_was_refused(words: str, reason: Reason) -> None:
    refused = judge(Action.PLACE, said(400, "bad_request", words))
    assert refused is not None
    assert refused.reason is reason
    assert isinstance(judge(Action.PLACE, said(500, "internal_error", words)), VenueUnclear)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=400, body=b"<html>Bad Request</html>"),
        Reply(status=400, body=b'{"error":"bad_request"}'),
        Reply(status=400, body=b'{"error":{"code":"bad_request"'),
        Reply(status=404, body=b""),
        Reply(status=408, body=b"{}"),
        Reply(status=429, body=b"slow down"),
        Reply(status=503, body=b"{}"),
        said(400, "not_found"),
        said(404, "bad_request"),
        said(409, "conflict"),
        said(500, "internal_error"),
        said(502, "bad_request"),
        said(418, "teapot"),
    ],
)
def test_of_a_write_nothing_else_proves_anything(reply: Reply) -> None:
    for action in (Action.PLACE, Action.SET, Action.CANCEL):
        assert isinstance(judge(action, reply), VenueUnclear), reply


def test_too_many_says_when_to_come_back() -> None:
    failure = judge(Action.PLACE, said(429, "rate_limit_exceeded", headers={"retry-after": "17"}))
    assert isinstance(failure, VenueDeferred)
    assert (failure.reason, failure.retry_after_s) == (Reason.VENUE_RATE_LIMITED, 17)


def test_what_has_to_be_paid_is_told_in_full_and_exactly() -> None:
    failure = judge(Action.SET, said(402, "payment_required", details=TERMS))
    assert isinstance(failure, VenuePaymentRequired)
    assert failure.terms["options"] == [{"asset": "USDC", "amount": "0.25"}, {"asset": "SOL", "amount": "0.01"}]
    assert {name: failure.terms[name] for name in TERMS if name != "options"} == {
        name: value for name, value in TERMS.items() if name != "options"
    }


def test_terms_that_cannot_be_read_are_taken_from_the_headers() -> None:
    headers = {
        "x-payment-header": "X-PAYMENT",
        "x-payment-recipient": "Treasury",
        "x-payment-options": "USDC:0.25,SOL:0.01",
    }
    failure = judge(Action.SET, said(402, "payment_required", details="pay!", headers=headers))
    assert isinstance(failure, VenuePaymentRequired)
    assert failure.terms["recipient"] == "Treasury"
    assert failure.terms["options"] == [{"asset": "USDC", "amount": "0.25"}, {"asset": "SOL", "amount": "0.01"}]


def test_a_success_is_no_refusal() -> None:
    assert all(judge(Action.PLACE, Reply(status=status, body=b"")) is None for status in (200, 201, 202, 204))
