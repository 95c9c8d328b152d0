"""What a user's agent trades by: with a strategy linked, the snapshot of it that was taken then."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from sandbox.milo.autotrade import diary, strategies, terms
from sandbox.milo.autotrade.strategies import Strategy
from sandbox.milo.autotrade.terms import Plan, RiskTolerance, Style
from sandbox.milo.core import Core
from sandbox.milo.database import Database, Row
from sandbox.milo.errors import bad_request
from sandbox.milo.events import AutoTradingActivated
from sandbox.milo.fields import one_of
from sandbox.milo.tokens import SOL
from sandbox.milo.wire import Asked, plain

LEAST_SOL: Final = Decimal(1)
# So that whoever has just switched it on need not wait for the first entry of the diary.
FIRST_ROUND_MS: Final = 1_000
SWITCHED_ON: Final = "Auto-trading is on"
SWITCHED_OFF: Final = "Auto-trading is off"

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS autotrade_settings (
    user_id TEXT PRIMARY KEY, is_active INTEGER NOT NULL, risk_tolerance TEXT NOT NULL, plan BLOB NOT NULL,
    strategy_id TEXT, strategy_version INTEGER, synced_at_ms INTEGER, updated_at_ms INTEGER NOT NULL,
    next_round_ms INTEGER, round_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS autotrade_rounds ON autotrade_settings (next_round_ms) WHERE next_round_ms IS NOT NULL
"""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Plan).decode
_SELECT: Final = (
    "SELECT user_id, is_active, risk_tolerance, plan, strategy_id, strategy_version, synced_at_ms, updated_at_ms,"
    " next_round_ms FROM autotrade_settings "
)


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Which version of which strategy the plan was taken from, and when."""

    strategy_id: str
    version: int
    at_ms: int


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """``next_round_ms`` is when the agent looks at the market next: None while it is not active."""

    user_id: str
    is_active: bool
    risk_tolerance: RiskTolerance
    plan: Plan
    snapshot: Snapshot | None
    updated_at_ms: int
    next_round_ms: int | None


class SettingsChange(Asked, frozen=True, kw_only=True):
    """Any of the settings. ``strategy_id`` null unlinks; the other fields' null is the same as empty."""

    is_active: bool | UnsetType = UNSET
    risk_tolerance: str | UnsetType = UNSET
    strategy: str | UnsetType = UNSET
    strategy_id: str | UnsetType | None = UNSET
    instructions: str | UnsetType | None = UNSET
    custom_tickers: tuple[str, ...] | UnsetType | None = UNSET
    allocation: dict[str, Decimal] | UnsetType | None = UNSET


def current(db: Database, user_id: str) -> Settings:
    """Those of a user who never changed any are the defaults."""
    row = db.row(_SELECT + "WHERE user_id = ?", user_id)
    return _settings(row) if row is not None else _defaults(user_id)


def change(core: Core, user_id: str, asked: SettingsChange) -> Settings:
    """What they are afterwards. A strategy that is linked gives the plan; what else was asked for is laid over it.

    :raises ApiError: 400; a field is not as the reference allows, or there is too little SOL to switch trading on.
        404; a strategy that the user cannot see.
    """
    before = current(core.db, user_id)
    after = _linked(core, before, asked.strategy_id)
    plan = terms.changed_plan(after.plan, asked.strategy, asked.instructions, asked.allocation, asked.custom_tickers)
    risk = after.risk_tolerance
    if asked.risk_tolerance is not UNSET:
        risk = one_of(RiskTolerance, asked.risk_tolerance, "riskTolerance")
    is_active = after.is_active if asked.is_active is UNSET else asked.is_active
    after = msgspec.structs.replace(after, plan=plan, risk_tolerance=risk, is_active=is_active)
    if is_active and not before.is_active:
        _require_funds(core, user_id)
        after = msgspec.structs.replace(after, next_round_ms=core.now_ms + FIRST_ROUND_MS)
        core.events.publish(AutoTradingActivated(user_id=user_id, at_ms=core.now_ms))
        diary.write(core, user_id, SWITCHED_ON, f"{plan.style}, {risk}: I look at the market in a moment")
    elif is_active and (plan, risk) != (before.plan, before.risk_tolerance):
        after = msgspec.structs.replace(after, next_round_ms=core.now_ms + FIRST_ROUND_MS)
    elif before.is_active and not is_active:
        after = msgspec.structs.replace(after, next_round_ms=None)
        diary.write(core, user_id, SWITCHED_OFF, "What was bought stays, and so do its stop losses")
    return _saved(core, after)


def sync(core: Core, user_id: str, strategy: Strategy) -> Settings:
    """Take the snapshot of the linked strategy again.

    :raises ApiError: 400; it is not the one that is linked.
    """
    before = current(core.db, user_id)
    if before.snapshot is None or before.snapshot.strategy_id != strategy.strategy_id:
        raise bad_request("This strategy is not linked to your settings: link it first, with `strategyId`")
    return _saved(core, _linked(core, before, strategy.strategy_id))


def is_synced(settings: Settings, strategy: Strategy | None) -> bool:
    """Whether the settings are what the linked strategy is now. ``strategy`` None is one that is gone."""
    snapshot = settings.snapshot
    if snapshot is None or strategy is None:
        return False
    return snapshot.version == strategy.version and settings.plan == strategy.plan


def linked_strategy(db: Database, settings: Settings) -> Strategy | None:
    """None where none is linked, or the one that was is gone or was made private by its owner."""
    if settings.snapshot is None:
        return None
    found = strategies.find(db, settings.snapshot.strategy_id)
    return found if found is not None and (found.is_public or found.user_id == settings.user_id) else None


def _linked(core: Core, settings: Settings, strategy_id: str | UnsetType | None) -> Settings:
    if strategy_id is UNSET:
        return settings
    if strategy_id is None:
        return msgspec.structs.replace(settings, snapshot=None)
    strategy = strategies.visible(core.db, strategy_id, settings.user_id)
    snapshot = Snapshot(strategy_id=strategy.strategy_id, version=strategy.version, at_ms=core.now_ms)
    return msgspec.structs.replace(settings, plan=strategy.plan, snapshot=snapshot)


def _require_funds(core: Core, user_id: str) -> None:
    wallet = core.wallets.trading(user_id)
    held = SOL.amount(core.chain.balance(wallet.address, SOL))
    if held < LEAST_SOL:
        raise bad_request(
            f"`isActive` can be true only while the Milo wallet {wallet.address} holds at least {plain(LEAST_SOL)} SOL;"
            f" it holds {plain(held)}",
            field="isActive",
        )


def _saved(core: Core, settings: Settings) -> Settings:
    settings = msgspec.structs.replace(settings, updated_at_ms=core.now_ms)
    snapshot = settings.snapshot
    core.db.execute(
        "INSERT OR REPLACE INTO autotrade_settings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        settings.user_id, settings.is_active, settings.risk_tolerance.value, _encode(settings.plan),
        snapshot and snapshot.strategy_id, snapshot and snapshot.version, snapshot and snapshot.at_ms,
        settings.updated_at_ms, settings.next_round_ms, terms.ROUND_MS[settings.plan.style],
    )  # fmt: skip
    return settings


def _defaults(user_id: str) -> Settings:
    return Settings(
        user_id=user_id,
        is_active=False,
        risk_tolerance=RiskTolerance.BALANCED,
        plan=Plan(style=Style.SWING_TRADER),
        snapshot=None,
        updated_at_ms=0,
        next_round_ms=None,
    )


def _settings(row: Row) -> Settings:
    return Settings(
        user_id=row[0],
        is_active=bool(row[1]),
        risk_tolerance=RiskTolerance(row[2]),
        plan=_decode(row[3]),
        snapshot=None if row[4] is None else Snapshot(strategy_id=row[4], version=row[5], at_ms=row[6]),
        updated_at_ms=row[7],
        next_round_ms=row[8],
    )
