from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from adapters.milo.tokens import NATIVE_MINT
from gateway import x402
from normalization.errors import PaymentRequired


def told(details: dict[str, Any] | None) -> dict[str, Any]:
    header = x402.in_header(PaymentRequired("Pay first", details=details), "/v1")
    document = json.loads(base64.b64decode(header))
    assert isinstance(document, dict)
    return document


def test_terms_become_x402s_in_smallest_units() -> None:
    found = told({"recipient": "Treasury", "options": [{"asset": "SOL", "amount": "0.01"}]})
    (accepted,) = found.pop("accepts")
    assert found == {
        "x402Version": 2,
        "error": "Pay first",
        "resource": {
            "url": "/v1",
            "description": "An operation that the exchange wants to be paid for",
            "mimeType": "application/json",
        },
    }
    extra = accepted.pop("extra")
    assert accepted == {
        "scheme": "exact",
        "network": "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
        "amount": "10000000",
        "asset": NATIVE_MINT,
        "payTo": "Treasury",
        "maxTimeoutSeconds": 300,
    }
    assert extra["assetTransferMethod"] == "txid"
    assert "feePayer" not in extra


@pytest.mark.parametrize(
    "details",
    [
        None,
        {},
        {"recipient": "Treasury"},
        {"recipient": None, "options": [{"asset": "SOL", "amount": "0.01"}]},
        {"recipient": "Treasury", "options": [{"asset": "GOLD", "amount": "1"}]},
    ],
)
def test_terms_that_lack_something_offer_nothing(details: dict[str, Any] | None) -> None:
    assert told(details)["accepts"] == []
