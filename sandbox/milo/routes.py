"""Every endpoint, once: the router, the limits and the test against the reference's list are made from this table."""

from __future__ import annotations

from typing import Final

import msgspec

from sandbox.milo import signin
from sandbox.milo.arena import endpoints as arena_api
from sandbox.milo.autotrade import endpoints as autotrade_api
from sandbox.milo.calls import Handler
from sandbox.milo.conversations import endpoints as talk_api
from sandbox.milo.limits import Group
from sandbox.milo.quests import endpoints as quests_api
from sandbox.milo.trading import order_api, position_api, wallet_api

PREFIX: Final = "/api/v1"


class Route(msgspec.Struct, frozen=True):
    """``path`` is written as in the reference, after ``PREFIX``.

    ``{userId}`` must be the caller's own and ``{walletId}`` one of theirs, or the answer is 404. ``is_public`` needs no
    key. ``has_paid_overage``: the handler decides about a request beyond the limit, by ``call.allowance``.
    """

    method: str
    path: str
    group: Group
    handler: Handler
    is_public: bool = False
    has_paid_overage: bool = False


_SETTINGS: Final = "/users/{userId}/auto-trade-settings"
_STRATEGIES: Final = _SETTINGS + "/strategies"
_CONVERSATIONS: Final = "/users/{userId}/conversations"
_MESSAGES: Final = _CONVERSATIONS + "/{conversationId}/messages"

ROUTES: Final[tuple[Route, ...]] = (
    # Sign-in, wallets, trading.
    Route("GET", "/me", Group.ME, signin.me),
    Route("POST", "/users/siwx/message", Group.SIWX_MESSAGE, signin.request_message, is_public=True),
    Route("POST", "/users", Group.SIGNUP, signin.register, is_public=True),
    Route("POST", "/wallets/{walletId}/orders", Group.ORDERS_CREATE, order_api.create),
    Route("GET", "/users/{userId}/orders", Group.ORDERS_READ, order_api.list_orders),
    Route("GET", "/users/{userId}/orders/{orderId}", Group.ORDERS_READ, order_api.get),
    Route("POST", "/users/{userId}/orders/{orderId}/pause", Group.ORDERS_WRITE, order_api.pause),
    Route("POST", "/users/{userId}/orders/{orderId}/activate", Group.ORDERS_WRITE, order_api.activate),
    Route("DELETE", "/users/{userId}/orders/{orderId}", Group.ORDERS_WRITE, order_api.delete),
    Route("GET", "/users/{userId}/positions", Group.PORTFOLIO_READ, position_api.list_positions),
    Route("POST", "/users/{userId}/positions/{thesisId}/close", Group.POSITION_CLOSE, position_api.close),
    Route("POST", "/users/{userId}/positions/close-all", Group.CLOSE_ALL, position_api.close_all),
    Route("POST", "/wallets/{walletId}/actions/send", Group.WALLET_ACTIONS, wallet_api.send),
    Route("GET", "/wallets/{walletId}/holdings", Group.PORTFOLIO_READ, wallet_api.holdings),
    Route("GET", "/wallets/{walletId}/transactions", Group.PORTFOLIO_READ, wallet_api.transactions),
    Route("GET", "/wallets/{walletId}/executed-transactions", Group.PORTFOLIO_READ, wallet_api.executed_transactions),
    # Settings and strategies, arena, quests, conversations, diary.
    Route("GET", _SETTINGS, Group.STRATEGIES_READ, autotrade_api.get_settings),
    Route("PATCH", _SETTINGS, Group.AUTO_TRADE_WRITE, autotrade_api.update_settings),
    Route("POST", _STRATEGIES, Group.STRATEGIES_WRITE, autotrade_api.create_strategy),
    Route("GET", _STRATEGIES, Group.STRATEGIES_READ, autotrade_api.list_strategies),
    Route("GET", _STRATEGIES + "/{strategyId}", Group.STRATEGIES_READ, autotrade_api.get_strategy),
    Route("PATCH", _STRATEGIES + "/{strategyId}", Group.STRATEGIES_WRITE, autotrade_api.update_strategy),
    Route("DELETE", _STRATEGIES + "/{strategyId}", Group.STRATEGIES_WRITE, autotrade_api.delete_strategy),
    Route("POST", _STRATEGIES + "/{strategyId}/sync", Group.STRATEGIES_WRITE, autotrade_api.sync_strategy),
    Route("POST", "/users/{userId}/arena/deploy", Group.ARENA_WRITE, arena_api.deploy),
    Route("POST", "/users/{userId}/arena/withdraw", Group.ARENA_WRITE, arena_api.withdraw),
    Route("GET", "/users/{userId}/arena/leaderboard", Group.ARENA_READ, arena_api.leaderboard),
    Route("GET", "/users/{userId}/quests", Group.QUESTS_READ, quests_api.list_quests),
    Route("POST", "/users/{userId}/quests/{questId}/claim", Group.QUESTS_WRITE, quests_api.claim_quest),
    Route("GET", "/users/{userId}/quests/bones", Group.QUESTS_READ, quests_api.get_bones),
    Route("POST", _CONVERSATIONS, Group.CONVERSATIONS_WRITE, talk_api.create_conversation, has_paid_overage=True),
    Route("GET", _CONVERSATIONS, Group.CONVERSATIONS_READ, talk_api.list_conversations),
    Route("GET", _CONVERSATIONS + "/{conversationId}", Group.CONVERSATIONS_READ, talk_api.get_conversation),
    Route("POST", _MESSAGES, Group.CONVERSATIONS_WRITE, talk_api.send_message, has_paid_overage=True),
    Route("GET", _MESSAGES, Group.CONVERSATIONS_READ, talk_api.get_messages),
    Route("GET", "/users/{userId}/diary-logs", Group.PORTFOLIO_READ, autotrade_api.list_diary),
)
