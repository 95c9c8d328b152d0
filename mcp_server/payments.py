"""Paying for a call, in both ways that clients know: as the partner API's own MCP tools do it, and as x402 does.

Whoever is asked to pay gets ``paymentSupport`` and, in the same object, x402's ``PaymentRequired``. The proof comes
back as the tool's ``payment``, or as x402's payload in the call's ``_meta``; the receipt stands in the result's.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from gateway import x402
from gateway.x402 import BY_MINT, FIELDS
from mcp_server import results
from mcp_server.protocol import INVALID_PARAMS, Message, RpcError, members_of, text_of
from normalization.decimals import is_sane, plain, trimmed
from normalization.errors import PaymentRequired

PAYMENT: Final = "x402/payment"
RECEIPT: Final = "x402/payment-response"
ARGUMENT: Final = "payment"

_DESCRIPTION: Final = "A message to one of Milo's agents, beyond the free ones"
_HOW: Final = (
    "Transfer one of the options to the recipient on Solana, wait until it is confirmed, and repeat the call with "
    "payment: its txSignature and a paymentId of your own, each never used before."
)


def refusal(error: PaymentRequired, tool: str) -> bytes:
    """The result of a call that has to be paid for."""
    body = {
        **results.envelope(error),
        "paymentSupport": {**(error.details or {}), "fields": FIELDS, "how": _HOW},
        **x402.payment_required(error, f"mcp://tool/{tool}", _DESCRIPTION),
    }
    return results.of_body(msgspec.json.encode(body), is_error=True)


def in_meta(message: Message) -> bytes | None:
    """The tool's ``payment`` as x402 has it with a call, None where there is none.

    :raises RpcError: it is not what was asked for.
    """
    raw = message.meta().get(PAYMENT)
    if raw is None:
        return None
    payload, accepted = (members_of(members_of(raw).get(name)) for name in ("payload", "accepted"))
    given = {
        "recipient": _text(payload.get("recipient") or accepted.get("payTo")),
        "asset": _text(payload.get("asset")),
        "amount": _text(payload.get("amount")),
        "paymentId": _text(payload.get("paymentId")),
        "txSignature": _text(payload.get("txSignature")),
    }
    if given["asset"] is None or given["amount"] is None:
        token, units = BY_MINT.get(_text(accepted.get("asset")) or ""), _text(accepted.get("amount"))
        if token is not None and units is not None and units.isdecimal() and len(units) <= 18:
            given["asset"], given["amount"] = token.symbol, trimmed(Decimal(units).scaleb(-token.decimals))
    missing = [name for name, value in given.items() if value is None]
    if missing:
        raise RpcError(
            INVALID_PARAMS,
            f"Invalid params: {PAYMENT} lacks {', '.join(missing)}: accepted as it was offered, and a payload with "
            "paymentId and txSignature of a confirmed transfer",
            id=message.id,
        )
    return msgspec.json.encode(given)


def receipt_in(body: bytes) -> bytes | None:
    """What a paid call's answer says of the payment."""
    payment = members_of(msgspec.Raw(body)).get(ARGUMENT)
    return None if payment is None else bytes(payment)


def _text(raw: msgspec.Raw | None) -> str | None:
    """A string, or a number as it would be written as one."""
    if raw is None:
        return None
    if (text := text_of(raw)) is not None:
        return text
    try:
        value = msgspec.json.decode(raw, type=Decimal)
    except msgspec.DecodeError:
        return None
    return plain(value) if is_sane(value) else None
