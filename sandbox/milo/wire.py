"""How things are written on this wire: camelCase, ISO times, and numbers as numbers unless the reference quotes them.

Inside, money is a ``Decimal`` or a whole number of the token's smallest unit; a ``Decimal`` field is a JSON number on
the wire, exact both ways. Where the reference has a string (``"totalUSDval": "200500.12"``), the field is a ``str``
made with ``plain``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Final, TypeVar

import msgspec

from normalization.decimals import trimmed
from sandbox.milo.errors import bad_request

T = TypeVar("T")

# Nothing in this venue is larger than a number of so many digits, or finer than so many places.
MOST_DIGITS: Final = 18
MOST_PLACES: Final = 18


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of an answer."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The body of a request. A field that nobody knows is refused: a misspelt one would be lost silently."""


class Data(msgspec.Struct, frozen=True):
    """``{"data": …}``, around most answers."""

    data: object


_SHORT: Final = Context(prec=15)
_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def encoded(answer: object) -> bytes:
    return _encoder.encode(answer)


def decoded(body: bytes, type_: type[T]) -> T:
    """:raises ApiError: 400; what was expected, and where."""
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.ValidationError as error:
        raise bad_request(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad_request("The body is not valid JSON") from error


def iso(at_ms: int) -> str:
    """``2025-01-01T00:00:00.000Z``"""
    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(value: Decimal) -> str:
    """The number without an exponent and without zeros at its end."""
    return trimmed(value)


def neat(value: Decimal) -> Decimal:
    """Without zeros at its end, and no zero below zero: ``-0.00`` is ``0``."""
    return Decimal(trimmed(value))


def short(value: Decimal) -> Decimal:
    """With the fifteen digits that every reader of a JSON number has room for."""
    return neat(_SHORT.plus(value))


def finite(value: Decimal, field: str) -> Decimal:
    """:raises ApiError: 400; not a number, or with more digits than anything here has."""
    if not value.is_finite():
        raise bad_request(f"`{field}` must be a number", field=field)
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or value.adjusted() >= MOST_DIGITS or exponent < -MOST_PLACES:
        raise bad_request(
            f"`{field}` must have at most {MOST_DIGITS} digits before and {MOST_PLACES} after the point", field=field
        )
    return value


def positive(value: Decimal, field: str) -> Decimal:
    """:raises ApiError: 400; not a finite number above 0 of reasonable size."""
    if finite(value, field) <= 0:
        raise bad_request(f"`{field}` must be above 0", field=field)
    return value
