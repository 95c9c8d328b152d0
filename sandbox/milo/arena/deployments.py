"""Who has deployed which strategy, and where its money is.

What a deployment trades belongs to an arena user of its own (``arena_user_id``), so that it is never mixed with the
owner's orders and positions.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from sandbox.milo.database import Database, Row

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS arena_deployments (
    arena_user_id TEXT PRIMARY KEY, owner_user_id TEXT NOT NULL, strategy_id TEXT NOT NULL, wallet_id TEXT NOT NULL,
    deployed_at_ms INTEGER NOT NULL, withdrawn_at_ms INTEGER, next_round_ms INTEGER,
    round_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS arena_active ON arena_deployments (strategy_id) WHERE withdrawn_at_ms IS NULL
"""
_SELECT: Final = (
    "SELECT arena_user_id, owner_user_id, strategy_id, wallet_id, deployed_at_ms FROM arena_deployments WHERE "
)
_ENTRANTS: Final = """
SELECT strategy_id, coalesce(name, ''), owner_user_id, coalesce(username, ''), wallet_id, address
FROM arena_deployments JOIN wallets USING (wallet_id) LEFT JOIN strategies USING (strategy_id)
    LEFT JOIN users ON users.user_id = owner_user_id
WHERE withdrawn_at_ms IS NULL ORDER BY deployed_at_ms, arena_user_id
"""


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    arena_user_id: str
    owner_user_id: str
    strategy_id: str
    wallet_id: str
    deployed_at_ms: int


class Entrant(NamedTuple):
    """A deployment as everybody sees it. Of a strategy that is gone the name is empty."""

    strategy_id: str
    strategy_name: str
    owner_user_id: str
    owner_username: str
    wallet_id: str
    wallet_address: str


def add(db: Database, deployment: Deployment, next_round_ms: int, round_ms: int) -> None:
    db.execute(
        "INSERT INTO arena_deployments VALUES (?, ?, ?, ?, ?, NULL, ?, ?)",
        deployment.arena_user_id, deployment.owner_user_id, deployment.strategy_id, deployment.wallet_id,
        deployment.deployed_at_ms, next_round_ms, round_ms,
    )  # fmt: skip


def end(db: Database, deployment: Deployment, now_ms: int) -> None:
    db.execute(
        "UPDATE arena_deployments SET withdrawn_at_ms = ?, next_round_ms = NULL WHERE arena_user_id = ?",
        now_ms, deployment.arena_user_id,
    )  # fmt: skip


def find(db: Database, arena_user_id: str) -> Deployment | None:
    row = db.row(_SELECT + "arena_user_id = ?", arena_user_id)
    return None if row is None else _deployment(row)


def active_of_strategy(db: Database, strategy_id: str) -> Deployment | None:
    row = db.row(_SELECT + "strategy_id = ? AND withdrawn_at_ms IS NULL", strategy_id)
    return None if row is None else _deployment(row)


def all_active(db: Database) -> list[Entrant]:
    """Oldest first."""
    return [Entrant(*row) for row in db.rows(_ENTRANTS)]


def _deployment(row: Row) -> Deployment:
    return Deployment(
        arena_user_id=row[0],
        owner_user_id=row[1],
        strategy_id=row[2],
        wallet_id=row[3],
        deployed_at_ms=row[4],
    )
