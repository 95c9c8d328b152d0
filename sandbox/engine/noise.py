"""Numbers that look random and are a function of a seed and a place. No generator, so nothing to remember.

Floats here meet only ``+ - * /``, which every IEEE machine does alike: the same seed is the same market everywhere.
"""

from __future__ import annotations

from hashlib import blake2b
from struct import Struct
from typing import Final

_SHORTS: Final = Struct("<32H")
_KEPT: Final = 4_096


def uniforms(*place: object) -> list[float]:
    """32 numbers in [0, 1) that belong to ``place``."""
    key = "|".join(map(str, place)).encode()
    return [short / 65_536 for short in _SHORTS.unpack(blake2b(key, digest_size=64).digest())]


class SmoothNoise:
    """A smooth curve through a random value in [-1, 1] at every multiple of each period, the octaves added up.

    ``octaves`` are (period, amplitude); the curve stays within the sum of the amplitudes.
    """

    def __init__(self, seed: int, name: str, octaves: tuple[tuple[int, float], ...]) -> None:
        self._seed = seed
        self._name = name
        self._octaves = octaves
        self._known: dict[tuple[int, int], float] = {}

    def at(self, place: int) -> float:
        total = 0.0
        for period, amplitude in self._octaves:
            cell, within = divmod(place, period)
            x = within / period
            left, right = self._value(period, cell), self._value(period, cell + 1)
            total += amplitude * (left + (right - left) * x * x * (3.0 - 2.0 * x))
        return total

    def _value(self, period: int, cell: int) -> float:
        value = self._known.get((period, cell))
        if value is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            value = self._known[period, cell] = uniforms(self._seed, self._name, period, cell)[0] * 2.0 - 1.0
        return value


def growth(x: float) -> float:
    """e to the ``x`` for small ``x``, without libm: its last bit differs between machines, and prices must not."""
    return (12.0 + 6.0 * x + x * x) / (12.0 - 6.0 * x + x * x)
