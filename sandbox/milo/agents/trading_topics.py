"""How the user's agent trades: what its settings are, what it would do now, and what it is told to change."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from msgspec import UNSET, UnsetType

from sandbox.milo.agents.agent import Facts, Holding
from sandbox.milo.analysis import figures
from sandbox.milo.analysis.naming import tokens_named
from sandbox.milo.autotrade.decision import Held, decide
from sandbox.milo.autotrade.guidance import CLASS_WORDS
from sandbox.milo.autotrade.profiles import PROFILES
from sandbox.milo.autotrade.settings import SettingsChange
from sandbox.milo.autotrade.terms import MOST_INSTRUCTIONS, Plan, RiskTolerance, Style
from sandbox.milo.tokens import Token
from sandbox.milo.wire import iso, plain

_ENTRIES: Final = 3

# A question about a change is not a demand for it.
_ASKING: Final = re.compile(
    r"^\W*(?:should|what|why|how|when|which|who|is|are|am|do|does|did|was|were|would|will|if)\b", re.IGNORECASE
)
_VERB: Final = re.compile(
    r"\b(?:set|switch|change|make|go|be|become|use|update|turn|put|adopt|move|trade)\b", re.IGNORECASE
)
_RISK: Final = re.compile(rf"\b({'|'.join(RiskTolerance)})\b", re.IGNORECASE)
_STYLE: Final = re.compile(r"\b(value[ -]invest(?:or|ing)|swing[ -]trad(?:er|ing)|scalp(?:er|ing))\b", re.IGNORECASE)
_TRADING: Final = r"(?:the |my |all )?(?:auto[- ]?)?trad(?:ing|er|e)"
_ON: Final = re.compile(
    rf"\b(?:start|enable|activate|resume|begin|(?:turn|switch) on) {_TRADING}\b|\b(?:turn|switch) {_TRADING} on\b",
    re.IGNORECASE,
)
_OFF: Final = re.compile(
    rf"\b(?:stop|disable|deactivate|pause|halt|(?:turn|switch) off) {_TRADING}\b|\b(?:turn|switch) {_TRADING} off\b",
    re.IGNORECASE,
)
_FOCUS: Final = re.compile(r"\b(?:focus (?:only )?on|custom tickers(?: to)?:?)\s+([^.;!?\n]{1,200})", re.IGNORECASE)
_INSTRUCTIONS: Final = re.compile(r"\binstructions?(?: to)?:\s*(.+)", re.IGNORECASE | re.DOTALL)
_SHARES: Final = {
    name: re.compile(
        rf"(\d{{1,3}}(?:\.\d{{1,4}})?)\s*(?:%|percent)\s*(?:in|into|to|of|for)?\s*(?:{words})\b", re.IGNORECASE
    )
    for name, words in CLASS_WORDS.items()
}


def demand_of(text: str, tokens: Sequence[Token]) -> SettingsChange | None:
    """What ``text`` tells the agent to change in its settings; None where it tells nothing."""
    instructions = _INSTRUCTIONS.search(text)
    # What the agent is to be told later is no demand now.
    told = text if instructions is None else text[: instructions.start()]
    if _ASKING.search(told):
        return None
    demand = SettingsChange(
        is_active=_switched(told),
        risk_tolerance=_risk(told),
        strategy=_style(told),
        instructions=instructions[1].strip()[:MOST_INSTRUCTIONS] if instructions else UNSET,
        custom_tickers=_focus(told, tokens),
        allocation=_allocation(told),
    )
    return None if demand == SettingsChange() else demand


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


def _switched(text: str) -> bool | UnsetType:
    if _OFF.search(text):
        return False
    return True if _ON.search(text) else UNSET


def _risk(text: str) -> str | UnsetType:
    found = _RISK.search(text)
    return found[1].lower() if found is not None and _VERB.search(text) else UNSET


def _style(text: str) -> str | UnsetType:
    found = _STYLE.search(text)
    if found is None or not _VERB.search(text):
        return UNSET
    word = found[1].lower()
    if word.startswith("value"):
        return Style.VALUE_INVESTOR.value
    return Style.SWING_TRADER.value if word.startswith("swing") else Style.SCALPER.value


def _focus(text: str, tokens: Sequence[Token]) -> tuple[str, ...] | UnsetType:
    found = _FOCUS.search(text)
    named = tokens_named(found[1], tokens) if found is not None else ()
    return tuple(token.symbol for token in named) or UNSET


def _allocation(text: str) -> dict[str, Decimal] | UnsetType:
    shares = {name.value: found for name, pattern in _SHARES.items() if (found := pattern.search(text)) is not None}
    return {name: Decimal(found[1]) for name, found in shares.items()} or UNSET


def _allocation_in_words(plan_: Plan, risk: RiskTolerance) -> str:
    usual = "" if plan_.allocation else f" (what {risk} means, as you named none)"
    shares = plan_.allocation or PROFILES[risk].allocation
    return f"{figures.listed([f'{name} {plain(share)}%' for name, share in shares.items()])}{usual}"
