"""When deployed strategies trade: as the users' agents do, each by the style of its strategy."""

from __future__ import annotations

import logging
from typing import Final

from sandbox.milo.analysis.reader import MarketAt
from sandbox.milo.analysis.series import MarketReader
from sandbox.milo.arena import accounts, deployments
from sandbox.milo.arena.deployments import Deployment
from sandbox.milo.autotrade import strategies
from sandbox.milo.autotrade.schedule import Schedule
from sandbox.milo.autotrade.terms import ROUND_MS, RiskTolerance
from sandbox.milo.autotrade.trader import trade_once
from sandbox.milo.core import Core
from sandbox.milo.events import OrderFilled
from sandbox.milo.parts import Part

# A strategy says nothing of risk.
RISK: Final = RiskTolerance.BALANCED

_SCHEDULE: Final = Schedule("arena_deployments", "arena_user_id")

_log = logging.getLogger(__name__)


class NoDiary:
    """A ``Journal`` for what nobody can read: the reference shows an arena's figures, not its reasons."""

    def note(self, log: str, thoughts: str, token_address: str | None = None) -> None:
        pass

    def placed(self, order_id: str) -> None:
        pass


def _start(core: Core) -> None:
    accounts.open_missing(core)
    core.events.subscribe(OrderFilled, lambda event: accounts.note_trade(core, event))


def _run_due(core: Core, at_ms: int) -> None:
    market = MarketAt(core.market, at_ms)
    for arena_user_id in _SCHEDULE.due(core, at_ms):
        deployment = deployments.find(core.db, arena_user_id)
        strategy = None if deployment is None else strategies.find(core.db, deployment.strategy_id)
        if deployment is None or strategy is None:
            continue
        _SCHEDULE.put_off(core, arena_user_id, ROUND_MS[strategy.plan.style])
        try:
            with core.undoable():
                _round(core, market, deployment, strategy)
        except Exception:
            # Nobody else's round is lost by it.
            _log.exception("a round of the arena failed")


def _round(core: Core, market: MarketReader, deployment: Deployment, strategy: strategies.Strategy) -> None:
    custody = core.wallets.find(deployment.wallet_id)
    if custody is not None:
        trade_once(core, market, custody, strategy.plan, RISK, NoDiary())


PART: Final = Part(
    name="arena",
    schema=";".join((deployments.SCHEMA, accounts.SCHEMA)),
    start=_start,
    next_due=_SCHEDULE.next_due,
    run_due=_run_due,
)
