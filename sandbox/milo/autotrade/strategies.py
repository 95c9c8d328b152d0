"""Strategies: presets that are made once and linked to settings, or deployed to the arena."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from sandbox.milo.autotrade import terms
from sandbox.milo.autotrade.terms import Plan, Style
from sandbox.milo.core import Core
from sandbox.milo.database import Database, Row
from sandbox.milo.errors import not_found
from sandbox.milo.events import StrategyCreated
from sandbox.milo.fields import text
from sandbox.milo.pages import Page
from sandbox.milo.wire import Asked

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS strategies (
    number INTEGER PRIMARY KEY, strategy_id TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL, name TEXT NOT NULL,
    description TEXT NOT NULL, plan BLOB NOT NULL, is_public INTEGER NOT NULL, version INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL, updated_at_ms INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS strategies_by_user ON strategies (user_id, number);
CREATE INDEX IF NOT EXISTS strategies_public ON strategies (number) WHERE is_public
"""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Plan).decode
_SELECT: Final = (
    "SELECT strategy_id, user_id, name, description, plan, is_public, version, created_at_ms, updated_at_ms"
    " FROM strategies WHERE "
)
_COUNT: Final = "SELECT count(*) FROM strategies WHERE "


class Strategy(msgspec.Struct, frozen=True, kw_only=True):
    """``version`` grows with everything that is changed in it."""

    strategy_id: str
    user_id: str
    name: str
    description: str
    plan: Plan
    is_public: bool
    version: int
    created_at_ms: int
    updated_at_ms: int


class _Optional(Asked, frozen=True, kw_only=True):
    """Null is the same as empty."""

    description: str | UnsetType | None = UNSET
    instructions: str | UnsetType | None = UNSET
    allocation: dict[str, Decimal] | UnsetType | None = UNSET
    custom_tickers: tuple[str, ...] | UnsetType | None = UNSET
    is_public: bool | UnsetType = UNSET


class NewStrategy(_Optional, frozen=True, kw_only=True):
    name: str
    strategy: str


class StrategyChange(_Optional, frozen=True, kw_only=True):
    name: str | UnsetType = UNSET
    strategy: str | UnsetType = UNSET


def create(core: Core, user_id: str, asked: NewStrategy) -> Strategy:
    """:raises ApiError: 400; a field is not as the reference allows."""
    blank = Strategy(
        strategy_id=core.new_id(),
        user_id=user_id,
        name="",
        description="",
        plan=Plan(style=Style.CUSTOM),
        is_public=False,
        version=1,
        created_at_ms=core.now_ms,
        updated_at_ms=core.now_ms,
    )
    made = _with(blank, asked)
    core.db.execute(
        "INSERT INTO strategies (strategy_id, user_id, name, description, plan, is_public, version, created_at_ms,"
        " updated_at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        made.strategy_id, user_id, made.name, made.description, _encode(made.plan), made.is_public, made.version,
        made.created_at_ms, made.updated_at_ms,
    )  # fmt: skip
    core.events.publish(StrategyCreated(user_id=user_id, at_ms=core.now_ms, strategy_id=made.strategy_id))
    return made


def update(core: Core, strategy: Strategy, asked: StrategyChange) -> Strategy:
    """What it is afterwards. A change that changes nothing makes no new version.

    :raises ApiError: 400; a field is not as the reference allows.
    """
    changed = _with(strategy, asked)
    if changed == strategy:
        return strategy
    changed = msgspec.structs.replace(changed, version=strategy.version + 1, updated_at_ms=core.now_ms)
    core.db.execute(
        "UPDATE strategies SET name = ?, description = ?, plan = ?, is_public = ?, version = ?, updated_at_ms = ?"
        " WHERE strategy_id = ?",
        changed.name, changed.description, _encode(changed.plan), changed.is_public, changed.version,
        changed.updated_at_ms, changed.strategy_id,
    )  # fmt: skip
    return changed


def delete(db: Database, strategy: Strategy) -> None:
    """Settings that it is linked to go on with the snapshot that they have."""
    db.execute("DELETE FROM strategies WHERE strategy_id = ?", strategy.strategy_id)


def find(db: Database, strategy_id: str) -> Strategy | None:
    row = db.row(_SELECT + "strategy_id = ?", strategy_id)
    return None if row is None else _strategy(row)


def visible(db: Database, strategy_id: str, user_id: str) -> Strategy:
    """:raises ApiError: 404; it does not exist, or is somebody else's and not public."""
    found = find(db, strategy_id)
    if found is None or not (found.is_public or found.user_id == user_id):
        raise not_found("Strategy")
    return found


def owned(db: Database, strategy_id: str, user_id: str) -> Strategy:
    """:raises ApiError: 404; it does not exist, or is somebody else's."""
    found = find(db, strategy_id)
    if found is None or found.user_id != user_id:
        raise not_found("Strategy")
    return found


def listed(db: Database, user_id: str, scope: str, words: str, page: Page) -> tuple[list[Strategy], int]:
    """One page, newest first, and how many there are. ``scope`` is ``all``, ``owned`` or ``public``."""
    condition, values = _SCOPES[scope], [user_id] * _SCOPES[scope].count("?")
    if words:
        condition += " AND (name LIKE ? ESCAPE '!' OR description LIKE ? ESCAPE '!')"
        values += [_pattern(words)] * 2
    rows = db.rows(
        _SELECT + f"{condition} ORDER BY number DESC LIMIT ? OFFSET ?",
        *values, page.size, page.offset,
    )  # fmt: skip
    return [_strategy(row) for row in rows], db.value(_COUNT + condition, *values)


_SCOPES: Final = {"all": "(user_id = ? OR is_public)", "owned": "user_id = ?", "public": "is_public"}
SCOPES: Final = tuple(_SCOPES)


def _pattern(words: str) -> str:
    escaped = words.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f"%{escaped}%"


def _with(strategy: Strategy, asked: NewStrategy | StrategyChange) -> Strategy:
    """:raises ApiError: 400."""
    name, description, is_public = strategy.name, strategy.description, strategy.is_public
    if asked.name is not UNSET:
        name = text(asked.name, "name", least=1, most=terms.MOST_NAME)
    if asked.description is not UNSET:
        description = text(asked.description or "", "description", most=terms.MOST_DESCRIPTION)
    if asked.is_public is not UNSET:
        is_public = asked.is_public
    plan = terms.changed_plan(strategy.plan, asked.strategy, asked.instructions, asked.allocation, asked.custom_tickers)
    return msgspec.structs.replace(strategy, name=name, description=description, is_public=is_public, plan=plan)


def _strategy(row: Row) -> Strategy:
    return Strategy(
        strategy_id=row[0],
        user_id=row[1],
        name=row[2],
        description=row[3],
        plan=_decode(row[4]),
        is_public=bool(row[5]),
        version=row[6],
        created_at_ms=row[7],
        updated_at_ms=row[8],
    )
