"""The seam between conversations and whoever answers them."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec

from sandbox.milo.analysis.series import MarketReader
from sandbox.milo.autotrade.diary import Entry
from sandbox.milo.autotrade.settings import Settings, SettingsChange
from sandbox.milo.tokens import Token


class AgentType(StrEnum):
    MARKET_ANALYST = "market-analyst"
    AUTO_TRADER = "auto-trader"


class Role(StrEnum):
    USER = "user"
    ASSISTANT = "assistant"


class Said(NamedTuple):
    role: Role
    text: str


class Holding(NamedTuple):
    """What is in the Milo wallet. ``amount`` is in whole tokens."""

    token: Token
    amount: Decimal
    value_usd: Decimal


class PositionSeen(NamedTuple):
    """An open position. ``invested_usd`` is what the part that is still held cost."""

    token: Token
    amount: Decimal
    invested_usd: Decimal
    value_usd: Decimal
    realized_usd: Decimal


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent may know: the market, and the affairs of the user who asks. ``diary`` has the newest first."""

    market: MarketReader
    holdings: tuple[Holding, ...]
    positions: tuple[PositionSeen, ...]
    settings: Settings
    strategy_name: str | None
    diary: tuple[Entry, ...]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """``earlier`` is the conversation before it, oldest first, as far as it is remembered."""

    text: str
    agent_type: AgentType
    earlier: tuple[Said, ...]
    facts: Facts


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """``change`` to the user's settings is made together with the answer; ``text`` is what is said when it succeeds."""

    text: str
    change: SettingsChange | None = None


class Agent(Protocol):
    async def answer(self, question: Question) -> Answer:
        """Bounded in time and size; a failure is an answer, too. It must not block the event loop."""
        ...
