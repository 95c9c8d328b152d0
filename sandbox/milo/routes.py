"""Every endpoint, once: the router, the limits and the test against the reference's list are made from this table."""

from __future__ import annotations

from typing import Final

import msgspec

from sandbox.milo import signin
from sandbox.milo.calls import Handler
from sandbox.milo.limits import Group
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
)
