"""Numbers as venues write them, exactly."""

from __future__ import annotations

from decimal import Decimal, localcontext

from normalization.decimals import ZERO, is_sane


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
