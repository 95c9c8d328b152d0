"""Requests on behalf of one Paradex account: its token, its budgets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import msgspec

from adapters.ccxt_venues.limits import Budget
from adapters.ccxt_venues.link import Link
from adapters.ccxt_venues.paradex.signing import Signer
from adapters.ccxt_venues.paradex.tokens import Tokens
from adapters.ccxt_venues.paradex.wire import Token
from adapters.ccxt_venues.refusals import Action
from adapters.transport import Request
from normalization.venue_failures import Reason, VenueDeferred

T = TypeVar("T")

_SIGNED_FOR_S: Final = 180

_encode: Final = msgspec.json.Encoder().encode
_token: Final = msgspec.json.Decoder(Token)


class AccountBudgets(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue grants one account: orders and cancels from one, reads from another."""

    orders: tuple[Budget, ...] = ()
    reads: tuple[Budget, ...] = ()


class Client:
    """``signing`` is held for each signature, by all sessions of the venue."""

    def __init__(
        self,
        *,
        link: Link,
        signer: Signer,
        account: str,
        budgets: AccountBudgets,
        signing: asyncio.Lock,
        now_ms: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        self._link = link
        self._signer = signer
        self._account = account
        self._budgets = budgets
        self._signing = signing
        self._now_ms = now_ms
        self.tokens = Tokens(self._authenticate, monotonic)

    async def public(self, path: str, parse: Callable[[bytes], T], query: Mapping[str, str | int]) -> T:
        request = Request(method="GET", url=f"{path}?{urlencode(query)}")
        return await self._link.ask(Action.READ, request, parse)

    async def get(self, path: str, parse: Callable[[bytes], T], query: Mapping[str, str | int] | None = None) -> T:
        url = f"{path}?{urlencode(query)}" if query else path
        return await self._repeatable(Action.READ, "GET", url, None, parse, self._budgets.reads)

    def has_reads_to_spare(self) -> bool:
        """Whether a read that nobody asked for would be in nobody's way."""
        return self._link.has_to_spare() and all(budget.has_to_spare() for budget in self._budgets.reads)

    async def delete(self, path: str, query: Mapping[str, str] | None = None) -> None:
        """A cancel: it may be repeated."""
        url = f"{path}?{urlencode(query)}" if query else path
        await self._repeatable(Action.CANCEL, "DELETE", url, None, _nothing, self._budgets.orders)

    async def set(self, path: str, content: Any) -> None:
        await self._repeatable(Action.SET, "POST", path, _encode(content), _nothing, self._budgets.orders)

    async def place(self, path: str, content: Any, token: str, parse: Callable[[bytes], T]) -> T:
        """Send orders, once. A token that the venue no longer takes is dropped: the next try has another."""
        try:
            return await self._send(Action.PLACE, "POST", path, _encode(content), token, parse, self._budgets.orders)
        except VenueDeferred as refusal:
            if refusal.reason is Reason.AUTHENTICATION_FAILED:
                self.tokens.drop(token)
            raise

    async def _repeatable(
        self,
        action: Action,
        method: str,
        url: str,
        body: bytes | None,
        parse: Callable[[bytes], T],
        budgets: Sequence[Budget],
    ) -> T:
        token = await self.tokens.get()
        try:
            return await self._send(action, method, url, body, token, parse, budgets)
        except VenueDeferred as refusal:
            if refusal.reason is not Reason.AUTHENTICATION_FAILED:
                raise
            self.tokens.drop(token)
        return await self._send(action, method, url, body, await self.tokens.get(), parse, budgets)

    async def _send(
        self,
        action: Action,
        method: str,
        url: str,
        body: bytes | None,
        token: str,
        parse: Callable[[bytes], T],
        budgets: Sequence[Budget],
    ) -> T:
        headers = {"Authorization": f"Bearer {token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = Request(method=method, url=url, headers=headers, body=body)
        return await self._link.ask(action, request, parse, budgets=budgets)

    async def _authenticate(self) -> str:
        """The headers are made for this one request: nothing of it is shared with another account's."""
        async with self._signing:
            now_s = self._now_ms() // 1000
            signature = self._signer.sign_authentication(now_s, now_s + _SIGNED_FOR_S)
            # Between two signatures everybody else has a turn.
            await asyncio.sleep(0)
        request = Request(
            method="POST",
            url=f"/v1/auth/{self._signer.public_key:#x}",
            headers={
                "PARADEX-STARKNET-ACCOUNT": self._account,
                "PARADEX-STARKNET-SIGNATURE": signature,
                "PARADEX-TIMESTAMP": str(now_s),
                "PARADEX-SIGNATURE-EXPIRATION": str(now_s + _SIGNED_FOR_S),
            },
        )
        return await self._link.ask(Action.AUTHENTICATE, request, lambda body: _sane(_token.decode(body).jwt_token))


def _nothing(body: bytes) -> None:
    """That it was taken is in the status; what else the body says is not documented."""


def _sane(token: str) -> str:
    """:raises ValueError: it could not stand in a header."""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("not a token")
    return token
