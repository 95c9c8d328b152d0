"""The two ways in which lists are cut: numbered pages, and cursors from the newest backwards."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from sandbox.milo.errors import bad_request
from sandbox.milo.wire import Wire

MOST_PAGES: Final = 100
MOST_PER_PAGE: Final = 100
DEFAULT_PER_PAGE: Final = 25
MOST_PER_CURSOR: Final = 200


class Page(NamedTuple):
    number: int
    size: int

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.size


class Meta(Wire, frozen=True, kw_only=True):
    page: int
    page_size: int
    total: int
    pages: int


class Paged(Wire, frozen=True, kw_only=True):
    """``data`` is one page of a list of ``meta.total``."""

    data: object
    meta: Meta


class Cursored(Wire, frozen=True, kw_only=True):
    """``next_cursor`` is None at the end of the list."""

    data: Sequence[object]
    next_cursor: str | None


class Cursor(NamedTuple):
    """``before``: only entries with a number below it."""

    limit: int
    before: int | None


class _Place(msgspec.Struct, forbid_unknown_fields=True):
    before: int


def page_of(query: Mapping[str, str]) -> Page:
    """From ``page`` and ``pageSize``.

    :raises ApiError: 400; not a whole number from 1 to 100.
    """
    return Page(
        whole(query, "page", default=1, most=MOST_PAGES),
        whole(query, "pageSize", default=DEFAULT_PER_PAGE, most=MOST_PER_PAGE),
    )


def paged(page: Page, data: object, total: int) -> Paged:
    meta = Meta(page=page.number, page_size=page.size, total=total, pages=-(-total // page.size))
    return Paged(data=data, meta=meta)


def cursor_of(query: Mapping[str, str]) -> Cursor:
    """From ``limit`` and ``cursor``.

    :raises ApiError: 400; the limit is not from 1 to 200, or the cursor is none of ours.
    """
    text = query.get("cursor")
    limit = whole(query, "limit", default=DEFAULT_PER_PAGE, most=MOST_PER_CURSOR)
    return Cursor(limit, None if not text else _read(text))


def cursored(cursor: Cursor, numbered: Sequence[tuple[int, object]]) -> Cursored:
    """``numbered`` are (number, entry) from the cursor on, newest first: one more than its limit where
    there is more."""
    shown = numbered[: cursor.limit]
    following = _written(shown[-1][0]) if len(numbered) > len(shown) else None
    return Cursored(data=[entry for _, entry in shown], next_cursor=following)


def whole(query: Mapping[str, str], name: str, *, default: int, most: int) -> int:
    """:raises ApiError: 400; not a whole number from 1 to ``most``."""
    text = query.get(name)
    if text is None or text == "":
        return default
    if text.isascii() and text.isdecimal() and len(text) <= 9 and 1 <= int(text) <= most:
        return int(text)
    raise bad_request(f"`{name}` must be a whole number from 1 to {most}", field=name)


def choice(query: Mapping[str, str], name: str, choices: Sequence[str]) -> str | None:
    """None where it was not given.

    :raises ApiError: 400; none of ``choices``.
    """
    text = query.get(name)
    if text is None or text in choices:
        return text
    raise bad_request(f"`{name}` must be one of {', '.join(choices)}", field=name)


def _written(number: int) -> str:
    return urlsafe_b64encode(msgspec.json.encode(_Place(number))).decode()


def _read(text: str) -> int:
    try:
        return msgspec.json.decode(urlsafe_b64decode(text.encode()), type=_Place).before
    except ValueError:
        raise bad_request("`cursor` must be the `nextCursor` of the answer before", field="cursor") from None
