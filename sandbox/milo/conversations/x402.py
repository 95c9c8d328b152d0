"""The terms and the receipt of a payment as x402 version 2 (2025-12-09) has them over HTTP.

The reference says how a payment is proved here: by a transfer that has happened, in the header ``X-PAYMENT``. On Solana
x402's `exact` hands over a transaction that somebody else sends. So ``assetTransferMethod`` is ``txid``, as a proposal
beside the specification calls it, and there is no ``feePayer``, without which clients that know only the other way stop
before they sign anything.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from sandbox.milo.tokens import Token
from sandbox.milo.wire import Wire, encoded

VERSION: Final = 2
REQUIRED_HEADER: Final = "PAYMENT-REQUIRED"
RESPONSE_HEADER: Final = "PAYMENT-RESPONSE"
# CAIP-2: what this chain's wallets sign in with, too.
NETWORK: Final = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"
_OFFERED_FOR_S: Final = 300


class Resource(Wire, frozen=True, kw_only=True):
    url: str
    description: str
    mime_type: str = "application/json"


class Extra(Wire, frozen=True, kw_only=True):
    """``header`` bears the proof, which is JSON with the names in ``fields``."""

    asset_transfer_method: str = "txid"
    symbol: str
    decimals: int
    header: str
    fields: tuple[str, ...]


class Requirement(Wire, frozen=True, kw_only=True):
    """``amount`` in the asset's smallest units; ``asset`` is its mint, of SOL that of its wrapped form as everywhere in
    the partner API."""

    scheme: str = "exact"
    network: str = NETWORK
    amount: str
    asset: str
    pay_to: str
    max_timeout_seconds: int = _OFFERED_FOR_S
    extra: Extra


class PaymentRequired(Wire, frozen=True, kw_only=True):
    x402_version: int = VERSION
    error: str
    resource: Resource
    accepts: list[Requirement]


class Settlement(Wire, frozen=True, kw_only=True):
    """x402's ``SettlementResponse``, and the proof that was taken. ``payer`` paid the chain for the transfer."""

    success: bool = True
    transaction: str
    network: str = NETWORK
    payer: str
    amount: str
    asset: str
    recipient: str
    payment_id: str


def terms(
    *, error: str, url: str, prices: Mapping[Token, Decimal], pay_to: str, header: str, fields: tuple[str, ...]
) -> str:
    """What ``PAYMENT-REQUIRED`` says."""
    accepts = [
        Requirement(
            amount=str(token.units(price)),
            asset=token.address,
            pay_to=pay_to,
            extra=Extra(symbol=token.symbol, decimals=token.decimals, header=header, fields=fields),
        )
        for token, price in prices.items()
    ]
    resource = Resource(url=url, description="A conversation message beyond the free ones")
    return in_header(PaymentRequired(error=error, resource=resource, accepts=accepts))


def in_header(told: PaymentRequired | Settlement) -> str:
    return base64.b64encode(encoded(told)).decode()
