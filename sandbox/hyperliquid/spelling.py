"""How this venue spells numbers, and which prices and sizes it has. Prices in quote units, sizes in base units."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from normalization.decimals import trimmed

MAX_DECIMALS: Final = 6
SIGNIFICANT: Final = 5


def spelled(value: Decimal) -> str:
    """At least one decimal place and no more than needed: ``60000.0``, ``0.0125``."""
    text = trimmed(value)
    return text if "." in text else f"{text}.0"


def canonical(text: str) -> str:
    """A plain decimal as the venue writes it into what is signed: without trailing zeros."""
    return trimmed(Decimal(text))


def price_complaint(price: Decimal, size_decimals: int) -> str | None:
    """What the venue says to a price that it does not have: whole prices, and those of five significant digits."""
    if price <= 0 or -_exponent(price) > MAX_DECIMALS - size_decimals:
        return "Order has invalid price."
    digits = len(price.normalize().as_tuple().digits)
    if digits > SIGNIFICANT and price != price.to_integral_value():
        return "Price must be divisible by tick size."
    return None


def size_complaint(size: Decimal, size_decimals: int) -> str | None:
    if size == 0:
        return "Order has zero size."
    if size < 0 or -_exponent(size) > size_decimals:
        return "Order has invalid size."
    return None


def decimals_of(step: Decimal) -> int:
    """Decimal places of a power of ten: 3 of ``0.001``."""
    return max(0, -_exponent(step))


def coarsest_step(price: Decimal, size_decimals: int) -> Decimal:
    """The price step that the venue has at ``price`` and everywhere below it."""
    by_digits = min(price.adjusted() - SIGNIFICANT + 1, 0)
    return Decimal(1).scaleb(max(by_digits, size_decimals - MAX_DECIMALS))


def _exponent(value: Decimal) -> int:
    return int(value.normalize().as_tuple().exponent)
