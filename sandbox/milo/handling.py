"""From a request to the reply of its handler: key, limit, ids in the path, handler. Refusals win in this order."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sandbox.milo import users
from sandbox.milo.calls import Call, Reply
from sandbox.milo.core import Core
from sandbox.milo.errors import not_found, unauthorized
from sandbox.milo.limits import Allowance
from sandbox.milo.routes import Route
from sandbox.milo.users import Caller
from sandbox.milo.wallets import Wallet


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What came in on a route. ``headers`` have lower-case names; ``remote`` is the caller's address, ``url`` what it
    asked for."""

    route: Route
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    remote: str
    url: str = ""


def allowance(core: Core, request: Request) -> tuple[Caller | None, Allowance]:
    """Who asks, and what their limit says: one request is counted.

    :raises ApiError: 401; no key, or none that is known.
    """
    caller = None if request.route.is_public else _caller(core, request)
    whose = request.remote if caller is None else caller.key_id
    return caller, core.limiter.take(request.route.group, whose, core.now_ms)


def reply(core: Core, request: Request, caller: Caller | None, allowed: Allowance) -> Reply:
    """:raises ApiError: the refusal, and then nothing of it may have happened."""
    route = request.route
    if not allowed.is_allowed and not route.has_paid_overage:
        raise allowed.refusal(core.now_ms)
    call = Call(
        core=core,
        allowance=allowed,
        path=request.path,
        query=request.query,
        headers=request.headers,
        body=request.body,
        remote=request.remote,
        url=request.url,
        known_caller=caller,
        known_wallet=_own_wallet(core, caller, request.path),
    )
    return route.handler(call)


def _caller(core: Core, request: Request) -> Caller:
    key = request.headers.get("x-api-key", "")
    if not key:
        raise unauthorized("`X-API-Key` is missing")
    caller = users.caller_of(core.db, key)
    if caller is None:
        raise unauthorized("`X-API-Key` is not a valid API key")
    return caller


def _own_wallet(core: Core, caller: Caller | None, path: Mapping[str, str]) -> Wallet | None:
    """:raises ApiError: 404; the user or the wallet in the path is not the caller's."""
    if caller is None:
        return None
    if path.get("userId", caller.user_id) != caller.user_id:
        raise not_found("User")
    if "walletId" not in path:
        return None
    wallet = core.wallets.find(path["walletId"])
    if wallet is None or wallet.user_id != caller.user_id:
        raise not_found("Wallet")
    return wallet
