"""What happened, for whoever counts it: quests, the diary, the arena's leaderboard.

Handlers run at once, in the same transaction as what they hear of: an event that is undone was never counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from sandbox.milo.tokens import Token


class Event(msgspec.Struct, frozen=True, kw_only=True):
    user_id: str
    at_ms: int


class UserRegistered(Event, frozen=True, kw_only=True):
    pass


class OrderCreated(Event, frozen=True, kw_only=True):
    order_id: str
    wallet_id: str
    token: Token
    is_buy: bool


class OrderFilled(Event, frozen=True, kw_only=True):
    """``value_usd`` without fees; ``realized_pnl_usd`` after fees, None for a buy."""

    order_id: str
    wallet_id: str
    thesis_id: str | None
    token: Token
    is_buy: bool
    price_usd: Decimal
    value_usd: Decimal
    realized_pnl_usd: Decimal | None


class OrderFailed(Event, frozen=True, kw_only=True):
    """It was triggered and could not be carried out: its status is ``error`` now."""

    order_id: str
    wallet_id: str
    token: Token
    error: str


class PositionClosed(Event, frozen=True, kw_only=True):
    wallet_id: str
    thesis_id: str
    token: Token
    realized_pnl_usd: Decimal


class TokensSent(Event, frozen=True, kw_only=True):
    wallet_id: str
    token: Token
    amount: Decimal
    signature: str


class MessageSent(Event, frozen=True, kw_only=True):
    conversation_id: str


class StrategyCreated(Event, frozen=True, kw_only=True):
    strategy_id: str


class AutoTradingActivated(Event, frozen=True, kw_only=True):
    pass


class ArenaDeployed(Event, frozen=True, kw_only=True):
    strategy_id: str


E_ = TypeVar("E_", bound=Event)


class Events:
    def __init__(self) -> None:
        self._handlers: dict[type[Event], list[Callable[[Any], None]]] = defaultdict(list)

    def subscribe(self, kind: type[E_], handler: Callable[[E_], None]) -> None:
        self._handlers[kind].append(handler)

    def publish(self, event: Event) -> None:
        for handler in self._handlers[type(event)]:
            handler(event)
