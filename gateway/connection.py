"""A connection: what can be answered at once is answered where its bytes arrive, aiohttp does everything else.

aiohttp parses, and keeps each connection's requests in a queue that a task of the connection works off, with another
task for each request. Almost every request comes alone, is all there, and waits for nothing: it gets its answer before
it would have entered the queue. One that has begun and must wait enters it after all, and goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, cast

from aiohttp import HttpVersion11, StreamReader, hdrs, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_parser import HttpRequestParser

from gateway.endpoint import Endpoint, WrittenAtOnce
from gateway.heads import END, Heads, credentials_in
from gateway.pipeline import Credentials
from gateway.steps import Begun, begun

Message = tuple[RawRequestMessage, StreamReader]
Parsed = tuple[Sequence[Message], bool, bytes]
_NOTHING: Final[Parsed] = ((), False, b"")
_NOBODY_KNOWS: Final = -1


class Server(web.Server):
    """aiohttp's server with connections of ours."""

    def __init__(self, handler: Any, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(handler, **options)
        self._endpoint = endpoint
        self._heads = Heads()

    def __call__(self) -> Connection:
        return Connection(self, self._endpoint, self._heads, loop=self._loop, **self._kwargs)


class Connection(web.RequestHandler):
    __slots__ = ("_begun", "_endpoint", "_heads", "_offering", "_peer")

    def __init__(self, server: Server, endpoint: Endpoint, heads: Heads, **options: Any) -> None:
        super().__init__(server, **options)
        self._endpoint = endpoint
        self._heads = heads
        self._begun: Begun[WrittenAtOnce] | None = None
        self._peer = ""
        self._offering = _OfferingParser(cast(HttpRequestParser, self._parser), self)
        self._parser = cast(Any, self._offering)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = self.peername
        self._peer = str(peer[0] if isinstance(peer, list | tuple) else peer or "")

    def data_received(self, data: bytes) -> None:
        if self._offering.is_at_start and self._recognised(data):
            return
        super().data_received(data)

    def resume_reading(self, resume_parser: bool = True) -> None:
        # The parser says this after every request, and nearly always reading was never paused.
        if resume_parser or self._reading_paused:
            super().resume_reading(resume_parser)

    def take_begun(self) -> Begun[WrittenAtOnce] | None:
        """What has begun of the request that aiohttp takes from its queue next."""
        taken, self._begun = self._begun, None
        return taken

    def _recognised(self, data: bytes) -> bool:
        """Whether ``data``, the beginning of a message, was a whole request with a known head, and was answered."""
        head, _, body = data.partition(END)
        known = self._heads.find(head)
        if known is None or len(body) != known.length or not self._is_idle():
            return False
        return self._answered(known.credentials(head, self._peer), body)

    def answered(self, message: RawRequestMessage, payload: StreamReader, head: bytes | None) -> bool:
        """Whether a request that came alone was answered, and needs no place in the queue.

        ``head`` is given where nothing else came with it but its body.
        """
        if self._begun or not payload.is_eof() or not self._is_idle():
            return False
        if not self._endpoint.takes(message, payload.total_bytes):
            return False
        credentials, body = credentials_in(message.headers, self._peer), payload.read_nowait()
        is_1_1, keeps_alive = message.version >= HttpVersion11, not message.should_close
        if not self._answered(credentials, body, is_1_1=is_1_1, keeps_alive=keeps_alive):
            return False
        if head is not None and is_1_1 and keeps_alive:
            self._heads.meet(head, credentials, len(body))
        return True

    def _answered(
        self, credentials: Credentials, body: bytes, *, is_1_1: bool = True, keeps_alive: bool = True
    ) -> bool:
        outcome = begun(self._endpoint.answer(credentials, body), self._loop)
        if isinstance(outcome, Begun):
            self._begun = outcome
            return False
        if self.transport is not None:
            self.transport.write(outcome.head(is_1_1=is_1_1, keep_alive=keeps_alive) + outcome.body)
        if keeps_alive:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        else:
            self.force_close()
        return True

    def _is_idle(self) -> bool:
        """Whether all earlier requests of the connection are answered, and their answers taken."""
        waiter = self._waiter
        return (
            waiter is not None
            and not waiter.done()
            and not self._messages
            and not (self._paused or self._close or self._upgraded)
        )


class _OfferingParser:
    """aiohttp's parser, which offers the connection each request before it goes into the queue."""

    def __init__(self, parser: HttpRequestParser, connection: Connection) -> None:
        self._feed = parser.feed_data
        self._connection = connection
        # How much of a message's body is still to come.
        self._owed = 0
        self.is_at_start = True
        self.message_consumed = parser.message_consumed
        self.pause_reading = parser.pause_reading
        self.set_upgraded = parser.set_upgraded

    def feed_data(self, data: bytes) -> Parsed:
        at_start = self.is_at_start
        parsed: Parsed = self._feed(data)
        messages = parsed[0]
        head = self._followed(data, messages, at_start)
        if len(messages) == 1 and not parsed[1] and self._connection.answered(*messages[0], head):
            self.message_consumed()
            return _NOTHING
        return parsed

    def _followed(self, data: bytes, messages: Sequence[Message], at_start: bool) -> bytes | None:
        """Keep account of where in a message we are; the head of the one that ``data`` is, to the byte."""
        if not at_start:
            self._owed = max(self._owed - len(data), _NOBODY_KNOWS)
            self.is_at_start = self._owed == 0
            return None
        head, _, body = data.partition(END)
        if len(messages) != 1 or messages[0][0].chunked:
            self._owed = _NOBODY_KNOWS if data else 0
            self.is_at_start = not data
            return None
        length = int(messages[0][0].headers.get(hdrs.CONTENT_LENGTH, 0))
        self._owed = max(length - len(body), _NOBODY_KNOWS)
        self.is_at_start = self._owed == 0
        return head if self.is_at_start else None
