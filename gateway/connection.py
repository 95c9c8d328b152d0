"""A connection: a plain POST to ``/v1`` or ``/mcp`` is begun where its bytes arrive, aiohttp does everything else.

aiohttp keeps each connection's requests in a queue that a task of the connection works off, with another task for each
request. Most requests come alone and are all there: such a one is begun before it would have entered the queue. If it
never waits, it has its answer then and there; if it does, it goes on whenever what it waits for is there, and what
comes meanwhile is kept until it is answered. What is not all there yet, or comes with others, or is for another path,
goes aiohttp's way.

What is not HTTP gets the envelope of every other refusal, once, and the connection ends with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextvars import Context
from typing import Any, Final, NamedTuple, cast

import msgspec
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

from gateway.endpoint import Endpoint
from gateway.heads import END, Heads
from gateway.plain import Plain, PlainEndpoint, Shown, shown_in
from gateway.steps import Begun, begun
from gateway.written import WrittenAtOnce
from normalization.errors import GatewayError, InternalError, MalformedRequest, ServiceUnavailable

HEAD_TIMEOUT_S: Final = 5.0
KEEP_ALIVE_S: Final = 60.0
MAX_HEAD_BYTES: Final = 64 * 1024
# What a client may send ahead of being answered.
_READ_AHEAD_BYTES: Final = 64 * 1024

Message = tuple[RawRequestMessage, StreamReader]
Parsed = tuple[Sequence[Message], bool, bytes]
_NOTHING: Final[Parsed] = ((), False, b"")
# Nothing is set in it.
_NOBODYS: Final = Context()


class Server(web.Server):
    """aiohttp's server with connections of ours, at most ``max_connections`` at a time.

    ``handler`` answers what goes aiohttp's way; ``plainly`` has who is asked first, by path. What never becomes a
    request is refused as ``endpoint`` refuses.
    """

    def __init__(
        self,
        handler: Any,
        endpoint: Endpoint,
        plainly: Mapping[str, PlainEndpoint],
        *,
        max_connections: int,
        **options: Any,
    ) -> None:
        super().__init__(handler, keepalive_timeout=KEEP_ALIVE_S, read_bufsize=_READ_AHEAD_BYTES, **options)
        self.endpoint = endpoint
        self._plainly = plainly
        self.heads = Heads()
        self._max_connections = max_connections
        self._open = 0
        self._answering: set[Begun[WrittenAtOnce]] = set()
        self._all_answered: asyncio.Future[None] | None = None

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._kwargs)

    def plain(self, message: RawRequestMessage, length: int) -> Plain | None:
        """What there is to know of the head of a request that may be answered at once."""
        endpoint = self._plainly.get(message.path.partition("?")[0])
        return None if endpoint is None else endpoint.plain(message, length)

    @property
    def is_overrun(self) -> bool:
        return self._open > self._max_connections

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        self._open += 1
        super().connection_made(handler, transport)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        self._open -= 1
        super().connection_lost(handler, exc)

    def waits(self, request: Begun[WrittenAtOnce]) -> None:
        """It is carried out to its end, whether or not its connection lives so long."""
        self._answering.add(request)

    def answered(self, request: Begun[WrittenAtOnce]) -> None:
        self._answering.discard(request)
        if self._all_answered is not None and not self._answering and not self._all_answered.done():
            self._all_answered.set_result(None)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        if self._answering:
            self._all_answered = self._loop.create_future()
            await asyncio.wait({self._all_answered}, timeout=timeout)
            for late in list(self._answering):
                late.cancel()
        await super().shutdown(timeout)


class Connection(web.RequestHandler):
    __slots__ = (
        "_early",
        "_endpoint",
        "_head_bytes",
        "_head_deadline",
        "_heads",
        "_is_answering",
        "_peer",
        "_reader",
        "_server",
        "_way",
    )

    def __init__(self, server: Server, **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server
        self._endpoint = server.endpoint
        self._heads = server.heads
        self._reader = _Reader(cast(HttpRequestParser, self._parser), self)
        self._parser = cast(Any, self._reader)
        self._is_answering = False
        self._way = _AS_EVER
        self._early = b""
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
        if self._is_answering:
            self._keep(data)
        elif not (self._reader.is_between_messages and self._recognised(data)):
            super().data_received(data)

    def resume_reading(self, resume_parser: bool = True) -> None:
        # The parser says this after every body, and nearly always reading was never paused.
        if resume_parser or self._reading_paused:
            super().resume_reading(resume_parser)

    def begins(self, message: RawRequestMessage, payload: StreamReader, head: bytes | None) -> StreamReader | None:
        """Begin a request that came alone; what is to be read of its body where it has to take its place in the queue.

        ``head`` is given where it and the body are all that came.
        """
        if not (payload.is_eof() and self._is_idle()):
            return payload
        length = payload.total_bytes
        plain = self._server.plain(message, length)
        if plain is None:
            return payload
        body = payload.read_nowait()
        shown = shown_in(message.headers, self._peer)
        keeps_alive = not message.should_close
        may_be_met = keeps_alive and message.version == HttpVersion11
        way = _Way(
            is_1_1=message.version >= HttpVersion11,
            keeps_alive=keeps_alive,
            new_head=_NewHead(head, plain, shown, length) if head is not None and may_be_met else None,
        )
        return None if self._begin(plain, shown, body, way) else self._unread(body)

    def _unread(self, body: bytes) -> StreamReader:
        """A body that was read already, to be read again."""
        payload = StreamReader(self, len(body) + 1, loop=self._loop)
        payload.feed_data(body)
        payload.feed_eof()
        return payload

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
        answer = self._failed(exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer had begun")
        return cast(web.StreamResponse, answer)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        # A body that broke off is told to whoever waits for it.
        if not isinstance(kw.get("exc_info"), GatewayError):
            super().log_exception(*args, **kw)

    def _recognised(self, data: bytes) -> bool:
        """Whether ``data``, the beginning of a message, is a whole request with a known head, and was begun."""
        head, _, body = data.partition(END)
        known = self._heads.find(head)
        if known is None or len(body) != known.length or not self._is_idle():
            return False
        return self._begin(known.plain, known.shown(head, self._peer), body, _AS_EVER)

    def _begin(self, plain: Plain, shown: Shown, body: bytes, way: _Way) -> bool:
        """Whether it can be answered in this way."""
        work = plain.answer(shown, body)
        if work is None:
            return False
        try:
            outcome = begun(work, self._loop)
        except Exception as error:
            outcome = self._failed(error)
        if isinstance(outcome, Begun):
            self._is_answering = True
            self._way = way
            self._server.waits(outcome)
            outcome.then(self._finish)
        else:
            self._tell(outcome, way)
        return True

    def _finish(self, request: Begun[WrittenAtOnce]) -> None:
        self._server.answered(request)
        try:
            answer = request.outcome()
        except asyncio.CancelledError:
            # The gateway has stopped waiting for it.
            self.force_close()
            return
        except Exception as error:
            answer = self._failed(error)
        self._tell(answer, self._way)
        if self._early:
            # It is begun outside this request, as everything is.
            self._loop.call_soon(self._go_on, context=_NOBODYS)
        else:
            self._is_answering = False

    def _go_on(self) -> None:
        self._is_answering = False
        early, self._early = self._early, b""
        if self._buffer_paused:
            self._resume_reading_for_buffer()
        self.data_received(early)

    def _keep(self, data: bytes) -> None:
        self._early += data
        if len(self._early) > _READ_AHEAD_BYTES and not self._buffer_paused:
            self._pause_reading_for_buffer()

    def _tell(self, answer: WrittenAtOnce, way: _Way) -> None:
        self._write(answer, is_1_1=way.is_1_1, keeps_alive=way.keeps_alive)
        if way.new_head is not None and answer.status < 400:
            self._heads.meet(*way.new_head)

    def _write(self, answer: WrittenAtOnce, *, is_1_1: bool = True, keeps_alive: bool = True) -> None:
        keeps_alive = keeps_alive and not (answer.is_last or self._close)
        if self.transport is not None:
            self.transport.write(answer.head(is_1_1=is_1_1, keep_alive=keeps_alive) + answer.body)
        if keeps_alive:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        else:
            self.force_close()

    def _failed(self, error: BaseException | None) -> WrittenAtOnce:
        self.log_exception("Error handling request", exc_info=error)
        return self._endpoint.refused(InternalError("Gateway error: report it with the X-Request-Id of this answer"))

    def _give_up(self, error: GatewayError | None = None) -> None:
        """End the connection: at once where no answer is on its way, else after that one."""
        if self._waiter is None or self._is_answering:
            self.close()
        elif error is None:
            # Nothing was asked yet, so there is nothing to answer.
            self.force_close()
        else:
            self._write(self._endpoint.refused(error))

    def _process_keepalive(self) -> None:
        if self._is_answering:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()

    def _is_idle(self) -> bool:
        """Whether all earlier requests of the connection are answered, and their answers taken."""
        waiter = self._waiter
        return (
            waiter is not None
            and not waiter.done()
            and not self._messages
            and not (self._paused or self._close or self._upgraded)
        )


class _NewHead(NamedTuple):
    """The head of a request, and all that it says: ``length`` is the body's."""

    head: bytes
    plain: Plain
    shown: Shown
    length: int


class _Way(msgspec.Struct, frozen=True):
    """How an answer goes back. ``new_head`` is that of the request, where it may become a known one."""

    is_1_1: bool
    keeps_alive: bool
    new_head: _NewHead | None


# That of a request with a known head.
_AS_EVER: Final = _Way(is_1_1=True, keeps_alive=True, new_head=None)


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
        messages, is_upgraded, more = parsed
        head = self._keep_track(data, messages, in_body) if data else None
        if len(messages) != 1 or is_upgraded:
            return parsed
        message, payload = messages[0]
        left = self._connection.begins(message, payload, head)
        if left is None:
            self.message_consumed()
            return _NOTHING
        return [(message, left)], is_upgraded, more

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
