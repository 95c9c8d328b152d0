"""How Milo writes: camelCase, ISO times, and an envelope around everything but ``GET /me``.

Milo has numbers now as JSON numbers, now as strings. Here they are decimal text, exactly as Milo wrote them and never
with an exponent; what goes to Milo are numbers, exact too.
"""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Final, Generic, NoReturn, TypeVar

import msgspec
from msgspec import Meta

from normalization.decimals import is_sane, plain

T = TypeVar("T")

Number = Annotated[str, Meta(pattern=r"^-?\d+(\.\d+)?$", description="Decimal string", examples=["0.01"])]
IsoTime = Annotated[str, Meta(description="ISO time in UTC", examples=["2025-01-01T00:00:00.000Z"])]

_LONGEST_NUMBER: Final = 80


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of what Milo says. What it may leave out has a default; what we do not know is not read."""


class Body(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What goes to Milo. A field that is UNSET stays away."""


class Data(msgspec.Struct, Generic[T], frozen=True):
    data: T


class PageMeta(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which page of a list this is."""

    page: int
    page_size: int
    total: int
    pages: int


class Paged(msgspec.Struct, Generic[T], frozen=True):
    data: T
    meta: PageMeta


class Cursored(msgspec.Struct, Generic[T], frozen=True, rename="camel"):
    """``next_cursor`` is None at the end."""

    data: list[T]
    next_cursor: str | None = None


class Payment(Body, frozen=True, kw_only=True):
    """The proof of a payment, as its header has it."""

    recipient: str
    asset: str
    amount: Decimal
    payment_id: str
    tx_signature: str


class Settlement(Wire, frozen=True, kw_only=True):
    """What Milo says of a payment that it has accepted."""

    success: bool = True
    transaction: str | None = None
    network: str | None = None
    payer: str | None = None
    recipient: str | None = None
    asset: str | None = None
    amount: Number | None = None
    payment_id: str | None = None


_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def encoded(body: Body) -> bytes:
    return _encoder.encode(body)


def decoded(body: bytes, type_: type[T]) -> T:
    """:raises ValueError: it is no JSON, or not of that shape (``msgspec.ValidationError``)."""
    document = json.loads(body, parse_float=_text, parse_int=_text, parse_constant=_refused)
    # Numbers have become text by now: a field that is a whole number takes it from there.
    return msgspec.convert(document, type_, strict=False)


def at_ms(text: str) -> int:
    """:raises ValueError: it is no time with a zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return int(moment.timestamp() * 1000)


def number(text: str) -> Decimal:
    """:raises ValueError: it is of no size that money has."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError("not a number") from None
    if not is_sane(value):
        # More places than anybody can hold are cut; what is too large is refused.
        value = Decimal(f"{value:.18f}")
        if not is_sane(value):
            raise ValueError("a number of no sane size")
    return value


def _text(literal: str) -> str:
    """:raises ValueError: it is longer than any number is, written out."""
    value = Decimal(literal)
    if len(literal) > _LONGEST_NUMBER or abs(value.adjusted()) > _LONGEST_NUMBER:
        raise ValueError("a number of no sane size")
    return plain(value)


def _refused(literal: str) -> NoReturn:
    raise ValueError(f"{literal} is not a number")
