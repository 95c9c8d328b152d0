"""Numbers in words."""

from __future__ import annotations

from decimal import Decimal
from math import floor, log10
from typing import Final

Number = float | Decimal

_MOST_PLACES: Final = 12


def usd(value: Number) -> str:
    """``$1,234.50``; the price of something that costs less than a dollar keeps four digits."""
    number = float(value)
    sign, size = ("-" if number < 0 else ""), abs(number)
    if size >= 1 or size == 0:
        return f"{sign}${size:,.2f}"
    return f"{sign}${size:.{min(3 - floor(log10(size)), _MOST_PLACES)}f}"


def change(fraction: float) -> str:
    """``+3.4%``"""
    return f"{fraction * 100:+.1f}%" if abs(fraction) >= 0.001 else f"{fraction * 100:+.2f}%"


def share(fraction: Number) -> str:
    """``12.5%``"""
    number = float(fraction) * 100
    return f"{number:.1f}%" if number >= 0.1 or number == 0 else f"{number:.3f}%"


def quantity(value: Number) -> str:
    """Up to six digits, without zeros that say nothing."""
    number = float(value)
    if number == 0:
        return "0"
    decimals = max(0, 5 - floor(log10(abs(number))))
    text = f"{number:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def listed(words: list[str]) -> str:
    """``a, b and c``"""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def duration(minutes: float) -> str:
    """``3 hours``, ``2.5 days``"""
    for length, unit in ((1440, "day"), (60, "hour")):
        if minutes >= length:
            return f"{minutes / length:.3g} {unit}{'' if minutes == length else 's'}"
    return f"{minutes:.0f} minute{'' if round(minutes) == 1 else 's'}"


def length(minutes: int) -> str:
    """Of a candle: ``15-minute``, ``4-hour``, ``1-day``"""
    for size, unit in ((1440, "day"), (60, "hour")):
        if minutes >= size:
            return f"{minutes // size}-{unit}"
    return f"{minutes}-minute"
