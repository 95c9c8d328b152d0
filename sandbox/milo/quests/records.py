"""Tallies and claims in the database, and the events that make them."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from sandbox.milo.core import Core
from sandbox.milo.database import Database
from sandbox.milo.events import (
    ArenaDeployed,
    AutoTradingActivated,
    Event,
    MessageSent,
    OrderFilled,
    PositionClosed,
    StrategyCreated,
)
from sandbox.milo.parts import Part
from sandbox.milo.quests.progress import NOTHING_DONE, Deed, Quest, Standing, Tally, standings
from sandbox.milo.quests.quest_list import QUESTS

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS quest_tallies (
    user_id TEXT NOT NULL, deed TEXT NOT NULL, count INTEGER NOT NULL, total TEXT NOT NULL, last_day INTEGER NOT NULL,
    run INTEGER NOT NULL, best_run INTEGER NOT NULL, PRIMARY KEY (user_id, deed)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quest_claims (
    user_id TEXT NOT NULL, quest_id TEXT NOT NULL, award INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    PRIMARY KEY (user_id, quest_id)
) WITHOUT ROWID
"""


def standings_of(db: Database, user_id: str) -> list[Standing]:
    """How far the user is with every quest."""
    claimed = {quest_id for (quest_id,) in db.rows("SELECT quest_id FROM quest_claims WHERE user_id = ?", user_id)}
    return standings(QUESTS, _tallies(db, user_id), claimed)


def claim(core: Core, user_id: str, quest: Quest) -> None:
    """Pay the award out. A second time is refused by the file itself."""
    core.db.execute("INSERT INTO quest_claims VALUES (?, ?, ?, ?)", user_id, quest.quest_id, quest.award, core.now_ms)
    _count(core.db, user_id, Deed.BONES, core.now_ms, Decimal(quest.award))


def balance(db: Database, user_id: str) -> int:
    """The bones that were claimed."""
    return int(db.value("SELECT coalesce(sum(award), 0) FROM quest_claims WHERE user_id = ?", user_id))


def _start(core: Core) -> None:
    db = core.db

    def once(deed: Deed, event: Event, amount: Decimal = Decimal(0)) -> None:
        _count(db, event.user_id, deed, event.at_ms, amount)

    def closed(event: PositionClosed) -> None:
        once(Deed.CLOSE, event)
        if event.realized_pnl_usd > 0:
            once(Deed.PROFIT, event, event.realized_pnl_usd)

    core.events.subscribe(OrderFilled, lambda event: once(Deed.TRADE, event, event.value_usd))
    core.events.subscribe(PositionClosed, closed)
    core.events.subscribe(MessageSent, lambda event: once(Deed.MESSAGE, event))
    core.events.subscribe(StrategyCreated, lambda event: once(Deed.STRATEGY, event))
    core.events.subscribe(AutoTradingActivated, lambda event: once(Deed.AUTO_TRADING, event))
    core.events.subscribe(ArenaDeployed, lambda event: once(Deed.ARENA, event))


PART: Final = Part(name="quests", schema=SCHEMA, start=_start)


def _count(db: Database, user_id: str, deed: Deed, at_ms: int, amount: Decimal) -> None:
    tally = _tallies(db, user_id).get(deed, NOTHING_DONE).with_deed(at_ms, amount)
    db.execute(
        "INSERT OR REPLACE INTO quest_tallies VALUES (?, ?, ?, ?, ?, ?, ?)",
        user_id, deed.value, tally.count, str(tally.total), tally.last_day, tally.run, tally.best_run,
    )  # fmt: skip


def _tallies(db: Database, user_id: str) -> dict[Deed, Tally]:
    rows = db.rows("SELECT deed, count, total, last_day, run, best_run FROM quest_tallies WHERE user_id = ?", user_id)
    return {
        Deed(row[0]): Tally(count=row[1], total=Decimal(row[2]), last_day=row[3], run=row[4], best_run=row[5])
        for row in rows
    }
