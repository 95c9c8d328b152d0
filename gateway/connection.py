"""A connection: what can be answered at once is answered where its bytes arrive, aiohttp does everything else.

aiohttp keeps each connection's requests in a queue that a task of the connection works off, with another task for each
request. Most requests come alone, are all there, and wait for nothing: such a one has its answer before it would have
entered the queue. One that has begun and must wait enters it after all, and goes on from there; so does everything that
comes while the connection is busy, and everything that is not a plain POST to ``/v1``.

What is not HTTP gets the envelope of every other refusal, once, and the connection ends with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, cast

from aiohttp import HttpVersion11, StreamReader, hdrs, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import (
    BadStatusLine,
    HttpProcessingError,
    InvalidHeader,
    InvalidURLError,
    LineTooLong,
    PayloadEncodingError,
)
from aiohttp.http_parser import HttpRequestParser
from aiohttp.streams import EMPTY_PAYLOAD

from gateway.endpoint import Endpoint, WrittenAtOnce
from gateway.heads import END, Heads, credentials_in
from gateway.pipeline import Credentials
from gateway.steps import Begun, begun
from normalization.errors import GatewayError, InternalError, MalformedRequest, ServiceUnavailable

HEAD_TIMEOUT_S: Final = 5.0
KEEP_ALIVE_S: Final = 60.0
MAX_HEAD_BYTES: Final = 64 * 1024
# What a client may send ahead of being answered.
_READ_AHEAD_BYTES: Final = 64 * 1024

Message = tuple[RawRequestMessage, StreamReader]
Parsed = tuple[Sequence[Message], bool, bytes]
_NOTHING: Final[Parsed] = ((), False, b"")


class Server(web.Server):
    """aiohttp's server with connections of ours, at most ``max_connections`` at a time."""

    def __init__(self, handler: Any, endpoint: Endpoint, *, max_connections: int, **options: Any) -> None:
        super().__init__(handler, keepalive_timeout=KEEP_ALIVE_S, read_bufsize=_READ_AHEAD_BYTES, **options)
        self.endpoint = endpoint
        self.heads = Heads()
        self._max_connections = max_connections
        self._open = 0

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._kwargs)

    @property
    def is_overrun(self) -> bool:
        return self._open > self._max_connections

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        self._open += 1
        super().connection_made(handler, transport)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        self._open -= 1
        super().connection_lost(handler, exc)


class Connection(web.RequestHandler):
    __slots__ = ("_begun", "_endpoint", "_head_bytes", "_head_deadline", "_heads", "_peer", "_reader", "_server")

    def __init__(self, server: Server, **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server
        self._endpoint = server.endpoint
        self._heads = server.heads
        self._reader = _Reader(cast(HttpRequestParser, self._parser), self)
        self._parser = cast(Any, self._reader)
        self._begun: Begun[WrittenAtOnce] | None = None
        self._head_deadline: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = self.peername
        self._peer = str(peer[0] if isinstance(peer, list | tuple) else peer or "")
        if self._server.is_overrun:
            full = ServiceUnavailable("There are too many connections: nothing was sent", retry_after_s=1)
            self._write(self._endpoint.refused(full))

    def connection_lost(self, exc: BaseException | None) -> None:
        self.head_is_whole()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not (self._reader.is_between_messages and self._recognised(data)):
            super().data_received(data)

    def resume_reading(self, resume_parser: bool = True) -> None:
        # The parser says this after every body, and nearly always reading was never paused.
        if resume_parser or self._reading_paused:
            super().resume_reading(resume_parser)

    def take_begun(self) -> Begun[WrittenAtOnce] | None:
        """What has begun of the request that aiohttp takes from its queue next."""
        taken, self._begun = self._begun, None
        return taken

    def answered(self, message: RawRequestMessage, payload: StreamReader, head: bytes | None) -> bool:
        """Whether a request that came alone was answered. ``head`` is given if head and body are all that came."""
        length = payload.total_bytes
        if self._begun or not (payload.is_eof() and self._is_idle() and self._endpoint.takes(message, length)):
            return False
        credentials = credentials_in(message.headers, self._peer)
        outcome = self._outcome(credentials, payload.read_nowait())
        if outcome is None:
            return False
        is_1_1, keeps_alive = message.version >= HttpVersion11, not message.should_close
        self._write(outcome, is_1_1=is_1_1, keeps_alive=keeps_alive)
        if head is not None and is_1_1 and keeps_alive and outcome.status < 400:
            self._heads.meet(head, credentials, length)
        return True

    def head_is_partial(self, more: int) -> None:
        """``more`` bytes came of a head that has no end yet."""
        self._head_bytes += more
        if self._head_bytes > MAX_HEAD_BYTES:
            self._give_up(MalformedRequest(f"The head of a request is over {MAX_HEAD_BYTES // 1024} KiB"))
        elif self._head_deadline is None:
            self._head_deadline = self._loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def head_is_whole(self) -> None:
        self._head_bytes = 0
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What aiohttp would answer in plain text, and log with a traceback even where the client is at fault."""
        if isinstance(exc, HttpProcessingError):
            return cast(web.StreamResponse, self._endpoint.refused(malformed(exc)))
        self.log_exception("Error handling request", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer had begun")
        return cast(web.StreamResponse, self._endpoint.refused(_failed()))

    def log_exception(self, *args: Any, **kw: Any) -> None:
        # A body that broke off is told to whoever waits for it.
        if not isinstance(kw.get("exc_info"), GatewayError):
            super().log_exception(*args, **kw)

    def _recognised(self, data: bytes) -> bool:
        """Whether ``data``, the beginning of a message, is a whole request with a known head, and was answered."""
        head, _, body = data.partition(END)
        known = self._heads.find(head)
        if known is None or len(body) != known.length or not self._is_idle():
            return False
        outcome = self._outcome(known.credentials(head, self._peer), body)
        if outcome is None:
            return False
        self._write(outcome)
        return True

    def _outcome(self, credentials: Credentials, body: bytes) -> WrittenAtOnce | None:
        """The answer; None where it has to be waited for."""
        try:
            outcome = begun(self._endpoint.answer(credentials, body), self._loop)
        except Exception as error:
            self.log_exception("Error handling request", exc_info=error)
            return self._endpoint.refused(_failed())
        if isinstance(outcome, Begun):
            self._begun = outcome
            return None
        return outcome

    def _write(self, answer: WrittenAtOnce, *, is_1_1: bool = True, keeps_alive: bool = True) -> None:
        keeps_alive = keeps_alive and not answer.is_last
        if self.transport is not None:
            self.transport.write(answer.head(is_1_1=is_1_1, keep_alive=keeps_alive) + answer.body)
        if keeps_alive:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        else:
            self.force_close()

    def _give_up(self, error: GatewayError | None = None) -> None:
        """End the connection: at once where no answer is on its way, else after that one."""
        if self._waiter is None:
            self.close()
        elif error is None:
            # Nothing was asked yet, so there is nothing to answer.
            self.force_close()
        else:
            self._write(self._endpoint.refused(error))

    def _is_idle(self) -> bool:
        """Whether all earlier requests of the connection are answered, and their answers taken."""
        waiter = self._waiter
        return (
            waiter is not None
            and not waiter.done()
            and not self._messages
            and not (self._paused or self._close or self._upgraded)
        )


class _Reader:
    """aiohttp's parser, which offers the connection each request before it goes into the queue."""

    def __init__(self, parser: HttpRequestParser, connection: Connection) -> None:
        self._feed = parser.feed_data
        self._connection = connection
        self._body: StreamReader = EMPTY_PAYLOAD
        self._body_bytes_to_come = 0
        # False also where nobody can tell, which does no harm: then everything goes the long way.
        self.is_between_messages = True
        self.message_consumed = parser.message_consumed
        self.pause_reading = parser.pause_reading
        self.set_upgraded = parser.set_upgraded

    def feed_data(self, data: bytes) -> Parsed:
        in_body = not self._body.is_eof()
        try:
            parsed: Parsed = self._feed(data)
        except HttpProcessingError as error:
            self.is_between_messages = False
            if not in_body:
                raise
            # It is about the body of a request that is being answered. That answer is the only one.
            self._body.set_exception(malformed(error))
            return _NOTHING
        messages, is_upgraded, _ = parsed
        head = self._keep_track(data, messages, in_body) if data else None
        if len(messages) == 1 and not is_upgraded and self._connection.answered(*messages[0], head):
            self.message_consumed()
            return _NOTHING
        return parsed

    def _keep_track(self, data: bytes, messages: Sequence[Message], in_body: bool) -> bytes | None:
        """Account for where in a message we are; the head, where ``data`` is one message to the byte."""
        head, to_come = None, None
        if messages:
            self._connection.head_is_whole()
            message, self._body = messages[-1]
            if self.is_between_messages and len(messages) == 1 and not message.chunked:
                head, _, body = data.partition(END)
                to_come = int(message.headers.get(hdrs.CONTENT_LENGTH, 0)) - len(body)
        elif not in_body:
            to_come = -len(data)
        elif self._body_bytes_to_come > 0:
            to_come = self._body_bytes_to_come - len(data)
        self._body_bytes_to_come = to_come or 0
        self.is_between_messages = to_come == 0
        if to_come is not None and to_come < 0:
            # What is left over is the beginning of another head.
            self._connection.head_is_partial(-to_come)
        return None if to_come else head


_PROBLEMS: Final[Sequence[tuple[type, str]]] = (
    (LineTooLong, "a line of its head is too long"),
    (InvalidHeader, "one of its headers is none"),
    (PayloadEncodingError, "its body is not framed as its head says"),
    (BadStatusLine, "its first line is none"),
    (InvalidURLError, "its address is none"),
)


def malformed(error: HttpProcessingError) -> MalformedRequest:
    """In words that repeat nothing of the request: what it broke may stand next to its key."""
    problem = next((words for kind, words in _PROBLEMS if isinstance(error, kind)), None)
    if problem is None:
        # The parser's own words; what they are about follows on lines of its own.
        problem = error.message.partition(":\n")[0].rstrip(".")
    return MalformedRequest(f"This is not a request as HTTP/1.1 has it: {problem}. Nothing after it was read.")


def _failed() -> InternalError:
    return InternalError("Gateway error: report it with the request id of this answer")
