"""What is signed at this venue: StarkNet typed data of revision 0, hashed with Pedersen. Numbers are plain ints."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Final

import fast_stark_crypto
from Crypto.Hash import keccak

SCALE: Final = Decimal(10) ** 8
FIELD: Final = 2**251 + 17 * 2**192 + 1
_ADDRESSES: Final = 2**251 - 256
_LONGEST_SHORT_STRING: Final = 31

ORDER: Final = "Order(timestamp:felt,market:felt,side:felt,orderType:felt,size:felt,price:felt)"
MODIFY_ORDER: Final = "ModifyOrder(timestamp:felt,market:felt,side:felt,orderType:felt,size:felt,price:felt,id:felt)"
_REQUEST: Final = "Request(method:felt,path:felt,body:felt,timestamp:felt,expiration:felt)"
_CONSTANT: Final = "Constant(action:felt)"
_DOMAIN: Final = "StarkNetDomain(name:felt,chainId:felt,version:felt)"


class Unsignable(ValueError):
    """A value that has no place in a signed message."""


def short_string(text: str) -> int:
    """:raises Unsignable: it is not ASCII or too long."""
    if len(text) > _LONGEST_SHORT_STRING or not text.isascii():
        raise Unsignable(text)
    return int.from_bytes(text.encode(), "big")


def scaled(text: str) -> int:
    """A size or price as it is signed: in units of 1e-8.

    :raises Unsignable: it is finer than that, negative or absurd.
    """
    value = Decimal(text) * SCALE
    if not value.is_finite() or value != value.to_integral_value() or not 0 <= value < 2**120:
        raise Unsignable(text)
    return int(value)


def pedersen(left: int, right: int) -> int:
    return fast_stark_crypto.pedersen_hash(left, right)


def hash_chain(values: Sequence[int]) -> int:
    result = 0
    for value in (*values, len(values)):
        result = pedersen(result, value)
    return result


@lru_cache(maxsize=64)
def selector(text: str) -> int:
    digest = keccak.new(digest_bits=256, data=text.encode()).digest()
    return int.from_bytes(digest, "big") & (2**250 - 1)


@lru_cache(maxsize=8)
def _domain(chain_id: str) -> int:
    return hash_chain([selector(_DOMAIN), short_string("Paradex"), short_string(chain_id), 1])


def message_hash(chain_id: str, account: int, type_name: str, values: Sequence[int]) -> int:
    struct = hash_chain([selector(type_name), *values])
    return hash_chain([short_string("StarkNet Message"), _domain(chain_id), account, struct])


def onboarding_hash(chain_id: str, account: int) -> int:
    return message_hash(chain_id, account, _CONSTANT, [short_string("Onboarding")])


def auth_hash(chain_id: str, account: int, timestamp_s: int, expiration_s: int) -> int:
    """The path is always this one, whichever of the two the request goes to."""
    values = [short_string("POST"), short_string("/v1/auth"), 0, timestamp_s, expiration_s]
    return message_hash(chain_id, account, _REQUEST, values)


def account_address(public_key: int, account_hash: int, proxy_hash: int) -> int:
    """Where the account contract of a key lies."""
    call = hash_chain([account_hash, selector("initialize"), 2, public_key, 0])
    return hash_chain([short_string("STARKNET_CONTRACT_ADDRESS"), 0, public_key, proxy_hash, call]) % _ADDRESSES
