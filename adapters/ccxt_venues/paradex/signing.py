"""Signatures of Paradex: StarkNet typed data (its first revision, Pedersen) by a key on the STARK curve.

What does not change from message to message is hashed once: the domain of a chain, the beginning of every message of
an account, the beginning of every order.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from functools import cache
from typing import Final

import fast_stark_crypto as stark

# The library panics on values outside these, with an exception that no handler expects.
_MAX_HASH: Final = 2**251

_ORDER: Final = 0xA56D5225B97B257C15AE2CB1CC0EA605381A886CD75463DB45FD2EF9FBC255
_REQUEST: Final = 0x186CDEF6B179923C411C13C11B8A825F12BF34203BDDA0A984DA9D6F2313C2
_DOMAIN: Final = 0x98D1932052FC5137543DE5ED85B7A88555A4CD1FF5D5BFEDB62ED9B9A1F0DB
_INITIALIZE: Final = 0x79DC0DA7C54B95F10AA182AD0A46400DB63156920ADB65ECA2654C0945A463
_ADDRESS_BOUND: Final = 2**251 - 256

_QUANTUM: Final = Decimal("1e-8")
_SIDES: Final = {"BUY": 1, "SELL": 2}


def short_string(text: str) -> int:
    """ASCII as one number, at most 31 characters of it."""
    if len(text) > 31:
        raise ValueError("too long for a short string")
    return int.from_bytes(text.encode("ascii"), "big")


def hash_chain(values: Iterable[int], start: int = 0, count: int = 0) -> int:
    """``start`` is the hash of ``count`` values that come before."""
    for value in values:
        start = stark.pedersen_hash(start, value)
        count += 1
    return stark.pedersen_hash(start, count)


_ORDER_START: Final = stark.pedersen_hash(0, _ORDER)


@cache
def domain_hash(chain_id: str) -> int:
    return hash_chain([_DOMAIN, short_string("Paradex"), short_string(chain_id), 1])


class Signer:
    """A subkey of an account, or the account's main key."""

    def __init__(self, private_key: str, account: str, chain_id: str) -> None:
        """:raises ValueError: the key or the address is no number in hex."""
        self._key = int(private_key, 16)
        self._start = 0
        for value in (short_string("StarkNet Message"), domain_hash(chain_id), int(account, 16)):
            self._start = stark.pedersen_hash(self._start, value)
        self.public_key: int = stark.get_public_key(self._key)

    def sign_order(
        self, *, timestamp_ms: int, market: str, side: str, order_type: str, size: Decimal, price: Decimal
    ) -> str:
        """``price`` is zero for every kind of market order."""
        return self._sign(self.order_hash(timestamp_ms, market, side, order_type, size, price))

    def order_hash(
        self, timestamp_ms: int, market: str, side: str, order_type: str, size: Decimal, price: Decimal
    ) -> int:
        fields = (
            timestamp_ms,
            short_string(market),
            _SIDES[side],
            short_string(order_type),
            quantums(size),
            quantums(price),
        )
        return self._message(hash_chain(fields, _ORDER_START, 1))

    def sign_authentication(self, timestamp_s: int, expiration_s: int) -> str:
        """The path is signed as ``/v1/auth`` whatever it is."""
        fields = (_REQUEST, short_string("POST"), short_string("/v1/auth"), 0, timestamp_s, expiration_s)
        return self._sign(self._message(hash_chain(fields)))

    def _message(self, content: int) -> int:
        return hash_chain([content], self._start, 3)

    def _sign(self, message: int) -> str:
        if not 0 <= message < _MAX_HASH:
            raise ValueError("this message cannot be signed on this curve")
        r, s = stark.sign(self._key, message)
        return f'["{r}","{s}"]'


def quantums(value: Decimal) -> int:
    """:raises ValueError: finer than 1e-8, which the venue could not verify."""
    scaled = value / _QUANTUM
    whole = int(scaled)
    if whole != scaled:
        raise ValueError("finer than eight decimal places")
    return whole


def account_address(public_key: int, account_class: int, proxy_class: int) -> int:
    """The address of the account whose main key that is."""
    constructor = hash_chain([account_class, _INITIALIZE, 2, public_key, 0])
    return (
        hash_chain([short_string("STARKNET_CONTRACT_ADDRESS"), 0, public_key, proxy_class, constructor])
        % _ADDRESS_BOUND
    )
