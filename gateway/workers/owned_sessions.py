"""Sessions of front ends that the owner keeps for all workers of this gateway, where there is no Redis to do it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any, Final, TypeVar

import msgspec

from gateway.clock import Clock
from gateway.workers.channel import Caller, Handler, Method, NotAnswered, NotAsked
from gateway.workers.failures import CallFailed
from storage.ports import DELETED, Deleted, KnownSession, SessionStore, StorageUnavailable

MOST_SESSIONS: Final = 20_000
ANSWER_WITHIN_S: Final = 0.9

A = TypeVar("A")
R = TypeVar("R")


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """``session`` is None where it was deleted."""

    id: str
    keep_s: int
    session: KnownSession | None = None


class Asked(msgspec.Struct, frozen=True, array_like=True):
    id: str
    keep_s: int


class Found(msgspec.Struct, frozen=True, array_like=True):
    session: KnownSession | None
    is_deleted: bool = False


KEEP: Final = Method[Kept, None]("keep_session", Kept, None)
FIND: Final = Method[Asked, Found]("find_session", Asked, Found)


class SessionsOwner:
    """As many as ``at_most``; those that were longest unused make room."""

    def __init__(self, clock: Clock, *, at_most: int = MOST_SESSIONS) -> None:
        self._monotonic = clock.monotonic
        self._at_most = at_most
        self._kept: OrderedDict[str, tuple[float, Found]] = OrderedDict()

    def handlers(self) -> dict[Method[Any, Any], Handler]:
        return {KEEP: self._keep, FIND: self._find}

    async def _keep(self, kept: Kept) -> None:
        self._put(kept.id, Found(kept.session, is_deleted=kept.session is None), kept.keep_s)

    async def _find(self, asked: Asked) -> Found:
        until, found = self._kept.get(asked.id, (0.0, Found(None)))
        if self._monotonic() >= until:
            return Found(None)
        self._put(asked.id, found, asked.keep_s)
        return found

    def _put(self, id: str, found: Found, keep_s: int) -> None:
        self._kept[id] = (self._monotonic() + keep_s, found)
        self._kept.move_to_end(id)
        if len(self._kept) > self._at_most:
            self._kept.popitem(last=False)


class OwnedSessions(SessionStore):
    """``storage.ports.SessionStore`` of a worker."""

    def __init__(self, owner: Caller) -> None:
        self._owner = owner

    async def put(self, session_id: str, session: KnownSession, *, keep_s: int) -> None:
        await self._ask(KEEP, Kept(session_id, keep_s, session))

    async def get(self, session_id: str, *, keep_s: int) -> KnownSession | Deleted | None:
        found = await self._ask(FIND, Asked(session_id, keep_s))
        return DELETED if found.is_deleted else found.session

    async def delete(self, session_id: str, *, keep_s: int) -> None:
        await self._ask(KEEP, Kept(session_id, keep_s))

    async def _ask(self, method: Method[A, R], arguments: A) -> R:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await self._owner.ask(method, arguments)
        except (NotAsked, NotAnswered, CallFailed, TimeoutError) as problem:
            raise StorageUnavailable(
                f"the owner process does not answer ({type(problem).__name__})", "it is started again by itself"
            ) from None
