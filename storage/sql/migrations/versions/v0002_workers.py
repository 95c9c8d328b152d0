"""Who is at work.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"


def upgrade() -> None:
    op.create_table(
        "workers",
        sa.Column("worker_id", sa.String, nullable=False),
        sa.Column("beats", sa.BigInteger, nullable=False),
        sa.Column("beat_at_ms", sa.BigInteger, nullable=False),
        sa.Column("slot", sa.Integer),
        sa.PrimaryKeyConstraint("worker_id", name=op.f("pk_workers")),
        sa.UniqueConstraint("slot", name=op.f("uq_workers_slot")),
    )
