"""What a venue's refusal means: a pure function over one table per venue (``errors/*.json``), unclear by default.

A row says, for a code or text of the venue and for the actions it was seen on, whether it proves that nothing happened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Final

import msgspec

from normalization.venue_failures import (
    Reason,
    VenueDeferred,
    VenueDuplicate,
    VenueFailure,
    VenueRejected,
    VenueUnclear,
)

MAX_TEXT: Final = 300


class Action(StrEnum):
    """What was asked for. ``EXECUTE`` is nobody's: a venue that took an order and then gave up on it."""

    PLACE = "place"
    CANCEL = "cancel"
    SET = "set"
    READ = "read"
    AUTHENTICATE = "authenticate"
    EXECUTE = "execute"


class Match(StrEnum):
    """How ``Row.text`` is compared: with the venue's whole code, or as a part or a pattern of its message."""

    CODE = "code"
    PART = "part"
    PATTERN = "pattern"


class Meaning(StrEnum):
    """``deferred``: refused before it was accepted. ``duplicate``: an earlier try of the same landed."""

    REJECTED = "rejected"
    DEFERRED = "deferred"
    DUPLICATE = "duplicate"
    UNCLEAR = "unclear"


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``source`` is where the fact is from: ``docs``, ``ccxt``, ``seen`` (reported by users), ``http``."""

    text: str
    match: Match = Match.CODE
    meaning: Meaning
    reason: Reason
    actions: frozenset[Action]
    source: str


class Refusals:
    """One venue's rows. The first that fits decides: codes before parts before patterns, each in the order listed."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._codes: dict[str, list[Row]] = {}
        for row in rows:
            if row.match is Match.CODE:
                self._codes.setdefault(row.text, []).append(row)
        self._parts = [row for row in rows if row.match is Match.PART]
        self._patterns = [(re.compile(row.text), row) for row in rows if row.match is Match.PATTERN]

    def judge(
        self, action: Action, *, code: str = "", message: str = "", retry_after_s: int | None = None
    ) -> VenueFailure:
        """The failure to raise for a well-formed refusal with that code and that message."""
        text = presentable(message or code) or "no reason given"
        row = self._find(action, code, message)
        if row is None:
            return VenueUnclear(Reason.OTHER, text)
        return _FAILURES[row.meaning](row.reason, text, retry_after_s=retry_after_s)

    def _find(self, action: Action, code: str, message: str) -> Row | None:
        candidates = [
            *self._codes.get(code, ()),
            *(row for row in self._parts if row.text in message),
            *(row for pattern, row in self._patterns if pattern.search(message)),
        ]
        return next((row for row in candidates if action in row.actions), None)


_FAILURES: Final[Mapping[Meaning, type[VenueFailure]]] = {
    Meaning.REJECTED: VenueRejected,
    Meaning.DEFERRED: VenueDeferred,
    Meaning.DUPLICATE: VenueDuplicate,
    Meaning.UNCLEAR: VenueUnclear,
}


def presentable(text: str) -> str:
    """A venue's words as they may be shown: one line of what prints, of bounded length."""
    line = " ".join(text[: 4 * MAX_TEXT].split())
    return "".join(c for c in line if c.isprintable())[:MAX_TEXT]


@cache
def rows_of(exchange: str) -> tuple[Row, ...]:
    data = resources.files("adapters.ccxt_venues").joinpath("errors", f"{exchange}.json").read_bytes()
    return msgspec.json.decode(data, type=tuple[Row, ...])


@cache
def refusals_of(exchange: str) -> Refusals:
    return Refusals(rows_of(exchange))
