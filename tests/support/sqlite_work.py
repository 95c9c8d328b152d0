"""What a piece of code asks of SQLite: a cost that does not depend on the machine or on what else it does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec


class Work(msgspec.Struct):
    """``steps`` are instructions of SQLite's machine: some for every row that is looked at, however deep its tree."""

    statements: int = 0
    steps: int = 0


@contextmanager
def counted(db: sqlite3.Connection) -> Iterator[Work]:
    """What is done on ``db`` within the block."""
    work = Work()

    def stepped() -> int:
        work.steps += 1
        return 0

    def begun(statement: str) -> None:
        work.statements += 1

    db.set_progress_handler(stepped, 1)
    db.set_trace_callback(begun)
    try:
        yield work
    finally:
        db.set_progress_handler(None, 0)
        db.set_trace_callback(None)
