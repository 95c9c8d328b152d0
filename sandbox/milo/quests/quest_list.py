"""The quests that there are. Their ids come from their slugs: a slug is never used for another quest."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from sandbox.milo.quests.progress import Aggregation, Deed, Quest, Requirement


def _count(deed: Deed, target: int = 1) -> Requirement:
    return Requirement(deed, Aggregation.COUNT, Decimal(target))


def _sum(deed: Deed, target: int) -> Requirement:
    return Requirement(deed, Aggregation.SUM, Decimal(target))


def _streak(deed: Deed, days: int) -> Requirement:
    return Requirement(deed, Aggregation.STREAK, Decimal(days))


def _quest(slug: str, title: str, award: int, *requirements: Requirement, after: tuple[str, ...] = ()) -> Quest:
    return Quest(slug=slug, title=title, award=award, requirements=requirements, after=after)


QUESTS: Final = (
    _quest("first-trade", "First Trade", 100, _count(Deed.TRADE)),
    _quest("ask-milo", "Ask Milo", 50, _count(Deed.MESSAGE)),
    _quest("strategist", "Strategist", 100, _count(Deed.STRATEGY)),
    _quest("autopilot", "Autopilot", 200, _count(Deed.AUTO_TRADING)),
    _quest("full-circle", "Full Circle", 150, _count(Deed.CLOSE), after=("first-trade",)),
    _quest("regular", "Regular", 250, _count(Deed.TRADE, 10), after=("first-trade",)),
    _quest("thousand-dollar-desk", "Thousand Dollar Desk", 300, _sum(Deed.TRADE, 1_000), after=("first-trade",)),
    _quest("market-mover", "Market Mover", 1_000, _sum(Deed.TRADE, 25_000), after=("thousand-dollar-desk", "regular")),
    _quest("three-days-running", "Three Days Running", 300, _streak(Deed.TRADE, 3), after=("first-trade",)),
    _quest("a-whole-week", "A Whole Week", 800, _streak(Deed.TRADE, 7), after=("three-days-running",)),
    _quest(
        "in-the-green",
        "In the Green",
        400,
        _count(Deed.PROFIT, 3),
        _sum(Deed.PROFIT, 100),
        after=("full-circle",),
    ),
    _quest("daily-briefing", "Daily Briefing", 200, _streak(Deed.MESSAGE, 3), after=("ask-milo",)),
    _quest("gladiator", "Gladiator", 500, _count(Deed.ARENA), after=("strategist",)),
    _quest(
        "well-rounded",
        "Well Rounded",
        300,
        _count(Deed.TRADE),
        _count(Deed.MESSAGE),
        _count(Deed.STRATEGY),
    ),
    _quest("bone-collector", "Bone Collector", 250, _sum(Deed.BONES, 1_000), after=("first-trade", "ask-milo")),
)
BY_ID: Final = {quest.quest_id: quest for quest in QUESTS}
