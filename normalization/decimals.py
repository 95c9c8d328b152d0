"""Money: finite Decimals, strings on the wire, steps that are never crossed silently."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal, InvalidOperation, localcontext
from typing import Final

from normalization.errors import InvalidParameter

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
BPS: Final = Decimal(10_000)

# Wider than any price, size or product of both on any venue; narrow enough that arithmetic on it stays cheap.
MAX_DIGITS: Final = 30
MAX_MAGNITUDE: Final = 18

_WIDE_PRECISION: Final = 120
# Made once: to enter a localcontext costs several times the arithmetic in it.
_WIDE: Final = Context(prec=_WIDE_PRECISION)


def plain(value: Decimal) -> str:
    """``value`` without an exponent: ``Decimal('1E-8')`` is ``0.00000001``. Trailing zeros are kept."""
    return format(value, "f")


def trimmed(value: Decimal) -> str:
    """``value`` without an exponent and without trailing zeros: ``0.0100`` is ``0.01``, ``100`` stays ``100``."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def is_sane(value: Decimal) -> bool:
    """Whether ``value`` is finite and of a size that money can have (NaN, 1e400 and 5,000-digit numbers are not)."""
    if not value.is_finite():
        return False
    # Nearly every number is short when written out, and that is known at a fraction of what its digits cost.
    text = str(value)
    if len(text) <= MAX_MAGNITUDE and "E" not in text:
        return True
    _, digits, exponent = value.as_tuple()
    return len(digits) <= MAX_DIGITS and -MAX_MAGNITUDE <= int(exponent) and value.adjusted() <= MAX_MAGNITUDE


def require_positive(value: Decimal, field: str) -> None:
    """:raises InvalidParameter: unless ``value`` is a finite, positive number of sane size."""
    if not is_sane(value) or value <= ZERO:
        raise InvalidParameter(field, "a positive decimal string, such as 0.01")


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of ``step`` that is at most ``value``, exactly."""
    return _to_step(value, step, ROUND_FLOOR)


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of ``step`` that is at least ``value``, exactly."""
    return _to_step(value, step, ROUND_CEILING)


def nearest_to(value: Decimal, step: Decimal) -> Decimal:
    """The multiple of ``step`` closest to ``value``; of two equally close, the lower."""
    below, above = floor_to(value, step), ceil_to(value, step)
    with localcontext(prec=_WIDE_PRECISION):
        return below if value - below <= above - value else above


def padded(value: Decimal, exponent: Decimal) -> Decimal:
    """``value`` with every decimal place of ``exponent`` (``Decimal('0.01')``), which it must not exceed.

    ``Decimal.quantize`` alone raises for numbers of more than 28 digits.
    """
    return _WIDE.quantize(value, exponent)


def fixed(value: Decimal, exponent: Decimal) -> str:
    """The text of ``padded``."""
    return format(_WIDE.quantize(value, exponent), "f")


def product(left: Decimal, right: Decimal) -> Decimal:
    """``left`` times ``right``, exactly: the operator rounds to 28 digits."""
    return _WIDE.multiply(left, right)


def least_multiple(total: Decimal, price: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of ``step`` that, times ``price``, is at least ``total``."""
    with localcontext(prec=_WIDE_PRECISION, rounding=ROUND_CEILING):
        return (total / (price * step)).to_integral_value(rounding=ROUND_CEILING) * step


def is_multiple(value: Decimal, step: Decimal) -> bool:
    try:
        # Exact: a remainder is smaller than the step, so it has fewer digits than the context keeps.
        return not value % step
    except InvalidOperation:
        # The quotient alone has more digits than that.
        return floor_to(value, step) == value


def _to_step(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    return _WIDE.multiply(_WIDE.divide(value, step).to_integral_value(rounding=rounding), step)
