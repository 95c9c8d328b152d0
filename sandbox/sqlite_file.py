"""SQLite files that one thread opens, uses and closes. A file is locked for as long as it is open."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_LOCK_WAIT_S: Final = 0.2


def open_exclusively(path: Path | None, schema: str) -> sqlite3.Connection:
    """With the tables of ``schema``, statements divided by semicolons. ``path`` None keeps everything in memory.

    :raises sqlite3.Error: it cannot be opened, or another process has it.
    """
    db = sqlite3.connect(":memory:" if path is None else path, timeout=_LOCK_WAIT_S, isolation_level=None)
    try:
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("PRAGMA journal_mode=WAL")
        # Enough to survive a killed process; a power cut may take the last moments, never the consistency.
        db.execute("PRAGMA synchronous=NORMAL")
        with transaction(db):
            for statement in schema.split(";"):
                db.execute(statement)
    except sqlite3.Error:
        db.close()
        raise
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Durable, all or nothing, when the block ends."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # A full disk has rolled back by itself.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
