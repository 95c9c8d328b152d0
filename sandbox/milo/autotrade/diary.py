"""The diary: what the agent that trades did, and why."""

from __future__ import annotations

from typing import Final

import msgspec

from sandbox.milo.core import Core
from sandbox.milo.database import Database
from sandbox.milo.pages import Page

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS diary (
    number INTEGER PRIMARY KEY, entry_id TEXT NOT NULL, user_id TEXT NOT NULL, log TEXT NOT NULL,
    thoughts TEXT NOT NULL, token_address TEXT, at_ms INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS diary_by_user ON diary (user_id, number)
"""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """``token_address`` is None for what is about no single token."""

    entry_id: str
    user_id: str
    log: str
    thoughts: str
    token_address: str | None
    at_ms: int


def write(core: Core, user_id: str, log: str, thoughts: str, token_address: str | None = None) -> None:
    core.db.execute(
        "INSERT INTO diary (entry_id, user_id, log, thoughts, token_address, at_ms) VALUES (?, ?, ?, ?, ?, ?)",
        core.new_id(), user_id, log, thoughts, token_address, core.now_ms,
    )  # fmt: skip


def entries(db: Database, user_id: str, page: Page) -> list[Entry]:
    """Newest first."""
    rows = db.rows(
        "SELECT entry_id, user_id, log, thoughts, token_address, at_ms FROM diary WHERE user_id = ?"
        " ORDER BY number DESC LIMIT ? OFFSET ?",
        user_id, page.size, page.offset,
    )  # fmt: skip
    return [
        Entry(entry_id=row[0], user_id=row[1], log=row[2], thoughts=row[3], token_address=row[4], at_ms=row[5])
        for row in rows
    ]


def count(db: Database, user_id: str) -> int:
    return int(db.value("SELECT count(*) FROM diary WHERE user_id = ?", user_id))
