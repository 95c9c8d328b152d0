"""Copying what SQLite's write-ahead log holds into the database file, while nobody waits for it.

Left alone, SQLite does that within a commit, after every thousand pages: that commit and all that wait for it then take
many times as long as any other.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Final

from sqlalchemy import Engine

from storage.sql.engines import driver

WRITES_BETWEEN: Final = 300


class Checkpoints:
    """A thread that makes a checkpoint after every ``WRITES_BETWEEN`` writes, without holding up the writer.

    It fails quietly: what it leaves in the log, the writer copies when the log has grown to ``engines.LONGEST_LOG``.
    ``check`` raises when the database is no longer the one to copy to.
    """

    def __init__(self, engine: Engine, check: Callable[[], None]) -> None:
        self._engine = engine
        self._check = check
        self._writes = 0
        self._goes_on: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="venuegate-checkpoints", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def count(self, writes: int) -> None:
        """So many were committed. From one thread only."""
        self._writes += writes
        if self._writes >= WRITES_BETWEEN:
            self._writes = 0
            self._goes_on.put(True)

    def close(self) -> None:
        """Make those that are due, then let go of the database."""
        self._goes_on.put(False)
        self._thread.join()

    def _run(self) -> None:
        while self._goes_on.get():
            # Whatever is wrong with the database, the writer meets it too, and tells.
            with contextlib.suppress(Exception):
                self._copy()
        self._engine.dispose()

    def _copy(self) -> None:
        self._check()
        with self._engine.connect() as connection:
            driver(connection).execute("PRAGMA wal_checkpoint(PASSIVE)").close()
