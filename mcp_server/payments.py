"""Paying for a call, in both ways that clients know: as the partner API's own MCP tools do it, and as x402 does.

Whoever is asked to pay gets ``paymentSupport`` and, in the same object, x402's ``PaymentRequired``. The proof comes
back as the tool's ``payment``, or as x402's payload in the call's ``_meta``; the receipt stands in the result's.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

from adapters.milo.tokens import TOKENS, Token
from mcp_server import results
from mcp_server.protocol import INVALID_PARAMS, Message, RpcError, members_of, text_of
from normalization.decimals import is_sane, plain, trimmed
from normalization.errors import PaymentRequired

PAYMENT: Final = "x402/payment"
RECEIPT: Final = "x402/payment-response"
ARGUMENT: Final = "payment"
NETWORK: Final = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"
FIELDS: Final = ("recipient", "asset", "amount", "paymentId", "txSignature")

_VERSION: Final = 2
_MAX_TIMEOUT_S: Final = 300
_BY_SYMBOL: Final = {token.symbol: token for token in TOKENS}
_BY_MINT: Final = {token.mint: token for token in TOKENS}
_HOW: Final = (
    "Transfer one of the options to the recipient on Solana, wait until it is confirmed, and repeat the call with "
    "payment: its txSignature and a paymentId of your own, each never used before."
)


def refusal(error: PaymentRequired, tool: str) -> bytes:
    """The result of a call that has to be paid for."""
    details: dict[str, Any] = dict(error.details or {})
    body = {
        **results.envelope(error),
        "paymentSupport": {**details, "fields": FIELDS, "how": _HOW},
        "x402Version": _VERSION,
        "resource": {"url": f"mcp://tool/{tool}", "mimeType": "application/json"},
        "accepts": [
            _requirement(_BY_SYMBOL[option["asset"]], Decimal(option["amount"]), str(details.get("recipient")))
            for option in details.get("options", ())
            if option["asset"] in _BY_SYMBOL
        ],
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
        token, units = _BY_MINT.get(_text(accepted.get("asset")) or ""), _text(accepted.get("amount"))
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


def _requirement(token: Token, amount: Decimal, recipient: str) -> dict[str, Any]:
    return {
        "scheme": "exact",
        "network": NETWORK,
        "amount": plain(amount.scaleb(token.decimals).to_integral_value()),
        "asset": token.mint,
        "payTo": recipient,
        "maxTimeoutSeconds": _MAX_TIMEOUT_S,
        # It is proved by the transfer itself, not by a transaction that somebody else would send.
        "extra": {"symbol": token.symbol, "decimals": token.decimals, "payload": ["paymentId", "txSignature"]},
    }


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
