"""What free-text instructions say about tokens: which to avoid, to prefer, to keep."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from sandbox.milo.analysis.naming import tokens_named
from sandbox.milo.tokens import AssetClass, Token

_CLAUSES: Final = re.compile(r"[.;!?\n]|\bbut\b|\bthen\b", re.IGNORECASE)
_KEEP: Final = re.compile(r"\b(?:never sell|don'?t sell|do not sell|no selling|hodl|hold on to|keep)\b", re.IGNORECASE)
_AVOID: Final = re.compile(
    r"\b(?:avoid|exclud\w*|except|without|skip|ignore|never|don'?t|do not|no|stay away from|not)\b", re.IGNORECASE
)
_ONLY: Final = re.compile(r"\b(?:only|nothing but|exclusively|just)\b", re.IGNORECASE)
_PREFER: Final = re.compile(
    r"\b(?:focus|prefer|favou?r|mostly|mainly|prioriti[sz]e|emphasi[sz]e|like)\b", re.IGNORECASE
)
# How the classes are called in a sentence, as regular expressions.
CLASS_WORDS: Final = {
    AssetClass.TRENCHES: r"trench(?:es)?",
    AssetClass.PROMISING_MEMES: r"promising[ -]memes?",
    AssetClass.MEMES: r"(?<!promising )(?<!promising-)meme(?:s|coins?| coins?)?",
    AssetClass.STAKING: r"staking|staked|lsts?",
    AssetClass.NATIVE: r"native(?: tokens?)?",
    AssetClass.MAJORS: r"majors?|blue chips?",
    AssetClass.STABLES: r"stables?|stablecoins?",
    AssetClass.X_STOCKS: r"xstocks?|stocks?|equities",
}
_CLASS_PATTERNS: Final = {name: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for name, words in CLASS_WORDS.items()}


class Guidance(NamedTuple):
    """Symbols. ``only`` is None where everything that is not avoided may be traded."""

    avoided: frozenset[str] = frozenset()
    preferred: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    only: frozenset[str] | None = None

    def allows(self, token: Token) -> bool:
        return token.symbol not in self.avoided and (self.only is None or token.symbol in self.only)


def guidance_of(instructions: str, tokens: Sequence[Token]) -> Guidance:
    """Clause by clause: ``Focus on JUP. Avoid memes, never sell mSOL``."""
    avoided: set[str] = set()
    preferred: set[str] = set()
    kept: set[str] = set()
    only: set[str] = set()
    for clause in _clauses(instructions):
        named = _named(clause, tokens)
        if _KEEP.search(clause):
            kept |= named
        elif _AVOID.search(clause):
            avoided |= named
        elif _ONLY.search(clause):
            only |= named
        elif _PREFER.search(clause):
            preferred |= named
    return Guidance(frozenset(avoided), frozenset(preferred), frozenset(kept), frozenset(only) if only else None)


def _clauses(instructions: str) -> list[str]:
    """Sentences, and what follows a comma where that begins a new demand."""
    clauses: list[str] = []
    for sentence in _CLAUSES.split(instructions):
        for part in sentence.split(","):
            is_demand = any(pattern.search(part) for pattern in (_KEEP, _AVOID, _ONLY, _PREFER))
            if is_demand or not clauses or part == sentence.split(",")[0]:
                clauses.append(part)
            else:
                clauses[-1] += "," + part
    return clauses


def _named(clause: str, tokens: Sequence[Token]) -> set[str]:
    classes = {name for name, pattern in _CLASS_PATTERNS.items() if pattern.search(clause)}
    named = {token.symbol for token in tokens_named(clause, tokens)}
    return named | {token.symbol for token in tokens if token.asset_class in classes}
