"""Paid overage: two writes a minute are free for a key, and each one more is paid for on the chain beforehand.

A proof names a confirmed transfer of exactly one of the accepted prices to the treasury. It serves once: neither its
``paymentId`` nor its ``txSignature`` is taken from the same key again.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from sandbox.milo.calls import Call
from sandbox.milo.conversations import x402
from sandbox.milo.conversations.x402 import Settlement
from sandbox.milo.errors import ApiError, bad_request
from sandbox.milo.limits import WINDOW_S, Group
from sandbox.milo.tokens import SOL, USDC, Token
from sandbox.milo.wire import plain

HEADER: Final = "X-PAYMENT"
PRICES: Final[Mapping[Token, Decimal]] = {USDC: Decimal("0.25"), SOL: Decimal("0.01")}
MOST_ID: Final = 200

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS payments (
    key_id TEXT NOT NULL, payment_id TEXT NOT NULL, signature TEXT NOT NULL, at_ms INTEGER NOT NULL,
    PRIMARY KEY (key_id, payment_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS payments_by_transaction ON payments (key_id, signature)
"""

_BY_SYMBOL: Final = {token.symbol: token for token in PRICES}
_OPTIONS: Final = ",".join(f"{token.symbol}:{plain(price)}" for token, price in PRICES.items())
_FIELDS: Final = ("recipient", "asset", "amount", "paymentId", "txSignature")
_EXCEEDED: Final = "Conversation write limit exceeded. Payment is required for overage messages."


class Payment(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The JSON in the payment header."""

    recipient: str
    asset: str
    amount: Decimal
    payment_id: str
    tx_signature: str


def charge(call: Call) -> Mapping[str, str]:
    """Take the payment for a write that is not free. The headers of its answer: none where it is free.

    :raises ApiError: 402; there is no proof of payment, or it proves something else. 400; it cannot be read.
    """
    if call.allowance.is_allowed:
        return {}
    given = call.headers.get(HEADER.lower())
    if given is None:
        raise _required(call, _EXCEEDED)
    return _accepted(_checked(call, _read(given)))


def _checked(call: Call, payment: Payment) -> Settlement:
    """:raises ApiError: 402; says what was expected."""
    treasury = call.core.chain.treasury
    token = _BY_SYMBOL.get(payment.asset)
    if token is None:
        raise _not_accepted(call, f"`asset` must be one of {', '.join(_BY_SYMBOL)}")
    price = PRICES[token]
    if payment.recipient != treasury:
        raise _not_accepted(call, f"`recipient` must be {treasury}")
    if payment.amount != price:
        raise _not_accepted(call, f"`amount` must be {plain(price)} for {token.symbol}")
    _require_unused(call, payment)
    found = call.core.chain.transaction(payment.tx_signature)
    if found is None:
        raise _not_accepted(call, "`txSignature` must be that of a confirmed transaction on this chain")
    paid = token.amount(found.gained(treasury, token.address))
    if paid != price:
        sent = plain(max(paid, Decimal(0)))
        raise _not_accepted(call, f"the transaction must send {plain(price)} {token.symbol} to {treasury}, not {sent}")
    _use(call, payment)
    return Settlement(
        transaction=payment.tx_signature,
        payer=found.fee_payer,
        amount=str(token.units(price)),
        asset=token.address,
        recipient=treasury,
        payment_id=payment.payment_id,
    )


def _require_unused(call: Call, payment: Payment) -> None:
    db, key_id = call.core.db, call.caller.key_id
    if db.row("SELECT 1 FROM payments WHERE key_id = ? AND payment_id = ?", key_id, payment.payment_id) is not None:
        raise _not_accepted(call, "`paymentId` must be one that was not used before")
    if db.row("SELECT 1 FROM payments WHERE key_id = ? AND signature = ?", key_id, payment.tx_signature) is not None:
        raise _not_accepted(call, "`txSignature` must be that of a transaction that was not used before")


def _use(call: Call, payment: Payment) -> None:
    call.core.db.execute(
        "INSERT INTO payments VALUES (?, ?, ?, ?)",
        call.caller.key_id, payment.payment_id, payment.tx_signature, call.core.now_ms,
    )  # fmt: skip


def _read(given: str) -> Payment:
    """:raises ApiError: 400."""
    try:
        payment = msgspec.json.decode(given.encode(errors="surrogateescape"), type=Payment)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        payment = None
    if payment is None or not 1 <= len(payment.payment_id) <= MOST_ID:
        raise bad_request(
            f"`{HEADER}` must be JSON with `recipient`, `asset`, `amount` (a number), `paymentId` (1 to {MOST_ID}"
            " characters) and `txSignature`",
            field=HEADER,
        )
    return payment


def _accepted(settlement: Settlement) -> Mapping[str, str]:
    told = x402.in_header(settlement)
    return {x402.RESPONSE_HEADER: told, f"X-{x402.RESPONSE_HEADER}": told, "X-Billing-Mode": "payg"}


def _not_accepted(call: Call, why: str) -> ApiError:
    return _required(call, f"Payment not accepted: {why}.")


def _required(call: Call, message: str) -> ApiError:
    treasury = call.core.chain.treasury
    headers = {
        "X-Payment-Required": "true",
        "X-Payment-Header": HEADER,
        "X-Payment-Recipient": treasury,
        "X-Payment-Options": _OPTIONS,
        "X-Payment-Id-Field": "paymentId",
        "X-Payment-Tx-Field": "txSignature",
        x402.REQUIRED_HEADER: x402.terms(
            error=message, url=call.url, prices=PRICES, pay_to=treasury, header=HEADER, fields=_FIELDS
        ),
    }
    return ApiError(402, "payment_required", message, _details(treasury), headers)


def _details(treasury: str) -> dict[str, Any]:
    return {
        "reason": "conversation_write_overage",
        "acceptedHeader": HEADER,
        "recipient": treasury,
        "options": [{"asset": token.symbol, "amount": price} for token, price in PRICES.items()],
        "freeTier": {"requests": Group.CONVERSATIONS_WRITE.limit, "windowSeconds": WINDOW_S},
        "antiReplay": {
            "required": True,
            "oneTimeIdField": "paymentId",
            "oneTimeTxField": "txSignature",
            "scope": "api_key",
        },
        "onChainVerification": {
            "required": True,
            "chain": "solana",
            "commitment": "confirmed",
            "txField": "txSignature",
        },
    }
