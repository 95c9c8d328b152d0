"""When deployed strategies trade: as the users' agents do, each by the style of its strategy."""

from __future__ import annotations

import logging
from typing import Final

from sandbox.milo.analysis.reader import MarketAt
from sandbox.milo.analysis.series import MarketReader
from sandbox.milo.arena import accounts, deployments
from sandbox.milo.arena.deployments import Deployment
from sandbox.milo.autotrade import strategies
from sandbox.milo.autotrade.rounds import DiaryOf
from sandbox.milo.autotrade.terms import ROUND_MS, RiskTolerance
from sandbox.milo.autotrade.trader import trade_once
from sandbox.milo.core import Core
from sandbox.milo.events import OrderFilled
from sandbox.milo.parts import Part

# A strategy says nothing of risk.
RISK: Final = RiskTolerance.BALANCED
FIRST_ROUND_MS: Final = 1_000

_LAST: Final = "next_round_ms + (?1 - next_round_ms) / round_ms * round_ms"
_NEXT_DUE: Final = f"SELECT min({_LAST}) FROM arena_deployments WHERE next_round_ms <= ?1 AND {_LAST} > ?2"  # noqa: S608
_WHOSE: Final = f"SELECT arena_user_id FROM arena_deployments WHERE next_round_ms <= ?1 AND {_LAST} = ?1"  # noqa: S608

_log = logging.getLogger(__name__)


def _start(core: Core) -> None:
    def filled(event: OrderFilled) -> None:
        if deployments.find(core.db, event.user_id) is not None:
            accounts.note_sale(core, event)

    core.events.subscribe(OrderFilled, filled)


def _next_due(core: Core, after_ms: int, until_ms: int) -> int | None:
    due_ms: int | None = core.db.value(_NEXT_DUE, until_ms, after_ms)
    return due_ms


def _run_due(core: Core, at_ms: int) -> None:
    market = MarketAt(core.market, at_ms)
    for (arena_user_id,) in core.db.rows(_WHOSE, at_ms):
        deployment = deployments.find(core.db, arena_user_id)
        strategy = None if deployment is None else strategies.find(core.db, deployment.strategy_id)
        if deployment is None or strategy is None:
            continue
        round_ms = ROUND_MS[strategy.plan.style]
        deployments.set_next_round(core.db, deployment, at_ms + round_ms, round_ms)
        try:
            with core.undoable():
                _round(core, market, deployment, strategy)
        except Exception:
            # Nobody else's round is lost by it.
            _log.exception("a round of the arena failed")


def _round(core: Core, market: MarketReader, deployment: Deployment, strategy: strategies.Strategy) -> None:
    custody = core.wallets.find(deployment.wallet_id)
    if custody is not None:
        trade_once(core, market, custody, strategy.plan, RISK, DiaryOf(core, deployment.arena_user_id))


PART: Final = Part(
    name="arena",
    schema=";".join((deployments.SCHEMA, accounts.SCHEMA)),
    start=_start,
    next_due=_next_due,
    run_due=_run_due,
)
