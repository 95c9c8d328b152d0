"""Positions, which Milo calls theses: what was bought of a token, what is left of it, and what it made.

A wallet has at most one open position in a token. It is pending until a buy fills, active while something is left, and
ends when nothing is and no buy waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from sandbox.milo.database import Database
from sandbox.milo.pages import Page
from sandbox.milo.tokens import BY_ADDRESS, Token

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS positions (
    number INTEGER PRIMARY KEY, thesis_id TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL, wallet_id TEXT NOT NULL,
    token TEXT NOT NULL, status TEXT NOT NULL, record BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS positions_by_user ON positions (user_id, status, number);
CREATE UNIQUE INDEX IF NOT EXISTS positions_open ON positions (wallet_id, token) WHERE status <> 'not_active'
"""
ZERO: Final = Decimal(0)

_encode: Final = msgspec.msgpack.Encoder().encode


class PositionStatus(StrEnum):
    ACTIVE = "active"
    PENDING = "pending"
    NOT_ACTIVE = "not_active"


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Amounts of the token in its smallest units. ``basis_usd`` is what was paid, with fees, for what is left.

    ``invested_usd`` is all that was ever paid, ``realized_usd`` what the sales made over what was paid for what they
    sold.
    """

    number: int
    thesis_id: str
    user_id: str
    wallet_id: str
    token_address: str
    status: PositionStatus
    units: int
    bought_units: int
    sold_units: int
    basis_usd: Decimal
    invested_usd: Decimal
    realized_usd: Decimal
    created_at_ms: int
    updated_at_ms: int
    closed_at_ms: int | None = None

    @property
    def token(self) -> Token:
        return BY_ADDRESS[self.token_address]

    @property
    def average_entry_usd(self) -> Decimal | None:
        """What one token of what is left has cost, None where nothing is."""
        return self.basis_usd / self.token.amount(self.units) if self.units else None

    def bought(self, units: int, cost_usd: Decimal, now_ms: int) -> Position:
        return msgspec.structs.replace(
            self,
            units=self.units + units,
            bought_units=self.bought_units + units,
            basis_usd=self.basis_usd + cost_usd,
            invested_usd=self.invested_usd + cost_usd,
            updated_at_ms=now_ms,
        )

    def sold(self, units: int, proceeds_usd: Decimal, now_ms: int) -> Position:
        cost = self.cost_of(units)
        return msgspec.structs.replace(
            self,
            units=self.units - units,
            sold_units=self.sold_units + units,
            basis_usd=self.basis_usd - cost,
            realized_usd=self.realized_usd + proceeds_usd - cost,
            updated_at_ms=now_ms,
        )

    def withdrawn(self, units: int, now_ms: int) -> Position:
        """Sent away: neither gained nor lost."""
        return msgspec.structs.replace(
            self, units=self.units - units, basis_usd=self.basis_usd - self.cost_of(units), updated_at_ms=now_ms
        )

    def cost_of(self, units: int) -> Decimal:
        """What was paid for so much of what is left; for all of it, exactly its basis."""
        return self.basis_usd if units == self.units else self.basis_usd * units / self.units


_decode: Final = msgspec.msgpack.Decoder(Position).decode


class Positions:
    def __init__(self, db: Database) -> None:
        self._db = db

    def open(self, thesis_id: str, user_id: str, wallet_id: str, token: Token, now_ms: int) -> Position:
        """A new one, pending."""
        position = Position(
            number=self._db.value("SELECT coalesce(max(number), 0) + 1 FROM positions"),
            thesis_id=thesis_id,
            user_id=user_id,
            wallet_id=wallet_id,
            token_address=token.address,
            status=PositionStatus.PENDING,
            units=0,
            bought_units=0,
            sold_units=0,
            basis_usd=ZERO,
            invested_usd=ZERO,
            realized_usd=ZERO,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
        )
        self._db.execute(
            "INSERT INTO positions VALUES (?, ?, ?, ?, ?, ?, ?)",
            position.number, position.thesis_id, position.user_id, position.wallet_id, position.token_address,
            position.status.value, _encode(position),
        )  # fmt: skip
        return position

    def update(self, before: Position, after: Position) -> None:
        """``after`` in place of ``before``. Writing the status costs its indexes: the same is not written again."""
        if after.status is before.status:
            self._db.execute("UPDATE positions SET record = ? WHERE number = ?", _encode(after), after.number)
        else:
            self._db.execute(
                "UPDATE positions SET status = ?, record = ? WHERE number = ?",
                after.status.value, _encode(after), after.number,
            )  # fmt: skip

    def find(self, thesis_id: str) -> Position | None:
        return self._first("thesis_id = ?", thesis_id)

    def open_in(self, wallet_id: str, token: Token) -> Position | None:
        """The wallet's open position in a token."""
        return self._first("wallet_id = ? AND token = ? AND status <> 'not_active'", wallet_id, token.address)

    def all_open(self, user_id: str) -> list[Position]:
        """Oldest first."""
        return self._select("user_id = ? AND status IN ('active', 'pending') ORDER BY number", user_id)

    def page(self, user_id: str, page: Page, status: PositionStatus | None) -> tuple[Sequence[Position], int]:
        """Newest first, and how many there are in all."""
        condition, values = ("user_id = ?", [user_id]) if status is None else _with_status(user_id, status)
        total = self._db.value(f"SELECT count(*) FROM positions WHERE {condition}", *values)  # noqa: S608
        found = self._select(f"{condition} ORDER BY number DESC LIMIT ? OFFSET ?", *values, page.size, page.offset)
        return found, total

    def _first(self, condition: str, *values: object) -> Position | None:
        found = self._select(condition, *values)
        return found[0] if found else None

    def _select(self, condition: str, *values: object) -> list[Position]:
        rows = self._db.rows(f"SELECT record FROM positions WHERE {condition}", *values)  # noqa: S608
        return [_decode(record) for (record,) in rows]


def _with_status(user_id: str, status: PositionStatus) -> tuple[str, list[str]]:
    return "user_id = ? AND status = ?", [user_id, status.value]
