"""Lists in pages, newest first, with opaque cursors."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sandbox.paradex.errors import bad_parameter

DEFAULT_SIZE: Final = 100
_FOREVER_MS: Final = 2**53


class Page(NamedTuple):
    """``before``: only entries with a number below it. Bounds are inclusive."""

    size: int
    before: int | None
    start_ms: int
    end_ms: int

    def has(self, number: int, at_ms: int) -> bool:
        return (self.before is None or number < self.before) and self.start_ms <= at_ms <= self.end_ms


def page_of(query: Mapping[str, str], most: int = 5_000) -> Page:
    """:raises ApiError: a number is none, or the cursor is not ours."""
    cursor = query.get("cursor")
    return Page(
        size=max(1, min(_whole(query, "page_size", DEFAULT_SIZE), most)),
        before=None if not cursor else _read(cursor),
        start_ms=_whole(query, "start_at", 0),
        end_ms=_whole(query, "end_at", _FOREVER_MS),
    )


def paged(page: Page, entries: Sequence[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
    """``entries`` are (number, what is shown), all that match from the page's beginning on."""
    shown = entries[: page.size]
    following = _written(shown[-1][0]) if len(entries) > len(shown) else None
    return {"next": following, "prev": None, "results": [entry for _, entry in shown]}


def _whole(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None or text == "":
        return default
    if not text.isdecimal() or len(text) > 16:
        raise bad_parameter(f"{name} must be a whole number")
    return int(text)


def _written(number: int) -> str:
    return urlsafe_b64encode(f"before:{number}".encode()).decode()


def _read(cursor: str) -> int:
    try:
        word, _, number = urlsafe_b64decode(cursor.encode()).decode().partition(":")
        if word == "before":
            return int(number)
    except ValueError:
        pass
    raise bad_parameter("invalid cursor")
