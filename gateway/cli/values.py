"""What people write on a command line, as values. What cannot be read is a usage error."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final

import typer

_SPAN: Final = re.compile(r"([1-9][0-9]{0,5})([mhdw])")
_UNIT_MS: Final = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def moment_ahead(text: str | None, now_ms: int) -> int | None:
    """``90d`` from now, or an ISO date or time (UTC unless it says otherwise), as UTC epoch milliseconds.

    :raises typer.BadParameter: it is neither.
    """
    if text is None:
        return None
    if span := _SPAN.fullmatch(text):
        return now_ms + int(span.group(1)) * _UNIT_MS[span.group(2)]
    try:
        at = datetime.fromisoformat(text)
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise typer.BadParameter("expected a span such as 12h, 90d or 8w, or a date such as 2027-01-31 (UTC)") from None


def amount(text: str | None) -> Decimal | None:
    """:raises typer.BadParameter: it is no number."""
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        raise typer.BadParameter("expected an amount, such as 1000") from None


def names(text: str | None) -> frozenset[str] | None:
    """``a,b`` as a set.

    :raises typer.BadParameter: there is nothing in it.
    """
    if text is None:
        return None
    found = frozenset(word for part in text.split(",") if (word := part.strip()))
    if not found:
        raise typer.BadParameter("expected one or more names with commas between them; leave the option out for all")
    return found
