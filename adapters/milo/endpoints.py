"""Every endpoint of the partner API, once: its path, what it answers, and the limit that it counts against."""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar

import msgspec

from adapters.ccxt_venues.refusals import Action
from adapters.milo.accounts import Profile, Registered, ToSign
from adapters.milo.agents import (
    Bones,
    Conversation,
    Deployed,
    DiaryEntry,
    Messages,
    Quest,
    Rank,
    Settings,
    Strategy,
    Withdrawn,
)
from adapters.milo.limits import Group
from adapters.milo.trading import Closed, ClosedAll, Holding, OrderLine, Position, Trade, Transaction, WholeOrder
from adapters.milo.wire import Cursored, Data, Paged

T = TypeVar("T")

PREFIX: Final = "/api/v1"


class Endpoint(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """``path`` is written as in the reference, after ``PREFIX``; ``is_public`` needs no key."""

    method: str
    path: str
    group: Group
    reply: type[T]
    action: Action
    is_public: bool = False


def _get(path: str, group: Group, reply: type[T]) -> Endpoint[T]:
    return Endpoint(method="GET", path=path, group=group, reply=reply, action=Action.READ)


def _write(
    method: str, path: str, group: Group, reply: type[T], action: Action = Action.SET, *, is_public: bool = False
) -> Endpoint[T]:
    return Endpoint(method=method, path=path, group=group, reply=reply, action=action, is_public=is_public)


_SETTINGS: Final = "/users/{userId}/auto-trade-settings"
_STRATEGIES: Final = _SETTINGS + "/strategies"
_ORDERS: Final = "/users/{userId}/orders"
_CONVERSATIONS: Final = "/users/{userId}/conversations"
_POSITIONS: Final = "/users/{userId}/positions"

GET_ME: Final = _get("/me", Group.ME, Profile)
REQUEST_MESSAGE: Final = _write("POST", "/users/siwx/message", Group.SIWX_MESSAGE, Data[ToSign], is_public=True)
REGISTER: Final = _write("POST", "/users", Group.SIGNUP, Data[Registered], is_public=True)

GET_SETTINGS: Final = _get(_SETTINGS, Group.STRATEGIES_READ, Data[Settings])
UPDATE_SETTINGS: Final = _write("PATCH", _SETTINGS, Group.AUTO_TRADE_WRITE, Data[Settings])
CREATE_STRATEGY: Final = _write("POST", _STRATEGIES, Group.STRATEGIES_WRITE, Data[Strategy])
LIST_STRATEGIES: Final = _get(_STRATEGIES, Group.STRATEGIES_READ, Paged[list[Strategy]])
GET_STRATEGY: Final = _get(_STRATEGIES + "/{strategyId}", Group.STRATEGIES_READ, Data[Strategy])
UPDATE_STRATEGY: Final = _write("PATCH", _STRATEGIES + "/{strategyId}", Group.STRATEGIES_WRITE, Data[Strategy])
DELETE_STRATEGY: Final = _write("DELETE", _STRATEGIES + "/{strategyId}", Group.STRATEGIES_WRITE, Data[Any])
SYNC_STRATEGY: Final = _write("POST", _STRATEGIES + "/{strategyId}/sync", Group.STRATEGIES_WRITE, Data[Settings])

DEPLOY: Final = _write("POST", "/users/{userId}/arena/deploy", Group.ARENA_WRITE, Data[Deployed])
WITHDRAW: Final = _write("POST", "/users/{userId}/arena/withdraw", Group.ARENA_WRITE, Data[Withdrawn])
LEADERBOARD: Final = _get("/users/{userId}/arena/leaderboard", Group.ARENA_READ, Paged[list[Rank]])

LIST_QUESTS: Final = _get("/users/{userId}/quests", Group.QUESTS_READ, Paged[list[Quest]])
CLAIM_QUEST: Final = _write("POST", "/users/{userId}/quests/{questId}/claim", Group.QUESTS_WRITE, Data[Any])
GET_BONES: Final = _get("/users/{userId}/quests/bones", Group.QUESTS_READ, Data[Bones])

CREATE_ORDER: Final = _write(
    "POST", "/wallets/{walletId}/orders", Group.ORDERS_CREATE, Data[Data[WholeOrder]], Action.PLACE
)
LIST_ORDERS: Final = _get(_ORDERS, Group.ORDERS_READ, Paged[list[OrderLine]])
GET_ORDER: Final = _get(_ORDERS + "/{orderId}", Group.ORDERS_READ, Data[WholeOrder])
PAUSE_ORDER: Final = _write("POST", _ORDERS + "/{orderId}/pause", Group.ORDERS_WRITE, Data[Any], Action.CANCEL)
ACTIVATE_ORDER: Final = _write("POST", _ORDERS + "/{orderId}/activate", Group.ORDERS_WRITE, Data[Any], Action.PLACE)
DELETE_ORDER: Final = _write("DELETE", _ORDERS + "/{orderId}", Group.ORDERS_WRITE, Data[Any], Action.CANCEL)

SEND_TOKENS: Final = _write("POST", "/wallets/{walletId}/actions/send", Group.WALLET_ACTIONS, Data[Data[str]])

CREATE_CONVERSATION: Final = _write("POST", _CONVERSATIONS, Group.CONVERSATIONS_WRITE, Data[Conversation])
LIST_CONVERSATIONS: Final = _get(_CONVERSATIONS, Group.CONVERSATIONS_READ, Paged[list[Conversation]])
GET_CONVERSATION: Final = _get(_CONVERSATIONS + "/{conversationId}", Group.CONVERSATIONS_READ, Data[Conversation])
SEND_MESSAGE: Final = _write(
    "POST", _CONVERSATIONS + "/{conversationId}/messages", Group.CONVERSATIONS_WRITE, Data[Conversation]
)
GET_MESSAGES: Final = _get(_CONVERSATIONS + "/{conversationId}/messages", Group.CONVERSATIONS_READ, Paged[Messages])

LIST_POSITIONS: Final = _get(_POSITIONS, Group.PORTFOLIO_READ, Paged[list[Position]])
CLOSE_POSITION: Final = _write(
    "POST", _POSITIONS + "/{thesisId}/close", Group.POSITION_CLOSE, Data[Closed], Action.CANCEL
)
CLOSE_ALL_POSITIONS: Final = _write("POST", _POSITIONS + "/close-all", Group.CLOSE_ALL, Data[ClosedAll], Action.CANCEL)

GET_HOLDINGS: Final = _get("/wallets/{walletId}/holdings", Group.PORTFOLIO_READ, Data[list[Holding]])
GET_TRANSACTIONS: Final = _get("/wallets/{walletId}/transactions", Group.PORTFOLIO_READ, Cursored[Transaction])
GET_TRADES: Final = _get("/wallets/{walletId}/executed-transactions", Group.PORTFOLIO_READ, Cursored[Trade])

LIST_DIARY: Final = _get("/users/{userId}/diary-logs", Group.PORTFOLIO_READ, Paged[list[DiaryEntry]])

ENDPOINTS: Final = tuple(value for value in vars().copy().values() if isinstance(value, Endpoint))
"""All of them, in this order."""
