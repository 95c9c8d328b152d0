"""A credential's bearer token: fetched once, renewed before it ends, never another credential's."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

LIFETIME_S: Final = 300.0
_RENEW_AT: Final = 0.6
_DEAD_AT: Final = 0.9


class _Claims(msgspec.Struct, frozen=True):
    exp: float
    iat: float


class Tokens:
    """``authenticate`` asks the venue for a token. One question at a time; who needs no token yet does not wait."""

    def __init__(self, authenticate: Callable[[], Awaitable[str]], monotonic: Callable[[], float]) -> None:
        self._authenticate = authenticate
        self._monotonic = monotonic
        self._token: str | None = None
        self._renew_at = 0.0
        self._dead_at = 0.0
        self._asking: asyncio.Task[str] | None = None

    async def get(self) -> str:
        """:raises VenueFailure: the venue gave none."""
        now = self._monotonic()
        if self._token is not None and now < self._dead_at:
            if now >= self._renew_at:
                self._ask()
            return self._token
        return await asyncio.shield(self._ask())

    def drop(self, token: str) -> None:
        """The venue no longer takes it."""
        if token == self._token:
            self._token = None

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    def _ask(self) -> asyncio.Task[str]:
        if self._asking is None:
            self._asking = asyncio.create_task(self._renew())
            self._asking.add_done_callback(_retrieve)
        return self._asking

    async def _renew(self) -> str:
        asked_at = self._monotonic()
        try:
            token = await self._authenticate()
        finally:
            self._asking = None
        lifetime_s = lifetime_of(token)
        self._token = token
        self._renew_at = asked_at + lifetime_s * _RENEW_AT
        self._dead_at = asked_at + lifetime_s * _DEAD_AT
        return token


def lifetime_of(token: str) -> float:
    """Seconds from issue to end, by the token's own claims: what our clock says does not matter."""
    try:
        _, payload, _ = token.split(".")
        claims = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=_Claims)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        return LIFETIME_S
    lifetime_s = claims.exp - claims.iat
    return lifetime_s if 10 <= lifetime_s <= 86_400 else LIFETIME_S


def _retrieve(task: asyncio.Task[str]) -> None:
    """A renewal in the background may fail: the present token serves until it ends, and then somebody asks again."""
    if not task.cancelled():
        task.exception()
