"""Sessions of the handshake era: bounded, kept in this process, and never needed by a request that bears a key."""

from __future__ import annotations

import math
import secrets
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Final

from gateway.clock import Clock
from mcp_server.protocol import notification
from mcp_server.questions import Question, Questions, Said
from mcp_server.streams import Stream
from normalization.errors import RateLimited

MAX_SESSIONS: Final = 10_000
IDLE_S: Final = 30 * 60.0
_RANDOM_BYTES: Final = 24
_CHECK_DIGITS: Final = 8


class Session:
    """``account_id`` is whose it is, None while it is nobody's. One with a call or a stream open is not idle.

    ``can_be_asked``: its client said that it shows forms to a person. ``key`` is the API key that was made over it,
    None where its client brings its own.
    """

    __slots__ = ("account_id", "calls", "can_be_asked", "id", "key", "questions", "stream", "used_at")

    def __init__(self, id: str, account_id: str | None, can_be_asked: bool, now: float) -> None:
        self.id = id
        self.account_id = account_id
        self.can_be_asked = can_be_asked
        self.key: str | None = None
        self.questions = Questions()
        self.used_at = now
        self.calls = 0
        self.stream: Stream | None = None

    @property
    def is_busy(self) -> bool:
        return self.calls > 0 or self.stream is not None

    async def becomes(self, account_id: str, key: str | None) -> None:
        """From now on it is that account's, which has signed up over it or opened it; what it may use has changed."""
        self.account_id = account_id
        self.key = key
        if self.stream is not None:
            with suppress(ConnectionError):
                await self.stream.send(notification("notifications/tools/list_changed", {}))

    def end(self) -> None:
        """Nobody waits over it any more."""
        self.questions.end()
        if self.stream is not None:
            self.stream.end()


class SessionsFull(RateLimited):
    """There is no room for another session."""


class Sessions:
    def __init__(self, clock: Clock, *, at_most: int = MAX_SESSIONS, idle_s: float = IDLE_S) -> None:
        self._clock = clock
        self._at_most = at_most
        self._idle_s = idle_s
        # The longest unused first.
        self._open: OrderedDict[str, Session] = OrderedDict()
        self._deleted: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def open(self, account_id: str | None, *, can_be_asked: bool = False) -> Session:
        """:raises SessionsFull: with the time until one may have left."""
        now = self._clock.monotonic()
        self._let_idle_leave(now)
        if len(self._open) >= self._at_most:
            oldest = next(iter(self._open.values()))
            wait_s = max(1, math.ceil(oldest.used_at + self._idle_s - now))
            raise SessionsFull("There are too many MCP sessions: send an API key to need none", retry_after_s=wait_s)
        session = Session(_new_id(), account_id, can_be_asked, now)
        self._open[session.id] = session
        return session

    def find(self, id: str) -> Session | None:
        """The session, used now; None where it is unknown, deleted, or was idle for too long."""
        session = self._open.get(id)
        if session is None:
            return None
        now = self._clock.monotonic()
        if self._is_gone(session, now):
            del self._open[id]
            return None
        self._touch(session, now)
        return session

    async def look_up(self, id: str) -> None:
        """Find out what other workers know of it. These are all there are."""

    async def share(self, session: Session) -> None:
        """Let other workers know of it."""

    async def share_deletion(self, session: Session) -> None:
        """Let other workers know that it was deleted."""

    def heard(self, session: Session, question: Question) -> AbstractContextManager[None]:
        """While the block runs, ``question`` is settled by what other workers are told as well."""
        return nullcontext()

    async def answered(self, session: Session, id: bytes, answer: Said) -> None:
        """The client has answered the question ``id``."""
        session.questions.answered(id, answer)

    async def withdrawn(self, session: Session, about: bytes) -> None:
        """The client does not wait for the call ``about`` any more."""
        session.questions.withdrawn(about)

    def may_have_left(self, id: str) -> bool:
        """Whether a gateway made this id and nobody deleted it: it was idle for long, or its process has ended.

        The clients that are in use never open a second session, so one that bears a key is served all the same.
        """
        return is_well_formed(id) and id not in self._deleted

    def delete(self, session: Session) -> None:
        self._open.pop(session.id, None)
        self._deleted[session.id] = None
        if len(self._deleted) > self._at_most:
            self._deleted.popitem(last=False)
        session.end()

    def end_all(self) -> None:
        for session in self._open.values():
            session.end()

    @contextmanager
    def in_use(self, session: Session | None) -> Iterator[None]:
        """It does not leave while the block runs."""
        if session is None:
            yield
            return
        session.calls += 1
        try:
            yield
        finally:
            session.calls -= 1
            if session.id in self._open:
                self._touch(session, self._clock.monotonic())

    def _touch(self, session: Session, now: float) -> None:
        session.used_at = now
        self._open.move_to_end(session.id)

    def _is_gone(self, session: Session, now: float) -> bool:
        return not session.is_busy and now - session.used_at >= self._idle_s

    def _let_idle_leave(self, now: float) -> None:
        while self._open:
            session = next(iter(self._open.values()))
            if now - session.used_at < self._idle_s:
                return
            if session.is_busy:
                self._touch(session, now)
            else:
                del self._open[session.id]


def is_well_formed(id: str) -> bool:
    text, check = id[:-_CHECK_DIGITS], id[-_CHECK_DIGITS:]
    return len(text) == 2 * _RANDOM_BYTES and id.isascii() and check == _check(text)


def _new_id() -> str:
    text = secrets.token_hex(_RANDOM_BYTES)
    return text + _check(text)


def _check(text: str) -> str:
    return f"{zlib.crc32(text.encode()):0{_CHECK_DIGITS}x}"
