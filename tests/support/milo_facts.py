"""What an agent is told, without a venue behind it."""

from __future__ import annotations

from sandbox.milo.agents.agent import Facts, Holding, PositionSeen
from sandbox.milo.analysis.series import MarketReader
from sandbox.milo.autotrade.diary import Entry
from sandbox.milo.autotrade.settings import Settings
from sandbox.milo.autotrade.terms import Plan, RiskTolerance, Style


def facts(
    market: MarketReader,
    holdings: tuple[Holding, ...] = (),
    positions: tuple[PositionSeen, ...] = (),
    diary: tuple[Entry, ...] = (),
) -> Facts:
    """Of a user who never changed a setting."""
    settings = Settings(
        user_id="u",
        is_active=False,
        risk_tolerance=RiskTolerance.BALANCED,
        plan=Plan(style=Style.SWING_TRADER),
        snapshot=None,
        updated_at_ms=0,
        next_round_ms=None,
    )
    return Facts(
        market=market,
        holdings=holdings,
        positions=positions,
        settings=settings,
        strategy_name=None,
        diary=diary,
    )
