"""Accounts, amounts and transactions as Solana's JSON-RPC shows them."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final

from solders.account import Account
from solders.message import Message, MessageV0, MessageV1
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from sandbox.milo.chain import Chain
from sandbox.milo.chain_records import ChainTransaction, TokenBalance
from sandbox.milo.programs import TOKEN_PROGRAM
from sandbox.milo.tokens import BY_ADDRESS
from sandbox.milo.wire import plain

# Of programs and other accounts that nobody here owns.
_BUILT_IN_LAMPORTS: Final = 1
_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def account(found: Account | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "lamports": found.lamports,
        "owner": str(found.owner),
        "data": [b64encode(found.data).decode(), "base64"],
        "executable": found.executable,
        "rentEpoch": found.rent_epoch,
        "space": len(found.data),
    }


def token_amount(held: TokenBalance) -> dict[str, Any]:
    token = BY_ADDRESS.get(held.mint)
    amount = str(held.units) if token is None else plain(token.amount(held.units))
    decimals = 0 if token is None else token.decimals
    return {"amount": str(held.units), "decimals": decimals, "uiAmount": float(amount), "uiAmountString": amount}


def status(found: ChainTransaction | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "slot": found.slot,
        "confirmations": None,
        "err": None,
        "status": {"Ok": None},
        "confirmationStatus": "finalized",
    }


def entry(found: ChainTransaction) -> dict[str, Any]:
    return {
        "signature": found.signature,
        "slot": found.slot,
        "err": None,
        "memo": None,
        "blockTime": found.at_ms // 1_000,
        "confirmationStatus": "finalized",
    }


def transaction(chain: Chain, found: ChainTransaction, encoding: str) -> dict[str, Any]:
    parsed = VersionedTransaction.from_bytes(found.raw)
    shown = [b64encode(found.raw).decode(), "base64"] if encoding == "base64" else _parsed(parsed)
    return {
        "slot": found.slot,
        "blockTime": found.at_ms // 1_000,
        "transaction": shown,
        "meta": _meta(chain, found, parsed.message.account_keys),
        "version": "legacy" if isinstance(parsed.message, Message) else 0,
    }


def _parsed(parsed: VersionedTransaction) -> dict[str, Any]:
    return {"signatures": [str(signature) for signature in parsed.signatures], "message": _message(parsed.message)}


def _message(message: Message | MessageV0 | MessageV1) -> dict[str, Any]:
    header = message.header
    return {
        "header": {
            "numRequiredSignatures": header.num_required_signatures,
            "numReadonlySignedAccounts": header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": header.num_readonly_unsigned_accounts,
        },
        "accountKeys": [str(key) for key in message.account_keys],
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [
            {
                "programIdIndex": step.program_id_index,
                "accounts": list(step.accounts),
                "data": _base58(step.data),
                "stackHeight": None,
            }
            for step in message.instructions
        ],
    }


def _meta(chain: Chain, found: ChainTransaction, keys: list[Pubkey]) -> dict[str, Any]:
    changes = {change.address: change for change in found.changes}
    places = [(place, changes[str(key)]) for place, key in enumerate(keys) if str(key) in changes]
    unchanged = [_lamports(chain, key) for key in keys]
    before, after = list(unchanged), list(unchanged)
    for place, change in places:
        before[place], after[place] = change.lamports_before, change.lamports_after
    return {
        "err": None,
        "status": {"Ok": None},
        "fee": found.fee,
        "preBalances": before,
        "postBalances": after,
        "preTokenBalances": [shown for place, change in places for shown in _held(place, change.tokens_before)],
        "postTokenBalances": [shown for place, change in places for shown in _held(place, change.tokens_after)],
        "innerInstructions": [],
        "logMessages": None,
        "rewards": [],
    }


def _held(place: int, held: TokenBalance | None) -> list[dict[str, Any]]:
    if held is None:
        return []
    return [
        {
            "accountIndex": place,
            "mint": held.mint,
            "owner": held.owner,
            "programId": str(TOKEN_PROGRAM),
            "uiTokenAmount": token_amount(held),
        }
    ]


def _lamports(chain: Chain, key: Pubkey) -> int:
    found = chain.account(key)
    return _BUILT_IN_LAMPORTS if found is None else found.lamports


def _base58(data: bytes) -> str:
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text
