"""When the users' agents look at the market, each every so often by the style of its plan, and what becomes of it."""

from __future__ import annotations

import logging
from typing import Final

from sandbox.milo.analysis.reader import MarketAt
from sandbox.milo.analysis.series import MarketReader
from sandbox.milo.autotrade import diary, settings, strategies
from sandbox.milo.autotrade.schedule import Schedule
from sandbox.milo.autotrade.terms import ROUND_MS
from sandbox.milo.autotrade.trader import trade_once
from sandbox.milo.core import Core
from sandbox.milo.events import OrderFilled
from sandbox.milo.pages import Page
from sandbox.milo.parts import Part
from sandbox.milo.trading.desk import Desk
from sandbox.milo.trading.orders import SubType

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS autotrade_orders (order_id TEXT PRIMARY KEY) WITHOUT ROWID
"""
# A diary that says every hour that there is nothing to do says nothing.
_QUIET_MS: Final = 86_400_000
_LATEST: Final = Page(1, 1)
_SCHEDULE: Final = Schedule("autotrade_settings", "user_id")

_log = logging.getLogger(__name__)


class DiaryOf:
    """A ``Journal`` that a user can read."""

    def __init__(self, core: Core, user_id: str) -> None:
        self._core = core
        self._user_id = user_id

    def note(self, log: str, thoughts: str, token_address: str | None = None) -> None:
        diary.write(self._core, self._user_id, log, thoughts, token_address)

    def placed(self, order_id: str) -> None:
        self._core.db.execute("INSERT INTO autotrade_orders VALUES (?)", order_id)


def _start(core: Core) -> None:
    core.events.subscribe(OrderFilled, lambda event: _note_stop(core, event))


def _run_due(core: Core, at_ms: int) -> None:
    market = MarketAt(core.market, at_ms)
    for user_id in _SCHEDULE.due(core, at_ms):
        found = settings.current(core.db, user_id)
        _SCHEDULE.put_off(core, user_id, ROUND_MS[found.plan.style])
        try:
            with core.undoable():
                _round(core, market, user_id, found)
        except Exception:
            # Nobody else's round is lost by it.
            _log.exception("a round of auto-trading failed")


def _round(core: Core, market: MarketReader, user_id: str, found: settings.Settings) -> None:
    journal = DiaryOf(core, user_id)
    wallet = core.wallets.trading(user_id)
    decision = trade_once(core, market, wallet, found.plan, found.risk_tolerance, journal)
    if not decision.trades and _is_time_to_say_so(core, user_id):
        journal.note("Looked at the market and left everything as it is", decision.thoughts)


def _is_time_to_say_so(core: Core, user_id: str) -> bool:
    latest = diary.entries(core.db, user_id, _LATEST)
    return not latest or latest[0].log == settings.SWITCHED_ON or core.now_ms - latest[0].at_ms >= _QUIET_MS


def _note_stop(core: Core, event: OrderFilled) -> None:
    """What an agent bought was sold by the order that cuts its loss."""
    order = None if event.is_buy else Desk(core).book.find(event.order_id)
    if order is None or order.sub_type is not SubType.STOP_LOSS:
        return
    if core.db.row("SELECT 1 FROM autotrade_orders WHERE order_id = ?", order.parent_id) is not None:
        log = f"Stop loss on {event.token.symbol}"
        thoughts = f"the price fell to {event.price_usd:.8g} USD, where I had said to cut the loss"
        diary.write(core, event.user_id, log, thoughts, event.token.address)


PART: Final = Part(
    name="auto-trading",
    schema=";".join((strategies.SCHEMA, settings.SCHEMA, diary.SCHEMA, SCHEMA)),
    start=_start,
    next_due=_SCHEDULE.next_due,
    run_due=_run_due,
)
