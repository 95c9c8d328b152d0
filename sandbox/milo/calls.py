"""What a handler gets and what it gives back. It runs in the venue's thread, within one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from sandbox.milo import wire
from sandbox.milo.core import Core
from sandbox.milo.errors import unauthorized
from sandbox.milo.limits import Allowance
from sandbox.milo.users import Caller
from sandbox.milo.wallets import Wallet

T = TypeVar("T")


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request, after its key, its limit and the ids in its path were checked.

    ``url`` is what was asked for; ``path`` has what stands for the braces; ``wallet`` is that of ``{walletId}``, the
    caller's own. ``headers`` have lower-case names. ``allowance`` is what the limit of the route's group said: refused
    already, except where the group lets others pay for more.
    """

    core: Core
    allowance: Allowance
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    remote: str
    url: str
    known_caller: Caller | None
    known_wallet: Wallet | None

    @property
    def caller(self) -> Caller:
        """Whose API key it came with: ``user``, ``user_id`` and ``key_id``. Not on public routes."""
        if self.known_caller is None:
            raise unauthorized("`X-API-Key` is missing")
        return self.known_caller

    @property
    def user_id(self) -> str:
        return self.caller.user_id

    @property
    def wallet(self) -> Wallet:
        """That of ``{walletId}``. Only on routes that have one."""
        if self.known_wallet is None:
            raise LookupError("this route has no {walletId}")
        return self.known_wallet

    def asked(self, type_: type[T]) -> T:
        """The body.

        :raises ApiError: 400; what was expected, and where.
        """
        return wire.decoded(self.body, type_)


class Reply(msgspec.Struct, frozen=True):
    """``body`` is encoded as ``wire`` says; ``Data`` makes the usual envelope."""

    body: object
    status: int = 200
    headers: Mapping[str, str] = {}


Handler = Callable[[Call], Reply]
