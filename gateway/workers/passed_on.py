"""What a client says to one worker and another one waits for: passed on by the owner, while somebody waits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import structlog

from gateway.workers.channel import Caller, Handler, Method, NotAnswered, NotAsked
from gateway.workers.failures import CallFailed

AGAIN_AFTER_S: Final = 0.5

_log = structlog.get_logger(__name__)


class Word(msgspec.Struct, frozen=True, array_like=True):
    about: str
    text: bytes


class Awaited(msgspec.Struct, frozen=True, array_like=True):
    """The first word about any of these."""

    about: tuple[str, ...]
    patience_s: float


SAY: Final = Method[Word, None]("say", Word, type(None))
HEAR: Final = Method[Awaited, bytes]("hear", Awaited, bytes)


class WordsOwner:
    def __init__(self) -> None:
        self._awaited: dict[str, asyncio.Future[bytes]] = {}

    def handlers(self) -> dict[Method[Any, Any], Handler]:
        return {SAY: self._say, HEAR: self._hear}

    async def _say(self, word: Word) -> None:
        """Nobody may wait for it."""
        awaited = self._awaited.get(word.about)
        if awaited is not None and not awaited.done():
            awaited.set_result(word.text)

    async def _hear(self, awaited: Awaited) -> bytes:
        heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._awaited |= dict.fromkeys(awaited.about, heard)
        try:
            async with asyncio.timeout(awaited.patience_s):
                return await heard
        finally:
            for about in awaited.about:
                if self._awaited.get(about) is heard:
                    del self._awaited[about]


class PassedOn:
    """``mcp_server.shared_sessions.Words`` of a worker."""

    def __init__(self, owner: Caller) -> None:
        self._owner = owner

    async def say(self, about: str, text: bytes) -> None:
        try:
            await self._owner.ask(SAY, Word(about, text))
        except (NotAsked, NotAnswered, CallFailed) as problem:
            _log.warning("a word for another worker was lost", problem=type(problem).__name__)

    async def hear(self, about: Sequence[str], *, patience_s: float) -> bytes:
        """:raises TimeoutError: nobody said anything."""
        async with asyncio.timeout(patience_s):
            while True:
                try:
                    return await self._owner.ask(HEAR, Awaited(tuple(about), patience_s))
                except (NotAsked, NotAnswered):
                    # It is started again.
                    await asyncio.sleep(AGAIN_AFTER_S)
