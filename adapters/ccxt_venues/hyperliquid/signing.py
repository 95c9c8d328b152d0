"""Signatures of Hyperliquid's L1 actions: EIP-712 over a hash of the action's MessagePack, by an agent's key.

The bytes that are hashed are the action's fields in the order of ``wire``; the same values go out as JSON.
"""

from __future__ import annotations

from typing import Final

import msgspec
from coincurve import PrivateKey
from Crypto.Hash import keccak

from adapters.ccxt_venues.hyperliquid.wire import Action, Signature, Signed


def keccak256(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


_pack: Final = msgspec.msgpack.Encoder().encode
_DOMAIN: Final = keccak256(
    keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    + keccak256(b"Exchange")
    + keccak256(b"1")
    + (1337).to_bytes(32, "big")
    + bytes(32)
)
_AGENT: Final = keccak256(b"Agent(string source,bytes32 connectionId)")
_MAINNET: Final = keccak256(b"a")
_TESTNET: Final = keccak256(b"b")


class Signer:
    """An agent's key, or the account's own. ``mainnet`` is False for every other network: no signature serves both."""

    def __init__(self, private_key: str, *, mainnet: bool) -> None:
        """:raises ValueError: it is no secp256k1 key."""
        self._key = PrivateKey(bytes.fromhex(private_key.removeprefix("0x").zfill(64)))
        self._prefix = _AGENT + (_MAINNET if mainnet else _TESTNET)
        self.address = "0x" + keccak256(self._key.public_key.format(compressed=False)[1:])[-20:].hex()

    def sign(self, action: Action, nonce: int, *, vault: str | None = None, expires_at_ms: int | None = None) -> Signed:
        """``vault`` is the address that the action is for where it is not the signer's own account."""
        digest = keccak256(
            b"\x19\x01" + _DOMAIN + keccak256(self._prefix + action_hash(action, nonce, vault, expires_at_ms))
        )
        signature = self._key.sign_recoverable(digest, hasher=None)
        return Signed(
            action=action,
            nonce=nonce,
            signature=Signature(r=f"0x{signature[:32].hex()}", s=f"0x{signature[32:64].hex()}", v=27 + signature[64]),
            vault_address=vault or msgspec.UNSET,
            expires_after=expires_at_ms or msgspec.UNSET,
        )


def action_hash(action: Action, nonce: int, vault: str | None, expires_at_ms: int | None) -> bytes:
    data = _pack(action) + nonce.to_bytes(8, "big")
    data += b"\x00" if vault is None else b"\x01" + bytes.fromhex(vault.removeprefix("0x"))
    if expires_at_ms is not None:
        data += b"\x00" + expires_at_ms.to_bytes(8, "big")
    return keccak256(data)
