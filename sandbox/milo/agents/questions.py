"""What a question is about: tokens, topics, a stretch of time, an amount."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

from sandbox.milo.analysis.naming import tokens_named
from sandbox.milo.analysis.series import Horizon
from sandbox.milo.tokens import Token


class Topic(StrEnum):
    PRICE = "price"
    TREND = "trend"
    AVERAGES = "averages"
    MOMENTUM = "momentum"
    VOLATILITY = "volatility"
    DEPTH = "depth"
    LEVELS = "levels"
    STRENGTH = "strength"
    DRAWDOWN = "drawdown"
    VOLUME = "volume"
    CORRELATION = "correlation"
    OUTLOOK = "outlook"
    BREADTH = "breadth"
    HOLDINGS = "holdings"
    POSITIONS = "positions"
    SETTINGS = "settings"


class Understood(NamedTuple):
    """``quantity`` is in tokens, ``amount_usd`` in USD; None where no amount was named."""

    tokens: tuple[Token, ...]
    topics: tuple[Topic, ...]
    horizon: Horizon | None
    amount_usd: Decimal | None = None
    quantity: Decimal | None = None


# Beginnings of words, in lower case.
_WORDS: Final = {
    Topic.PRICE: ("price", "worth", "quote", "how much is", "cost", "trading at"),
    Topic.TREND: ("trend", "direction", "bullish", "bearish", "uptrend", "downtrend", "going up", "going down"),
    Topic.AVERAGES: ("moving average", "sma", "ema", "golden cross", "death cross", "crossover", "ma50", "ma20"),
    Topic.MOMENTUM: ("rsi", "momentum", "overbought", "oversold", "macd", "technical"),
    Topic.VOLATILITY: ("volatil", "risk", "stable enough", "swing", "atr", "wild"),
    Topic.DEPTH: ("depth", "liquid", "slippage", "spread", "order book", "orderbook", "price impact", "fill"),
    Topic.LEVELS: ("support", "resistance", "level", "technical", "stop loss", "stop-loss", "take profit", "entry"),
    Topic.STRENGTH: (
        "relative",
        "compare",
        "outperform",
        "underperform",
        "versus",
        "vs",
        "better",
        "strong",
        "weak",
        "trending",
        "best",
        "worst",
        "gainer",
        "loser",
        "top ",
        "hot",
        "mover",
    ),
    Topic.DRAWDOWN: ("drawdown", "draw down", "drop", "fell", "fall", "crash", "dip", "off the high", "all time high"),
    Topic.VOLUME: ("volume", "turnover", "activity", "traded"),
    Topic.CORRELATION: ("correlat", "diversif", "move together", "beta"),
    Topic.OUTLOOK: (
        "outlook",
        "forecast",
        "predict",
        "expect",
        "target",
        "should i",
        "will ",
        "buy",
        "sell",
        "tomorrow",
        "next week",
    ),
    Topic.BREADTH: ("sentiment", "mood", "breadth", "market overview", "the market", "news", "fear", "greed"),
    Topic.HOLDINGS: (
        "holding",
        "portfolio",
        "balance",
        "wallet",
        "my bag",
        "my token",
        "i hold",
        "i own",
        "do i have",
        "exposure",
    ),
    Topic.POSITIONS: (
        "position",
        "pnl",
        "profit and loss",
        "my trade",
        "unrealized",
        "unrealised",
        "realized",
        "thesis",
    ),
    Topic.SETTINGS: ("setting", "strategy", "allocation", "auto-trad", "auto trad", "autotrad", "configur"),
}
_PATTERNS: Final = {
    topic: re.compile(r"(?<![a-z0-9])(?:" + "|".join(map(re.escape, words)) + ")") for topic, words in _WORDS.items()
}

_MINUTE, _HOUR, _DAY = 1, 60, 1440
_UNITS: Final = (
    (re.compile(r"(\d{1,4})[\s-]*(?:minutes?|mins?|m)\b"), _MINUTE),
    (re.compile(r"(\d{1,4})[\s-]*(?:hours?|hrs?|h)\b"), _HOUR),
    (re.compile(r"(\d{1,4})[\s-]*(?:days?|d)\b"), _DAY),
    (re.compile(r"(\d{1,3})[\s-]*(?:weeks?|w)\b"), 7 * _DAY),
    (re.compile(r"(\d{1,2})[\s-]*(?:months?|mo)\b"), 30 * _DAY),
)
_SPANS: Final = (
    (re.compile(r"\b(?:year|12 months)\b"), 365 * _DAY),
    (re.compile(r"\bquarter\b"), 90 * _DAY),
    (re.compile(r"\b(?:month|monthly)\b"), 30 * _DAY),
    (re.compile(r"\b(?:week|weekly)\b"), 7 * _DAY),
    (re.compile(r"\b(?:today|day|daily|yesterday)\b"), _DAY),
    (re.compile(r"\b(?:hour|hourly|intraday|right now)\b"), _HOUR),
)
_SHORTEST, _LONGEST = _HOUR, 365 * _DAY

_DOLLARS: Final = re.compile(r"\$\s?(\d[\d,]{0,14}(?:\.\d{1,6})?)\s?([km])?\b", re.IGNORECASE)
_WORDED_DOLLARS: Final = re.compile(
    r"\b(\d[\d,]{0,14}(?:\.\d{1,6})?)\s?([km])?\s?(?:usd|usdc|dollars?)\b", re.IGNORECASE
)
_FACTORS: Final = {"": 1, "k": 1_000, "m": 1_000_000}


def read_question(text: str, tokens: Sequence[Token], earlier: Iterable[str] = ()) -> Understood:
    """What ``text`` asks for. ``earlier`` are the user's messages before it, the latest first.

    A question that names no topic ("What about JUP?") has the topics of the one before it, and one that names no token
    ("And its volatility?") its tokens.
    """
    asked = _read(text, tokens)
    for before in earlier:
        if asked.topics and (asked.tokens or _is_about_all(asked)):
            break
        previous = _read(before, tokens)
        asked = asked._replace(
            tokens=asked.tokens or (() if _is_about_all(asked) else previous.tokens),
            topics=asked.topics or previous.topics,
            horizon=asked.horizon or previous.horizon,
        )
    return asked


def topics_named(text: str) -> tuple[Topic, ...]:
    lowered = text.lower()
    return tuple(topic for topic, pattern in _PATTERNS.items() if pattern.search(lowered))


def horizon_named(text: str) -> Horizon | None:
    lowered = text.lower()
    for pattern, unit in _UNITS:
        found = pattern.search(lowered)
        if found is not None and int(found[1]) > 0:
            return _horizon(int(found[1]) * unit)
    return next((_horizon(minutes) for pattern, minutes in _SPANS if pattern.search(lowered)), None)


def _read(text: str, tokens: Sequence[Token]) -> Understood:
    named = tokens_named(text, tokens)
    return Understood(
        tokens=named,
        topics=topics_named(text),
        horizon=horizon_named(text),
        amount_usd=_dollars(text),
        quantity=_quantity(text, named[0].symbol) if named else None,
    )


def _is_about_all(asked: Understood) -> bool:
    """About the market or the user's own affairs: no token needs to be named."""
    return any(topic in asked.topics for topic in (Topic.BREADTH, Topic.HOLDINGS, Topic.POSITIONS, Topic.SETTINGS))


def _horizon(minutes: int) -> Horizon:
    minutes = min(max(minutes, _SHORTEST), _LONGEST)
    hours, days = minutes // _HOUR, minutes // _DAY
    if minutes % _DAY == 0 and days > 1:
        return Horizon(f"{days} days", minutes)
    if minutes % _HOUR == 0:
        return Horizon(f"{hours} hour{'' if hours == 1 else 's'}", minutes)
    return Horizon(f"{minutes} minutes", minutes)


def _dollars(text: str) -> Decimal | None:
    found = _DOLLARS.search(text) or _WORDED_DOLLARS.search(text)
    if found is None:
        return None
    return Decimal(found[1].replace(",", "")) * _FACTORS[(found[2] or "").lower()] or None


def _quantity(text: str, symbol: str) -> Decimal | None:
    found = re.search(rf"\b(\d[\d,]{{0,14}}(?:\.\d{{1,9}})?)\s+{re.escape(symbol)}\b", text, re.IGNORECASE)
    return None if found is None else Decimal(found[1].replace(",", "")) or None
