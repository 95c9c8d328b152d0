"""Whether a Stark signature is right."""

from __future__ import annotations

import json
import re
from typing import Final, NamedTuple

import fast_stark_crypto

from sandbox.paradex.felts import FIELD

CURVE_ORDER: Final = 0x800000000000010FFFFFFFFFFFFFFFFB781126DCAE7B2321E66A241ADC64D2F
_NUMBER: Final = re.compile(r"0x[0-9a-fA-F]{1,64}|[0-9]{1,77}")
_LONGEST: Final = 400


class Signature(NamedTuple):
    r: int
    s: int


class MalformedSignature(ValueError):
    """It is not a JSON array of two numbers as strings."""


def parsed(text: str) -> Signature:
    """Clients write the two numbers in hex or in decimal.

    :raises MalformedSignature: they are something else.
    """
    if len(text) > _LONGEST:
        raise MalformedSignature
    try:
        numbers = json.loads(text)
    except ValueError as error:
        raise MalformedSignature from error
    match numbers:
        case [str(r), str(s)] if _NUMBER.fullmatch(r) and _NUMBER.fullmatch(s):
            return Signature(number(r), number(s))
        case _:
            raise MalformedSignature


def number(text: str) -> int:
    """Of hex with 0x, or decimal digits."""
    return int(text, 16) if text.startswith("0x") else int(text)


def is_valid(public_key: int, message_hash: int, signature: Signature) -> bool:
    """Whether the key signed the hash. Numbers out of range are no signature: the library would abort over them."""
    in_range = (
        0 < public_key < FIELD
        and 0 <= message_hash < 2**251
        and 0 < signature.r < 2**251
        and 0 < signature.s < CURVE_ORDER
    )
    return in_range and fast_stark_crypto.verify(public_key, message_hash, signature.r, signature.s)
