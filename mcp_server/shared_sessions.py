"""Sessions that every worker knows of. A stream over one stays where it was opened, and so does a question.

Among the workers of one gateway, the answer to a question finds it wherever the client sends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, Protocol

import msgspec
import structlog

from gateway.clock import Clock
from mcp_server.confirmations import ANSWER_WITHIN_S
from mcp_server.questions import Question, Said
from mcp_server.session_keys import opened, sealed
from mcp_server.sessions import IDLE_S, MAX_SESSIONS, Session, Sessions, is_well_formed
from storage.ports import Deleted, KnownSession, SessionStore, StorageUnavailable

TRUST_FOR_S: Final = 2.0

_WITHDRAWN: Final = b""
_said: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

_log = structlog.get_logger(__name__)


class Words(Protocol):
    """Carries what was said at one worker to another that waits for it; what nobody waits for is lost."""

    async def say(self, about: str, text: bytes) -> None: ...

    async def hear(self, about: Sequence[str], *, patience_s: float) -> bytes:
        """:raises TimeoutError: nobody said anything."""
        ...


class SharedSessions(Sessions):
    """What another worker opened is found when it is first named here; what another deleted, within two seconds.

    Whether a session that is nobody's has become an account's is asked each time: whoever signed up over it goes on at
    once, on any worker. While ``is_away()``, or when the store does not answer, a worker knows its own sessions only.
    """

    def __init__(
        self,
        store: SessionStore,
        clock: Clock,
        *,
        words: Words | None = None,
        is_away: Callable[[], bool] = lambda: False,
        at_most: int = MAX_SESSIONS,
        idle_s: float = IDLE_S,
    ) -> None:
        super().__init__(clock, at_most=at_most, idle_s=idle_s)
        self._store = store
        self._words = words
        self._is_away = is_away
        self._keep_s = int(idle_s)
        self._looked_at: dict[str, float] = {}

    async def look_up(self, id: str) -> None:
        now = self._clock.monotonic()
        if not is_well_formed(id) or self._is_sure_of(id, now) or self._is_away():
            return
        try:
            known = await self._store.get(id, keep_s=self._keep_s)
            mine = self._open.get(id)
            if known is None and mine is not None:
                await self.share(mine)
        except StorageUnavailable as problem:
            _log.warning("sessions of other workers are not known now", problem=problem.problem)
            return
        self._note(id, now)
        if isinstance(known, Deleted):
            self.delete(mine or Session(id, None, False, now))
        elif known is not None:
            await self._learn(id, known, mine, now)

    async def share(self, session: Session) -> None:
        if self._is_away():
            return
        try:
            known = KnownSession(
                account_id=session.account_id,
                can_be_asked=session.can_be_asked,
                sealed_key=None if session.key is None else sealed(session.key, session.id),
            )
            await self._store.put(session.id, known, keep_s=self._keep_s)
        except StorageUnavailable as problem:
            _log.warning("a session is known to its own worker only", problem=problem.problem)

    async def share_deletion(self, session: Session) -> None:
        try:
            await self._store.delete(session.id, keep_s=self._keep_s)
        except StorageUnavailable as problem:
            _log.warning("a session was deleted on its own worker only", problem=problem.problem)

    @contextmanager
    def heard(self, session: Session, question: Question) -> Iterator[None]:
        if self._words is None:
            yield
            return
        listening = asyncio.create_task(self._listen(self._words, session, question))
        try:
            yield
        finally:
            listening.cancel()

    async def answered(self, session: Session, id: bytes, answer: Said) -> None:
        if not session.questions.answered(id, answer) and self._words is not None:
            await self._words.say(_answer_to(session, id), msgspec.json.encode(answer))

    async def withdrawn(self, session: Session, about: bytes) -> None:
        if not session.questions.withdrawn(about) and self._words is not None:
            await self._words.say(_end_of(session, about), _WITHDRAWN)

    async def _listen(self, words: Words, session: Session, question: Question) -> None:
        about = (_answer_to(session, msgspec.json.encode(question.id)), _end_of(session, question.about))
        with suppress(TimeoutError):
            word = await words.hear(about, patience_s=ANSWER_WITHIN_S)
            question.settle(None if word == _WITHDRAWN else _said.decode(word))

    def _is_sure_of(self, id: str, now: float) -> bool:
        mine = self._open.get(id)
        if mine is not None and mine.account_id is None:
            return False
        return now < self._looked_at.get(id, now - TRUST_FOR_S) + TRUST_FOR_S

    async def _learn(self, id: str, known: KnownSession, mine: Session | None, now: float) -> None:
        if mine is None and len(self._open) < self._at_most:
            mine = self._open[id] = Session(id, None, known.can_be_asked, now)
        if mine is not None and mine.account_id is None and known.account_id is not None:
            await mine.becomes(known.account_id, None if known.sealed_key is None else opened(known.sealed_key, id))

    def _note(self, id: str, now: float) -> None:
        if len(self._looked_at) >= self._at_most:
            self._looked_at = {one: at for one, at in self._looked_at.items() if now < at + TRUST_FOR_S}
        self._looked_at[id] = now


def _answer_to(session: Session, question_id: bytes) -> str:
    return f"{session.id} question {question_id.decode()}"


def _end_of(session: Session, call_id: bytes) -> str:
    return f"{session.id} call {call_id.decode()}"
