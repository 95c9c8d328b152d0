"""Checks that more than one kind of body needs, with refusals that say what was expected."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from sandbox.milo.errors import bad_request

Word = TypeVar("Word", bound=StrEnum)


def one_of(kind: type[Word], value: str, field: str) -> Word:
    """:raises ApiError: 400; lists what there is."""
    try:
        return kind(value)
    except ValueError:
        raise bad_request(f"`{field}` must be one of {', '.join(kind)}", field=field) from None


def text(value: str, field: str, *, least: int = 0, most: int) -> str:
    """:raises ApiError: 400; too short or too long, without the blanks around it."""
    if least <= len(value.strip()) and len(value) <= most:
        return value
    expected = f"{least} to {most}" if least else f"at most {most}"
    raise bad_request(f"`{field}` must have {expected} characters", field=field)
