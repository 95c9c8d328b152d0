"""Addresses of Cosmos chains: BIP 173's encoding of an account's twenty bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

_CHARSET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def bech32(prefix: str, data: bytes) -> str:
    words = _five_bits(data)
    checksum = _polymod([*_expanded(prefix), *words, *[0] * 6]) ^ 1
    words += [checksum >> 5 * (5 - i) & 31 for i in range(6)]
    return prefix + "1" + "".join(_CHARSET[word] for word in words)


def is_bech32(prefix: str, text: str) -> bool:
    """Whether it is such an address, its checksum included."""
    head, _, tail = text.rpartition("1")
    if head != prefix or any(letter not in _CHARSET for letter in tail):
        return False
    return _polymod([*_expanded(prefix), *map(_CHARSET.index, tail)]) == 1


def _five_bits(data: bytes) -> list[int]:
    bits = "".join(f"{byte:08b}" for byte in data)
    return [int(bits[start : start + 5].ljust(5, "0"), 2) for start in range(0, len(bits), 5)]


def _expanded(prefix: str) -> Sequence[int]:
    return [*(ord(letter) >> 5 for letter in prefix), 0, *(ord(letter) & 31 for letter in prefix)]


def _polymod(words: Iterable[int]) -> int:
    checksum = 1
    for word in words:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ word
        for bit, generator in enumerate(_GENERATORS):
            checksum ^= generator if top >> bit & 1 else 0
    return checksum
