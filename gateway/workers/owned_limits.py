"""Limits that the owner counts for all workers of this gateway, where there is no Redis to do it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from gateway.auth import Principal
from gateway.limits import Limiter, LimitExceeded, Usage
from gateway.workers.channel import Caller, Handler, Method, NotAnswered, NotAsked
from normalization.errors import ServiceUnavailable
from storage.ports import KeyEnvironment, Scopes, Tier

ANSWER_WITHIN_S: Final = 0.9


class Charge(msgspec.Struct, frozen=True, array_like=True):
    account_id: str
    tier: Tier


class Charged(msgspec.Struct, frozen=True, array_like=True):
    """``retry_after_s`` is set where the request is over a limit; then nothing was counted."""

    usage: Usage
    retry_after_s: int | None = None


CHARGE: Final = Method[Charge, Charged]("charge", Charge, Charged)


class LimitsOwner:
    """``limiter`` for workers."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter

    def handlers(self) -> dict[Method[Any, Any], Handler]:
        return {CHARGE: self._charge}

    async def _charge(self, charge: Charge) -> Charged:
        try:
            return Charged(await self._limiter.charge(_principal(charge)))
        except LimitExceeded as error:
            return Charged(error.usage, error.retry_after_s)


def _principal(charge: Charge) -> Principal:
    """Whoever it is: limits belong to the account."""
    return Principal(
        key_id="",
        account_id=charge.account_id,
        account_name="",
        tier=charge.tier,
        environment=KeyEnvironment.TEST,
        scopes=Scopes(),
    )


class OwnedLimiter:
    """``gateway.limits.Limiter`` of a worker. Nothing is admitted that the owner did not count."""

    def __init__(self, owner: Caller) -> None:
        self._owner = owner

    async def charge(self, principal: Principal) -> Usage:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                charged = await self._owner.ask(CHARGE, Charge(principal.account_id, principal.tier))
        except (NotAsked, NotAnswered, TimeoutError):
            raise ServiceUnavailable(
                "The gateway cannot count requests just now. Nothing was sent.", retry_after_s=1
            ) from None
        if charged.retry_after_s is not None:
            raise LimitExceeded(charged.retry_after_s, charged.usage)
        return charged.usage

    async def flush(self) -> None:
        """The owner does."""

    async def close(self) -> None:
        """The owner does."""
