"""What happens by itself: every part's doings between two looks, in the order of time, each in its own transaction."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Final

from sandbox.milo.core import Core
from sandbox.milo.parts import Part

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS timeline (id INTEGER PRIMARY KEY CHECK (id = 1), now_ms INTEGER NOT NULL)
"""
# Between events, so that an event loop in another thread never waits for all of them.
_PAUSE_S: Final = 0.000_02

_log = logging.getLogger(__name__)


class Timeline:
    """``core.now_ms`` is where it stands. Nothing depends on how often it is advanced."""

    def __init__(self, core: Core, parts: Sequence[Part]) -> None:
        self._core = core
        self._parts = parts

    def start(self, now_ms: int) -> None:
        """Stand where the last process stood, so that what was due since is still to come; in a new file, now."""
        row = self._core.db.row("SELECT now_ms FROM timeline")
        self._core.now_ms = now_ms if row is None else row[0]
        self.remember()

    def advance(self, to_ms: int) -> None:
        """Run what is due until ``to_ms``. Time never goes back: an earlier instant changes nothing."""
        core = self._core
        while (due := self._next(to_ms)) is not None:
            core.now_ms, parts = due
            for part in parts:
                self._run(part)
            time.sleep(_PAUSE_S)
        core.now_ms = max(core.now_ms, to_ms)

    def remember(self) -> None:
        """Where it stands, in the present transaction: a restart does nothing twice."""
        self._core.db.execute("INSERT OR REPLACE INTO timeline VALUES (1, ?)", self._core.now_ms)

    def _run(self, part: Part) -> None:
        try:
            with self._core.transaction():
                part.run_due(self._core, self._core.now_ms)
                self.remember()
        except Exception:
            # It would fail again: the venue goes on without it.
            _log.exception("%s failed at what was due; it is skipped", part.name)

    def _next(self, to_ms: int) -> tuple[int, list[Part]] | None:
        """The next instant at which something is due, and whose: all of it, since what is behind is not looked at."""
        at_ms, found = to_ms, list[Part]()
        for part in self._parts:
            due_ms = part.next_due(self._core, self._core.now_ms, at_ms)
            if due_ms is not None:
                found = [*found, part] if found and due_ms == at_ms else [part]
                at_ms = due_ms
        return (at_ms, found) if found else None
