"""``/users/{userId}/auto-trade-settings``, the strategies below it, and the diary."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from sandbox.milo.arena import deployments
from sandbox.milo.autotrade import diary, settings, strategies
from sandbox.milo.autotrade.settings import Settings, SettingsChange
from sandbox.milo.autotrade.strategies import NewStrategy, Strategy, StrategyChange
from sandbox.milo.calls import Call, Reply
from sandbox.milo.errors import conflict
from sandbox.milo.pages import choice, page_of, paged
from sandbox.milo.tokens import AssetClass
from sandbox.milo.wire import Data, Wire, iso

_MOST_WORDS: Final = 200


class SyncShown(Wire, frozen=True, kw_only=True):
    """``settings_updated_at`` is when the snapshot was taken. ``strategy_name`` and ``strategy_updated_at`` are None
    where the strategy is gone or was made private."""

    strategy_id: str
    strategy_name: str | None
    synced: bool
    settings_updated_at: str
    strategy_updated_at: str | None


class SettingsShown(Wire, frozen=True, kw_only=True):
    user_id: str
    is_active: bool
    risk_tolerance: str
    strategy: str
    strategy_id: str | None
    instructions: str
    custom_tickers: tuple[str, ...]
    allocation: dict[AssetClass, Decimal]
    strategy_sync: SyncShown | None
    updated_at: str


class StrategyShown(Wire, frozen=True, kw_only=True):
    id: str
    user_id: str
    name: str
    description: str
    strategy: str
    instructions: str
    allocation: dict[AssetClass, Decimal]
    custom_tickers: tuple[str, ...]
    is_public: bool
    created_at: str
    updated_at: str


class EntryShown(Wire, frozen=True, kw_only=True):
    id: str
    user_id: str
    log: str
    thoughts: str
    token_address: str | None
    created_at: str


def get_settings(call: Call) -> Reply:
    """``GET /users/{userId}/auto-trade-settings``"""
    return Reply(Data(_settings_shown(call, settings.current(call.core.db, call.user_id))))


def update_settings(call: Call) -> Reply:
    """``PATCH /users/{userId}/auto-trade-settings``"""
    return Reply(Data(_settings_shown(call, settings.change(call.core, call.user_id, call.asked(SettingsChange)))))


def create_strategy(call: Call) -> Reply:
    """``POST /users/{userId}/auto-trade-settings/strategies``"""
    made = strategies.create(call.core, call.user_id, call.asked(NewStrategy))
    return Reply(Data(_strategy_shown(made)), status=201)


def list_strategies(call: Call) -> Reply:
    """``GET /users/{userId}/auto-trade-settings/strategies``"""
    page, scope = page_of(call.query), choice(call.query, "scope", strategies.SCOPES) or "all"
    words = call.query.get("q", "").strip()[:_MOST_WORDS]
    found, total = strategies.listed(call.core.db, call.user_id, scope, words, page)
    return Reply(paged(page, [_strategy_shown(strategy) for strategy in found], total))


def get_strategy(call: Call) -> Reply:
    """``GET /users/{userId}/auto-trade-settings/strategies/{strategyId}``"""
    return Reply(Data(_strategy_shown(strategies.visible(call.core.db, call.path["strategyId"], call.user_id))))


def update_strategy(call: Call) -> Reply:
    """``PATCH /users/{userId}/auto-trade-settings/strategies/{strategyId}``"""
    strategy = strategies.owned(call.core.db, call.path["strategyId"], call.user_id)
    changed = strategies.update(call.core, strategy, call.asked(StrategyChange))
    if not changed.is_public:
        _require_not_deployed(call, strategy, "made private")
    return Reply(Data(_strategy_shown(changed)))


def delete_strategy(call: Call) -> Reply:
    """``DELETE /users/{userId}/auto-trade-settings/strategies/{strategyId}``"""
    strategy = strategies.owned(call.core.db, call.path["strategyId"], call.user_id)
    _require_not_deployed(call, strategy, "deleted")
    strategies.delete(call.core.db, strategy)
    return Reply(Data(None))


def sync_strategy(call: Call) -> Reply:
    """``POST /users/{userId}/auto-trade-settings/strategies/{strategyId}/sync``"""
    strategy = strategies.visible(call.core.db, call.path["strategyId"], call.user_id)
    return Reply(Data(_settings_shown(call, settings.sync(call.core, call.user_id, strategy))))


def list_diary(call: Call) -> Reply:
    """``GET /users/{userId}/diary-logs``"""
    page, db = page_of(call.query), call.core.db
    shown = [_entry_shown(entry) for entry in diary.entries(db, call.user_id, page)]
    return Reply(paged(page, shown, diary.count(db, call.user_id)))


def _require_not_deployed(call: Call, strategy: Strategy, what: str) -> None:
    if deployments.active_of_strategy(call.core.db, strategy.strategy_id) is not None:
        raise conflict(f"This strategy is deployed to the arena: withdraw it before it is {what}")


def _settings_shown(call: Call, found: Settings) -> SettingsShown:
    return SettingsShown(
        user_id=found.user_id,
        is_active=found.is_active,
        risk_tolerance=found.risk_tolerance.value,
        strategy=found.plan.style.value,
        strategy_id=found.snapshot.strategy_id if found.snapshot else None,
        instructions=found.plan.instructions,
        custom_tickers=found.plan.custom_tickers,
        allocation=found.plan.allocation,
        strategy_sync=_sync_shown(call, found),
        updated_at=iso(found.updated_at_ms or call.caller.user.created_at_ms),
    )


def _sync_shown(call: Call, found: Settings) -> SyncShown | None:
    if found.snapshot is None:
        return None
    strategy = settings.linked_strategy(call.core.db, found)
    return SyncShown(
        strategy_id=found.snapshot.strategy_id,
        strategy_name=strategy.name if strategy else None,
        synced=settings.is_synced(found, strategy),
        settings_updated_at=iso(found.snapshot.at_ms),
        strategy_updated_at=iso(strategy.updated_at_ms) if strategy else None,
    )


def _strategy_shown(strategy: Strategy) -> StrategyShown:
    return StrategyShown(
        id=strategy.strategy_id,
        user_id=strategy.user_id,
        name=strategy.name,
        description=strategy.description,
        strategy=strategy.plan.style.value,
        instructions=strategy.plan.instructions,
        allocation=strategy.plan.allocation,
        custom_tickers=strategy.plan.custom_tickers,
        is_public=strategy.is_public,
        created_at=iso(strategy.created_at_ms),
        updated_at=iso(strategy.updated_at_ms),
    )


def _entry_shown(entry: diary.Entry) -> EntryShown:
    return EntryShown(
        id=entry.entry_id,
        user_id=entry.user_id,
        log=entry.log,
        thoughts=entry.thoughts,
        token_address=entry.token_address,
        created_at=iso(entry.at_ms),
    )
