"""``/users/{userId}/auto-trade-settings``, the strategies below it, and the diary."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from adapters.milo.agents import DiaryEntry, Settings, SettingsChange, Shares, Strategy, StrategyBody
from adapters.milo.endpoints import (
    CREATE_STRATEGY,
    DELETE_STRATEGY,
    GET_SETTINGS,
    GET_STRATEGY,
    LIST_DIARY,
    LIST_STRATEGIES,
    SYNC_STRATEGY,
    UPDATE_SETTINGS,
    UPDATE_STRATEGY,
)
from gateway.operations.milo.common import (
    DoneReply,
    MiloRequest,
    PagedReply,
    PagedRequest,
    StrategyRef,
    milo,
    require_text,
)
from gateway.operations.milo.guards import require_free_hand
from gateway.operations.wire import Call, Reply
from normalization.decimals import ZERO, is_sane, trimmed
from normalization.errors import InvalidParameter

_HUNDRED: Final = Decimal(100)

Style = Literal["VALUE INVESTOR", "SWING TRADER", "SCALPER", "CUSTOM"]
Name = Annotated[str, Meta(min_length=1, max_length=200, description="Name")]
Description = Annotated[str, Meta(max_length=2000, description="Description")]
Instructions = Annotated[str, Meta(max_length=4000, description="Free-text trading instructions")]
Tickers = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=40)]], Meta(max_length=100, description="Tokens to focus on")
]
Share = Annotated[Decimal, Meta(description="Percent", examples=["40"])]


class Allocation(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Percentages by asset class; together 100."""

    trenches: Share | UnsetType = UNSET
    memes: Share | UnsetType = UNSET
    promising_memes: Share | UnsetType = msgspec.field(name="promising-memes", default=UNSET)
    staking: Share | UnsetType = UNSET
    native: Share | UnsetType = UNSET
    majors: Share | UnsetType = UNSET
    stables: Share | UnsetType = UNSET
    x_stocks: Share | UnsetType = UNSET
    custom: Share | UnsetType = UNSET

    def __post_init__(self) -> None:
        total = ZERO
        for field in msgspec.structs.fields(self):
            share = getattr(self, field.name)
            if share is UNSET:
                continue
            if not is_sane(share) or not 0 <= share <= _HUNDRED:
                raise InvalidParameter(f"allocation.{field.encode_name}", "a percentage from 0 to 100")
            total += share
        if total not in (ZERO, _HUNDRED):
            raise InvalidParameter("allocation", f"percentages that add up to 100, not {trimmed(total)}")

    def shares(self) -> Shares:
        return Shares(**{name: getattr(self, name) for name in self.__struct_fields__})


class GetAutoTradeSettings(MiloRequest, frozen=True, kw_only=True):
    async def perform(self, call: Call) -> SettingsReply:
        return SettingsReply(data=(await milo(call).ask(GET_SETTINGS)).data)


class SettingsReply(Reply, frozen=True, kw_only=True):
    """``strategy_sync`` is there where a strategy is linked; not synced, its latest version is not in use."""

    data: Settings


class UpdateAutoTradeSettings(MiloRequest, frozen=True, kw_only=True):
    """Only what is given changes. ``strategy_id`` null unlinks the strategy; ``is_active`` takes 1 SOL."""

    is_active: Annotated[bool, Meta(description="Whether Milo trades by itself")] | UnsetType = UNSET
    risk_tolerance: Literal["conservative", "balanced", "degen"] | UnsetType = UNSET
    strategy: Style | UnsetType = UNSET
    strategy_id: StrategyRef | UnsetType | None = UNSET
    instructions: Instructions | UnsetType = UNSET
    custom_tickers: Tickers | UnsetType = UNSET
    allocation: Allocation | UnsetType = UNSET

    async def perform(self, call: Call) -> SettingsReply:
        if self.is_active is True:
            require_free_hand(call, "Auto-trading")
        body = SettingsChange(
            is_active=self.is_active,
            risk_tolerance=self.risk_tolerance,
            strategy=self.strategy,
            strategy_id=self.strategy_id,
            instructions=self.instructions,
            custom_tickers=self.custom_tickers,
            allocation=self.allocation if self.allocation is UNSET else self.allocation.shares(),
        )
        return SettingsReply(data=(await milo(call).ask(UPDATE_SETTINGS, body=body)).data)


class StrategyFields(MiloRequest, frozen=True, kw_only=True):
    description: Description | UnsetType = UNSET
    instructions: Instructions | UnsetType = UNSET
    allocation: Allocation | UnsetType = UNSET
    custom_tickers: Tickers | UnsetType = UNSET
    is_public: Annotated[bool, Meta(description="Others can find it")] | UnsetType = UNSET

    def body(self, name: str | UnsetType, strategy: str | UnsetType) -> StrategyBody:
        require_text(name, "name")
        return StrategyBody(
            name=name,
            strategy=strategy,
            description=self.description,
            instructions=self.instructions,
            allocation=self.allocation if self.allocation is UNSET else self.allocation.shares(),
            custom_tickers=self.custom_tickers,
            is_public=self.is_public,
        )


class CreateStrategy(StrategyFields, frozen=True, kw_only=True):
    name: Name
    strategy: Style

    async def perform(self, call: Call) -> StrategyReply:
        body = self.body(self.name, self.strategy)
        return StrategyReply(data=(await milo(call).ask(CREATE_STRATEGY, body=body)).data)


class StrategyReply(Reply, frozen=True, kw_only=True):
    data: Strategy


class ListStrategies(PagedRequest, frozen=True, kw_only=True):
    scope: Literal["all", "owned", "public"] | None = None
    q: Annotated[str, Meta(max_length=200, description="Words in its name or description")] | None = None

    async def perform(self, call: Call) -> StrategiesReply:
        page = await milo(call).ask(LIST_STRATEGIES, query=self.paged(scope=self.scope, q=self.q))
        return StrategiesReply(data=page.data, meta=page.meta)


class StrategiesReply(PagedReply, frozen=True, kw_only=True):
    data: list[Strategy]


class GetStrategy(MiloRequest, frozen=True, kw_only=True):
    strategy_id: StrategyRef

    async def perform(self, call: Call) -> StrategyReply:
        return StrategyReply(data=(await milo(call).ask(GET_STRATEGY, ids={"strategyId": self.strategy_id})).data)


class UpdateStrategy(StrategyFields, frozen=True, kw_only=True):
    """Only what is given changes. Settings that use it follow when they are synced."""

    strategy_id: StrategyRef
    name: Name | UnsetType = UNSET
    strategy: Style | UnsetType = UNSET

    async def perform(self, call: Call) -> StrategyReply:
        body = self.body(self.name, self.strategy)
        found = await milo(call).ask(UPDATE_STRATEGY, ids={"strategyId": self.strategy_id}, body=body)
        return StrategyReply(data=found.data)


class DeleteStrategy(MiloRequest, frozen=True, kw_only=True):
    strategy_id: StrategyRef

    async def perform(self, call: Call) -> DoneReply:
        await milo(call).ask(DELETE_STRATEGY, ids={"strategyId": self.strategy_id})
        return DoneReply()


class SyncStrategy(MiloRequest, frozen=True, kw_only=True):
    strategy_id: StrategyRef

    async def perform(self, call: Call) -> SettingsReply:
        return SettingsReply(data=(await milo(call).ask(SYNC_STRATEGY, ids={"strategyId": self.strategy_id})).data)


class GetDiaryLogs(PagedRequest, frozen=True, kw_only=True):
    async def perform(self, call: Call) -> DiaryReply:
        page = await milo(call).ask(LIST_DIARY, query=self.paged())
        return DiaryReply(data=page.data, meta=page.meta)


class DiaryReply(PagedReply, frozen=True, kw_only=True):
    """Newest first."""

    data: list[DiaryEntry]
