"""Every endpoint, once: the router, the limits and the test against the reference's list are made from this table."""

from __future__ import annotations

from typing import Final

import msgspec

from sandbox.milo import signin
from sandbox.milo.calls import Handler
from sandbox.milo.limits import Group

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
    # Settings and strategies, arena, quests, conversations, diary.
)
