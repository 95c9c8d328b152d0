"""What has to be paid, in the words of x402 version 2 (2025-12-09), beside the venue's own terms.

Milo takes proofs of transfers that have happened. On Solana x402's ``exact`` hands over a transaction that somebody
else sends. So ``assetTransferMethod`` is ``txid``, as a proposal beside the specification calls it, and there is no
``feePayer``, without which clients that know only the other way stop before they sign anything.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from adapters.milo.tokens import TOKENS, Token
from normalization.decimals import plain
from normalization.errors import PaymentRequired

VERSION: Final = 2
HEADER: Final = "PAYMENT-REQUIRED"
NETWORK: Final = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"
FIELDS: Final = ("recipient", "asset", "amount", "paymentId", "txSignature")

_OFFERED_FOR_S: Final = 300
_BY_SYMBOL: Final = {token.symbol: token for token in TOKENS}
BY_MINT: Final = {token.mint: token for token in TOKENS}


def payment_required(error: PaymentRequired, url: str, description: str) -> dict[str, Any]:
    """x402's ``PaymentRequired`` for the resource at ``url``."""
    details: Mapping[str, Any] = error.details or {}
    recipient = details.get("recipient")
    return {
        "x402Version": VERSION,
        "error": error.message,
        "resource": {"url": url, "description": description, "mimeType": "application/json"},
        "accepts": [
            _requirement(_BY_SYMBOL[option["asset"]], Decimal(option["amount"]), recipient)
            for option in details.get("options", ())
            if option["asset"] in _BY_SYMBOL and recipient
        ],
    }


def in_header(error: PaymentRequired, url: str) -> str:
    """The same as the header ``PAYMENT-REQUIRED`` has it."""
    told = payment_required(error, url, "An operation that the exchange wants to be paid for")
    return base64.b64encode(msgspec.json.encode(told)).decode()


def _requirement(token: Token, amount: Decimal, recipient: str) -> dict[str, Any]:
    return {
        "scheme": "exact",
        "network": NETWORK,
        "amount": plain(amount.scaleb(token.decimals).to_integral_value()),
        "asset": token.mint,
        "payTo": recipient,
        "maxTimeoutSeconds": _OFFERED_FOR_S,
        "extra": {
            "assetTransferMethod": "txid",
            "symbol": token.symbol,
            "decimals": token.decimals,
            "fields": FIELDS,
        },
    }
