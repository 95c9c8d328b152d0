"""The instructions that this venue needs of Solana's programs, spelt as the programs define them."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.system_program import ID, TransferParams, transfer
from solders.token.associated import get_associated_token_address

SYSTEM_PROGRAM: Final = ID
TOKEN_PROGRAM: Final = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
ASSOCIATED_TOKEN_PROGRAM: Final = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")

_CLOSE_ACCOUNT: Final = 9
_TRANSFER_CHECKED: Final = 12
_CREATE_IDEMPOTENT: Final = 1


@lru_cache(maxsize=65_536)
def token_account(owner: Pubkey, mint: Pubkey) -> Pubkey:
    """Where ``owner`` keeps tokens of ``mint``: its associated token account."""
    return get_associated_token_address(owner, mint)


def transfer_lamports(source: Pubkey, destination: Pubkey, lamports: int) -> Instruction:
    return transfer(TransferParams(from_pubkey=source, to_pubkey=destination, lamports=lamports))


def transfer_tokens(source: Pubkey, destination: Pubkey, mint: Pubkey, units: int, decimals: int) -> Instruction:
    """The token program's ``TransferChecked`` between the associated accounts of two owners, signed by ``source``."""
    return Instruction(
        TOKEN_PROGRAM,
        bytes([_TRANSFER_CHECKED]) + units.to_bytes(8, "little") + bytes([decimals]),
        [
            AccountMeta(token_account(source, mint), is_signer=False, is_writable=True),
            AccountMeta(mint, is_signer=False, is_writable=False),
            AccountMeta(token_account(destination, mint), is_signer=False, is_writable=True),
            AccountMeta(source, is_signer=True, is_writable=False),
        ],
    )


def open_token_account(payer: Pubkey, owner: Pubkey, mint: Pubkey) -> Instruction:
    """The associated account of ``owner``, at the expense of ``payer``; nothing where it exists."""
    return Instruction(
        ASSOCIATED_TOKEN_PROGRAM,
        bytes([_CREATE_IDEMPOTENT]),
        [
            AccountMeta(payer, is_signer=True, is_writable=True),
            AccountMeta(token_account(owner, mint), is_signer=False, is_writable=True),
            AccountMeta(owner, is_signer=False, is_writable=False),
            AccountMeta(mint, is_signer=False, is_writable=False),
            AccountMeta(SYSTEM_PROGRAM, is_signer=False, is_writable=False),
            AccountMeta(TOKEN_PROGRAM, is_signer=False, is_writable=False),
        ],
    )


def close_token_account(owner: Pubkey, mint: Pubkey) -> Instruction:
    """Give the rent of an empty associated account back to its owner, who signs."""
    return Instruction(
        TOKEN_PROGRAM,
        bytes([_CLOSE_ACCOUNT]),
        [
            AccountMeta(token_account(owner, mint), is_signer=False, is_writable=True),
            AccountMeta(owner, is_signer=False, is_writable=True),
            AccountMeta(owner, is_signer=True, is_writable=False),
        ],
    )
