"""Orders that are over are found by when they ended, and those reduced to a tombstone by that alone.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0003"
down_revision: Final = "0002"

_SETTLED: Final = "'FILLED', 'CANCELED', 'EXPIRED', 'REJECTED', 'NOT_SENT', 'LATE_EXECUTION', 'NOT_PLACED'"


def upgrade() -> None:
    op.drop_index("ix_journal_state_created_at_ms", "journal")
    _create_partial_index("ix_journal_unsettled", ["state", "created_at_ms"], f"state NOT IN ({_SETTLED})")
    _create_partial_index(
        "ix_journal_settled", ["state", "updated_at_ms"], f"state IN ({_SETTLED}) AND length(request) > 0"
    )
    _create_partial_index("ix_journal_tombstones", ["updated_at_ms"], "length(request) = 0")


def _create_partial_index(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "journal", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
