"""Test tokens for whoever asks. They are worth nothing, and there are many."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec
from solders.pubkey import Pubkey

from sandbox.milo.chain import ChainError
from sandbox.milo.core import Core
from sandbox.milo.errors import bad_request
from sandbox.milo.tokens import BY_ADDRESS, BY_SYMBOL, SOL, Token

MOST_USD: Final = Decimal(1_000_000)


class FaucetAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``token`` is a mint address or a symbol; ``amount`` in whole tokens."""

    address: str
    amount: Decimal = Decimal(10)
    token: str = SOL.symbol


class FaucetGave(msgspec.Struct, frozen=True, kw_only=True):
    signature: str


def fund(core: Core, address: str, token: Token, amount: Decimal) -> str:
    """The signature of the transfer.

    :raises ApiError: 400; no address, or not above 0 and at most a million dollars' worth.
    """
    try:
        recipient = str(Pubkey.from_string(address))
    except ValueError:
        raise bad_request("`address` must be a Solana address: 32 bytes in base58", field="address") from None
    most = MOST_USD / core.market.price(token, core.now_ms // 1_000)
    if not amount.is_finite() or not 0 < amount <= most or not token.units(amount):
        raise bad_request(f"`amount` must be above 0 and at most {most:.0f} {token.symbol}", field="amount")
    try:
        return core.chain.fund(recipient, token, token.units(amount), core.now_ms)
    except ChainError as error:
        raise bad_request(str(error), field="amount") from error


def give(core: Core, asked: FaucetAsked) -> FaucetGave:
    token = BY_ADDRESS.get(asked.token) or BY_SYMBOL.get(asked.token)
    if token is None:
        raise bad_request(f"`token` must be a mint address, or one of {', '.join(BY_SYMBOL)}", field="token")
    return FaucetGave(signature=fund(core, asked.address, token, asked.amount))
