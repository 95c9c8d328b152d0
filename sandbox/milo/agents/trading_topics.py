"""How the user's agent trades: what its settings are, what it would do now, and what has just been changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import UNSET

from sandbox.milo.agents.agent import Facts, Holding
from sandbox.milo.analysis import figures
from sandbox.milo.autotrade.decision import Held, decide
from sandbox.milo.autotrade.profiles import PROFILES
from sandbox.milo.autotrade.settings import SettingsChange
from sandbox.milo.autotrade.terms import Plan, RiskTolerance
from sandbox.milo.wire import iso, plain

_ENTRIES: Final = 3


def demand_met(demand: SettingsChange, facts: Facts) -> str:
    """What has changed, once it has."""
    before, done = facts.settings, []
    if demand.is_active is not UNSET:
        done.append(f"auto-trading is {'on' if demand.is_active else 'off'}")
    if demand.risk_tolerance is not UNSET:
        done.append(f"the risk tolerance is {demand.risk_tolerance} (it was {before.risk_tolerance})")
        if demand.risk_tolerance in list(RiskTolerance):
            profile = PROFILES[RiskTolerance(demand.risk_tolerance)]
            done[-1] += f", so one trade moves at most {figures.share(profile.most_per_trade)} of the whole"
            done[-1] += f" and a bought token is sold at a loss of {plain(profile.stop_loss_percent)}%"
    if demand.strategy is not UNSET:
        done.append(f"the strategy is {demand.strategy} (it was {before.plan.style})")
    if demand.custom_tickers is not UNSET:
        done.append(f"I focus on {figures.listed(list(demand.custom_tickers or ()))}")
    if demand.allocation is not UNSET:
        shares = [f"{name} {plain(share)}%" for name, share in (demand.allocation or {}).items()]
        done.append(f"the allocation is {figures.listed(shares)}")
    if demand.instructions is not UNSET:
        done.append("I follow your new instructions")
    return f"Done: {'; '.join(done)}."


def settings(facts: Facts) -> str:
    found = facts.settings
    text = (
        f"Auto-trading is {'on' if found.is_active else 'off'}: risk tolerance {found.risk_tolerance}, strategy"
        f" {found.plan.style}, allocation {_allocation_in_words(found.plan, found.risk_tolerance)}"
    )
    if found.plan.custom_tickers:
        text += f", focus on {figures.listed(list(found.plan.custom_tickers))}"
    if facts.strategy_name is not None:
        text += f', from your strategy "{facts.strategy_name}"'
    return f"{text}."


def talk(facts: Facts) -> list[str]:
    """Settings, what the next round would do, and what the last ones did."""
    plan, risk = facts.settings.plan, facts.settings.risk_tolerance
    decision = decide(plan, risk, facts.market, held(facts.holdings))
    found = [settings(facts), f"If I traded now: {decision.thoughts}"]
    for trade in decision.trades:
        verb = "buy" if trade.is_buy else "sell"
        found.append(f"- {verb} {figures.usd(trade.value_usd)} of {trade.token.symbol}, because {trade.thoughts}.")
    if facts.diary:
        found.append("What I did last:")
        found += [f"- {iso(entry.at_ms)}: {entry.log}. {entry.thoughts}" for entry in facts.diary[:_ENTRIES]]
    return found


def held(holdings: Sequence[Holding]) -> list[Held]:
    return [Held(holding.token, holding.value_usd, holding.value_usd) for holding in holdings]


def _allocation_in_words(plan_: Plan, risk: RiskTolerance) -> str:
    usual = "" if plan_.allocation else f" (what {risk} means, as you named none)"
    shares = plan_.allocation or PROFILES[risk].allocation
    return f"{figures.listed([f'{name} {plain(share)}%' for name, share in shares.items()])}{usual}"
