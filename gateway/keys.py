"""API keys as text: ``mt_live_`` or ``mt_test_``, 37 random base62 characters and 6 of CRC32, 51 in all.

The checksum lets a mistyped or cut key be told from an unknown one, and a leaked one be recognised, without asking
anybody. Nothing here does I/O, and no message repeats a key.
"""

from __future__ import annotations

import secrets
import string
import zlib
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from normalization.errors import InvalidApiKey, InvalidKeyFormat
from storage.ports import KeyEnvironment

KEY_LENGTH: Final = 51
DISPLAY_LENGTH: Final = 12

_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_BASE62: Final = frozenset(_ALPHABET)
_PREFIXES: Final = {"mt_live_": KeyEnvironment.LIVE, "mt_test_": KeyEnvironment.TEST}
_PREFIX_OF: Final = {environment: prefix for prefix, environment in _PREFIXES.items()}
_PREFIX_LENGTH: Final = 8
_RANDOM_LENGTH: Final = 37
_CHECKSUM_LENGTH: Final = 6

_MISTYPED: Final = "The API key looks mistyped or cut: a key has 51 characters and the last six check the others."


def mint(environment: KeyEnvironment) -> str:
    """A new key. It is shown once and kept nowhere."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))
    unchecked = _PREFIX_OF[environment] + body
    return unchecked + _checksum(unchecked)


def parse(text: str) -> KeyEnvironment:
    """Which environment a key is for, once its form and checksum are right.

    :raises InvalidKeyFormat: it does not start with ``mt_live_`` or ``mt_test_``.
    :raises InvalidApiKey: its length, alphabet or checksum is wrong.
    """
    environment = _PREFIXES.get(text[:_PREFIX_LENGTH])
    if environment is None:
        raise InvalidKeyFormat("An API key starts with mt_live_ or mt_test_.")
    if len(text) != KEY_LENGTH or not _BASE62.issuperset(text[_PREFIX_LENGTH:]):
        raise InvalidApiKey(_MISTYPED)
    if _checksum(text[:-_CHECKSUM_LENGTH]) != text[-_CHECKSUM_LENGTH:]:
        raise InvalidApiKey(_MISTYPED)
    return environment


def display_prefix(key: str) -> str:
    """What may be kept and shown of a key."""
    return key[:DISPLAY_LENGTH]


def digest(pepper: bytes, key: str) -> bytes:
    """HMAC-SHA256 of the whole key: what the store knows a key by."""
    return KeyDigest(pepper)(key)


class KeyDigest:
    """``digest`` with the pepper's share of the work done once."""

    __slots__ = ("_keyed",)

    def __init__(self, pepper: bytes) -> None:
        self._keyed = HMAC(pepper, SHA256())

    def __call__(self, key: str) -> bytes:
        mac = self._keyed.copy()
        mac.update(key.encode())
        return mac.finalize()


def _checksum(text: str) -> str:
    number = zlib.crc32(text.encode())
    digits: list[str] = []
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
