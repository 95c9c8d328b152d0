"""Who signed a request. Written from the protocol alone, sharing no code with what signs.

L1 actions are signed by a phantom agent: EIP-712 over the hash of the packed action, its nonce, vault and expiry. What
only the owner may do is EIP-712 over the fields themselves. Addresses are lower-case hex with ``0x``.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Final

import coincurve
from Crypto.Hash import keccak as _keccak

from sandbox.hyperliquid.actions import (
    ApproveAgent,
    ApproveBuilderFee,
    L1Action,
    UsdClassTransfer,
    UsdSend,
    UserSignedAction,
    WireSignature,
    Withdraw,
    packed,
)

ZERO_ADDRESS: Final = "0x" + "0" * 40
_L1_CHAIN_ID: Final = 1337
_HALF: Final = 32


class Chain(StrEnum):
    """Whose signatures: the same action is signed differently for either."""

    MAINNET = "Mainnet"
    TESTNET = "Testnet"

    @property
    def source(self) -> str:
        return "a" if self is Chain.MAINNET else "b"


class UnrecoverableSignature(Exception):
    """The numbers are no signature of anybody."""


def keccak(data: bytes) -> bytes:
    return _keccak.new(digest_bits=256, data=data).digest()


def address_bytes(address: str) -> bytes:
    return bytes.fromhex(address.removeprefix("0x"))


def normal_address(address: str) -> str:
    return "0x" + address.removeprefix("0x").lower()


def action_hash(action: L1Action, nonce: int, vault: str | None, expires_after: int | None) -> bytes:
    """The connection id that the phantom agent signs."""
    data = packed(action) + nonce.to_bytes(8, "big")
    data += b"\x00" if vault is None else b"\x01" + address_bytes(vault)
    if expires_after is not None:
        data += b"\x00" + expires_after.to_bytes(8, "big")
    return keccak(data)


def l1_digest(connection_id: bytes, chain: Chain) -> bytes:
    """What is signed for an L1 action."""
    struct = keccak(_type_hash("Agent(string source,bytes32 connectionId)") + _source_hash(chain) + connection_id)
    return _typed(_domain("Exchange", _L1_CHAIN_ID), struct)


def user_signed_digest(action: UserSignedAction) -> bytes:
    """What is signed for an action of the account's owner."""
    name, fields = _typed_fields(action)
    declared = ",".join(f"{kind} {field}" for kind, field, _ in fields)
    struct = _type_hash(f"HyperliquidTransaction:{name}({declared})")
    struct += b"".join(_word(kind, value) for kind, _, value in fields)
    return _typed(_domain("HyperliquidSignTransaction", int(action.signatureChainId, 16)), keccak(struct))


def recover(digest: bytes, signature: WireSignature) -> str:
    """The address whose key signed ``digest``: some address for nearly any signature, the right one for a right one.

    :raises UnrecoverableSignature: no key can have made it.
    """
    recovery = signature.v - 27
    if recovery not in (0, 1):
        raise UnrecoverableSignature
    # Clients drop leading zeros.
    text = signature.r[2:].rjust(2 * _HALF, "0") + signature.s[2:].rjust(2 * _HALF, "0")
    try:
        key = coincurve.PublicKey.from_signature_and_message(
            bytes.fromhex(text) + bytes([recovery]), digest, hasher=None
        )
    except Exception as error:  # coincurve raises bare Exception for numbers out of range
        raise UnrecoverableSignature from error
    return "0x" + keccak(key.format(compressed=False)[1:])[-20:].hex()


_Field = tuple[str, str, str | int | bool]


def _typed_fields(action: UserSignedAction) -> tuple[str, Sequence[_Field]]:
    chain: _Field = ("string", "hyperliquidChain", action.hyperliquidChain)
    match action:
        case ApproveAgent():
            return "ApproveAgent", [
                chain,
                ("address", "agentAddress", action.agentAddress),
                ("string", "agentName", action.agentName or ""),
                ("uint64", "nonce", action.nonce),
            ]
        case ApproveBuilderFee():
            return "ApproveBuilderFee", [
                chain,
                ("string", "maxFeeRate", action.maxFeeRate),
                ("address", "builder", action.builder),
                ("uint64", "nonce", action.nonce),
            ]
        case UsdSend() | Withdraw():
            return "UsdSend" if isinstance(action, UsdSend) else "Withdraw", [
                chain,
                ("string", "destination", action.destination),
                ("string", "amount", action.amount),
                ("uint64", "time", action.time),
            ]
        case UsdClassTransfer():
            return "UsdClassTransfer", [
                chain,
                ("string", "amount", action.amount),
                ("bool", "toPerp", action.toPerp),
                ("uint64", "nonce", action.nonce),
            ]


def _word(kind: str, value: str | int | bool) -> bytes:
    if kind == "string":
        return keccak(str(value).encode())
    if kind == "address":
        return address_bytes(str(value)).rjust(_HALF, b"\x00")
    return int(value).to_bytes(_HALF, "big")


@lru_cache(maxsize=2)
def _source_hash(chain: Chain) -> bytes:
    return keccak(chain.source.encode())


@lru_cache(maxsize=64)
def _type_hash(declaration: str) -> bytes:
    return keccak(declaration.encode())


@lru_cache(maxsize=64)
def _domain(name: str, chain_id: int) -> bytes:
    declaration = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    words = (keccak(name.encode()), keccak(b"1"), chain_id.to_bytes(_HALF, "big"), bytes(_HALF))
    return keccak(_type_hash(declaration) + b"".join(words))


def _typed(domain: bytes, struct_hash: bytes) -> bytes:
    return keccak(b"\x19\x01" + domain + struct_hash)
