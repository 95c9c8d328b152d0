"""What the agent that trades is told to change in its settings. By rule: no model has a say in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from msgspec import UNSET, UnsetType

from sandbox.milo.analysis.naming import tokens_named
from sandbox.milo.autotrade.guidance import CLASS_WORDS
from sandbox.milo.autotrade.settings import SettingsChange
from sandbox.milo.autotrade.terms import MOST_INSTRUCTIONS, RiskTolerance, Style
from sandbox.milo.tokens import Token

# A question about a change is not a demand for it, unless it is a polite one.
_POLITE: Final = re.compile(r"^\W*(?:please\W+)?(?:can|could|would|will) you\b", re.IGNORECASE)
_TELLING: Final = re.compile(r"\b(?:explain|tell|show|say|describe|know|think|recommend)\b", re.IGNORECASE)
_ASKING: Final = re.compile(
    r"\?|^\W*(?:should|what|why|how|when|which|who|is|are|am|do|does|did|was|were|would|will|if)\b", re.IGNORECASE
)
_TOLERANCE: Final = "|".join(RiskTolerance)
_RISK: Final = re.compile(
    rf"\brisk\b[^.;!?]{{0,40}}?\b({_TOLERANCE})\b"
    rf"|\b(?:go|be|become|turn|switch to|change to)(?: more| fully)? ({_TOLERANCE})\b(?! \w*(?:token|coin|stop))",
    re.IGNORECASE,
)
_STYLE: Final = re.compile(
    r"(?:\bstrategy\b[^.;!?]{0,40}?\b"
    r"|\b(?:be|become|switch to|change to|use|adopt|trade as|trade like) (?:(?:a|an|the|my) )?)"
    r"(value[ -]invest(?:or|ing)|swing[ -]trad(?:er|ing)|scalp(?:er|ing))\b",
    re.IGNORECASE,
)
_ALLOCATE: Final = re.compile(r"\b(?:allocat\w*|put|set|split|rebalance|move)\b", re.IGNORECASE)
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
    is_polite = _POLITE.search(told) is not None and not _TELLING.search(told)
    if _ASKING.search(told) and not is_polite:
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


def _switched(text: str) -> bool | UnsetType:
    if _OFF.search(text):
        return False
    return True if _ON.search(text) else UNSET


def _risk(text: str) -> str | UnsetType:
    found = _RISK.search(text)
    return (found[1] or found[2]).lower() if found is not None else UNSET


def _style(text: str) -> str | UnsetType:
    found = _STYLE.search(text)
    if found is None:
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
    if not _ALLOCATE.search(text):
        return UNSET
    shares = {name.value: found for name, pattern in _SHARES.items() if (found := pattern.search(text)) is not None}
    return {name: Decimal(found[1]) for name, found in shares.items()} or UNSET
