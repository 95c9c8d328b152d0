"""Rounds that recur: whoever has a row with ``next_round_ms`` and ``round_ms`` is due again and again.

Rounds that were missed, because nobody asked the venue anything, are skipped but for the last.
"""

from __future__ import annotations

from typing import Final

from sandbox.milo.core import Core

# The last round until an instant.
_LAST: Final = "next_round_ms + (?1 - next_round_ms) / round_ms * round_ms"


class Schedule:
    """Over a ``table``, whose rows are named by the column ``key``. A row without a next round is never due."""

    def __init__(self, table: str, key: str) -> None:
        due = f"FROM {table} WHERE next_round_ms <= ?1"
        self._next = f"SELECT min({_LAST}) {due} AND {_LAST} > ?2"
        self._theirs = f"SELECT {key} {due} AND {_LAST} = ?1"
        self._later = f"UPDATE {table} SET next_round_ms = ?, round_ms = ? WHERE {key} = ?"  # noqa: S608

    def next_due(self, core: Core, after_ms: int, until_ms: int) -> int | None:
        """As a ``Part`` asks for it. A round that failed, and was not put off, is not due again at once."""
        due_ms: int | None = core.db.value(self._next, until_ms, after_ms)
        return due_ms

    def due(self, core: Core, at_ms: int) -> list[str]:
        """Whose rounds are at that instant."""
        return [key for (key,) in core.db.rows(self._theirs, at_ms)]

    def put_off(self, core: Core, key: str, round_ms: int) -> None:
        """The next round is ``round_ms`` from now."""
        core.db.execute(self._later, core.now_ms + round_ms, round_ms, key)
