"""Checks of what a user types in as a venue's secrets: each returns what is wrong with a value, or None."""

from __future__ import annotations

import re
from typing import Final

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from adapters.ccxt_venues.bech32 import is_bech32

_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_KEY: Final = re.compile(r"(0x)?[0-9a-fA-F]{64}")
_ORDERLY_ACCOUNT: Final = re.compile(r"0x[0-9a-fA-F]{64}")
_BASE64_KEY: Final = re.compile(r"[A-Za-z0-9+/_-]{43}=")
_FELT: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")
_SEEDS: Final = re.compile(r"(0x)?([0-9a-fA-F]{2}){32,128}")
_API_KEY: Final = re.compile(r"[!-~]{8,256}")
_LIGHTER_KEY: Final = re.compile(r"(0x)?[0-9a-fA-F]{80}")
_DECIMAL_ID: Final = re.compile(r"[0-9]{1,20}")

SECP256K1_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
STARK_PRIME: Final = 2**251 + 17 * 2**192 + 1
STARK_ORDER: Final = 0x800000000000010FFFFFFFFFFFFFFFFB781126DCAE7B2321E66A241ADC64D2F


def ethereum_address(value: str) -> str | None:
    return None if _ADDRESS.fullmatch(value) else "expected 0x and 40 hex digits"


def ethereum_key(value: str) -> str | None:
    if not _KEY.fullmatch(value):
        return "expected a private key: 64 hex digits"
    return None if 0 < int(value, 16) < SECP256K1_ORDER else "not a valid private key"


def starknet_address(value: str) -> str | None:
    if not _FELT.fullmatch(value):
        return "expected a Starknet address: 0x and hex digits"
    return None if 0 < int(value, 16) < STARK_PRIME else "not a valid Starknet address"


def starknet_key(value: str) -> str | None:
    if not _FELT.fullmatch(value):
        return "expected a Starknet private key: 0x and hex digits"
    return None if 0 < int(value, 16) < STARK_ORDER else "not a valid Starknet private key"


def orderly_account(value: str) -> str | None:
    return None if _ORDERLY_ACCOUNT.fullmatch(value) else "expected 0x and 64 hex digits"


def ed25519_secret(value: str) -> str | None:
    """32 bytes in base58, which is also how Solana spells an address."""
    try:
        Pubkey.from_string(value.removeprefix("ed25519:"))
    except ValueError:
        return "expected an ed25519 secret key: ed25519: and 43 or 44 letters and digits"
    return None


def hibachi_api_key(value: str) -> str | None:
    return None if _BASE64_KEY.fullmatch(value) else "expected an API key: 44 characters that end in ="


def hibachi_key(value: str) -> str | None:
    """Of a wallet's account an ECDSA key, of one made by e-mail an HMAC secret."""
    if _BASE64_KEY.fullmatch(value):
        return None
    return "expected 0x and 64 hex digits, or 44 characters that end in =" if ethereum_key(value) else None


def nado_subaccount(value: str) -> str | None:
    if value.isascii() and value.isprintable() and 0 < len(value) <= 12:
        return None
    return "expected a name of at most 12 ASCII characters"


def zk_seeds(value: str) -> str | None:
    return None if _SEEDS.fullmatch(value) else "expected an Omni key: 64 to 256 hex digits"


def api_key(value: str) -> str | None:
    return None if _API_KEY.fullmatch(value) else "expected an API key: letters, digits and signs without a space"


def decimal_id(value: str) -> str | None:
    return None if _DECIMAL_ID.fullmatch(value) else "expected a number"


def solana_address(value: str) -> str | None:
    try:
        Pubkey.from_string(value)
    except ValueError:
        return "expected a Solana address: base58 of 32 bytes"
    return None


def solana_key(value: str) -> str | None:
    try:
        Keypair.from_base58_string(value)
    except ValueError:
        return "expected a Solana private key: base58 of 64 bytes"
    return None


def lighter_key(value: str) -> str | None:
    return None if _LIGHTER_KEY.fullmatch(value) else "expected the private key of an API key: 80 hex digits"


def lighter_key_index(value: str) -> str | None:
    """Lower ones belong to the venue's own applications, and ccxt would take any other for 254."""
    return None if value.isdecimal() and value.isascii() and 4 <= int(value) <= 254 else "expected a number, 4 to 254"


def dydx_address(value: str) -> str | None:
    return None if is_bech32("dydx", value) else "expected an address of the dYdX chain: dydx1 and 38 letters"
