"""A part of the venue: its tables, what it hears of, and what it does by itself as time passes."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from sandbox.milo.core import Core


def _nothing(core: Core) -> None:
    return None


def _never(core: Core, after_ms: int, until_ms: int) -> int | None:
    return None


def _undone(core: Core, at_ms: int) -> None:
    raise LookupError("a part that is never due was run")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """``schema``: ``CREATE … IF NOT EXISTS`` statements, divided by semicolons.

    ``start`` runs at every start, in a transaction: it subscribes to events and takes up (``core.spawn``) what the last
    process left unfinished.

    ``next_due`` is the first instant in (``after_ms``, ``until_ms``] at which the part has something to do, found from
    the database and the market alone, so that it does not matter when anybody looks; ``run_due`` does it, with
    ``core.now_ms`` at that instant. Both are asked on every request, before its handler, for the time since the last:
    ``next_due`` must cost microseconds when nothing is due, and both must stay cheap over a pause of weeks (do the last
    of many missed rounds, not all of them). Nothing runs while nobody asks.
    """

    name: str
    schema: str = ""
    start: Callable[[Core], None] = _nothing
    next_due: Callable[[Core, int, int], int | None] = _never
    run_due: Callable[[Core, int], None] = _undone
