"""Numbers as venues write them, exactly."""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Final

from normalization.decimals import MAX_MAGNITUDE, ZERO, is_sane

_LONGEST: Final = 80


def exact(value: Decimal | str) -> Decimal:
    """:raises ValueError: it is NaN, infinite, or of a size that no money has."""
    number = Decimal(value)
    if not is_sane(number):
        raise ValueError("not a number of sane size")
    return number


def positive(value: Decimal | str) -> Decimal:
    """:raises ValueError: it is not a positive number of sane size."""
    number = exact(value)
    if number <= 0:
        raise ValueError("not a positive number")
    return number


def optional(value: Decimal | str | None) -> Decimal | None:
    """None where the venue says nothing: no field, null, or an empty string."""
    return None if value is None or value == "" else exact(value)


def rounded(value: Decimal, places: int = 18) -> Decimal:
    """A quotient, cut to a number of decimal places that other money has too."""
    with localcontext(prec=60):
        return ZERO if value == 0 else value.quantize(Decimal(1).scaleb(-places)).normalize()


def shortened(text: str) -> Decimal:
    """A quotient that a venue wrote out further than any money goes.

    :raises ValueError: it is NaN, infinite, or of a size that no money has.
    """
    number = Decimal(text[:_LONGEST])
    if not number.is_finite() or number.adjusted() > MAX_MAGNITUDE or len(text) > _LONGEST:
        raise ValueError("not a number of sane size")
    return rounded(number)
