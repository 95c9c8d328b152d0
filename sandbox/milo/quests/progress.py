"""How far somebody is with a quest. Pure: events make tallies, and every requirement is a function of one tally."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

DAY_MS: Final = 86_400_000
_NAMESPACE: Final = uuid.UUID("6f1f8d5e-4a55-4a51-9d4c-0e9a3cf5a1b7")


class Deed(StrEnum):
    """What is counted. The amount of a trade is its worth, of a profit what was made, of bones how many; all in USD but
    the last."""

    TRADE = "trade"
    CLOSE = "close"
    PROFIT = "profit"
    MESSAGE = "message"
    STRATEGY = "strategy"
    AUTO_TRADING = "auto_trading"
    ARENA = "arena"
    BONES = "bones"


class Aggregation(StrEnum):
    """How often; how much in all; on how many days in a row, at the best."""

    COUNT = "count"
    SUM = "sum"
    STREAK = "streak"


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """``run`` are the days in a row until ``last_day`` (of the epoch, UTC), ``best_run`` the most there ever were."""

    count: int = 0
    total: Decimal = Decimal(0)
    last_day: int = -1
    run: int = 0
    best_run: int = 0

    def with_deed(self, at_ms: int, amount: Decimal = Decimal(0)) -> Tally:
        day = at_ms // DAY_MS
        run = self.run if day == self.last_day else self.run + 1 if day == self.last_day + 1 else 1
        return Tally(
            count=self.count + 1,
            total=self.total + amount,
            last_day=day,
            run=run,
            best_run=max(run, self.best_run),
        )

    def value(self, aggregation: Aggregation) -> Decimal:
        match aggregation:
            case Aggregation.COUNT:
                return Decimal(self.count)
            case Aggregation.SUM:
                return self.total
            case Aggregation.STREAK:
                return Decimal(self.best_run)


NOTHING_DONE: Final = Tally()


class Requirement(msgspec.Struct, frozen=True):
    deed: Deed
    aggregation: Aggregation
    target: Decimal


class Quest(msgspec.Struct, frozen=True, kw_only=True):
    """``after`` are the slugs of the quests that must be completed before this one is unlocked."""

    slug: str
    title: str
    award: int
    requirements: tuple[Requirement, ...]
    after: tuple[str, ...] = ()

    @property
    def quest_id(self) -> str:
        return str(uuid.uuid5(_NAMESPACE, self.slug))

    def requirement_id(self, place: int) -> str:
        return str(uuid.uuid5(_NAMESPACE, f"{self.slug}/{place}"))


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How far one user is with a quest; ``values`` belong to its requirements, in their order."""

    quest: Quest
    values: tuple[Decimal, ...]
    is_unlocked: bool
    is_claimed: bool

    @property
    def met(self) -> tuple[bool, ...]:
        return tuple(value >= one.target for value, one in zip(self.values, self.quest.requirements, strict=True))

    @property
    def is_completed(self) -> bool:
        return all(self.met)

    @property
    def is_claimable(self) -> bool:
        return self.is_completed and self.is_unlocked and not self.is_claimed


def standings(quests: Sequence[Quest], tallies: Mapping[Deed, Tally], claimed: Collection[str]) -> list[Standing]:
    """Of all ``quests``, in their order. ``claimed`` are ids of quests."""
    values = {
        quest.slug: tuple(tallies.get(one.deed, NOTHING_DONE).value(one.aggregation) for one in quest.requirements)
        for quest in quests
    }
    found = {
        quest.slug: Standing(
            quest=quest, values=values[quest.slug], is_unlocked=True, is_claimed=quest.quest_id in claimed
        )
        for quest in quests
    }
    return [
        msgspec.structs.replace(standing, is_unlocked=all(found[slug].is_completed for slug in standing.quest.after))
        for standing in found.values()
    ]
