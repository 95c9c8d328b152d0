"""``POST /v1``: bytes in, bytes out. Everything HTTP about a request is here, and nothing else is."""

from __future__ import annotations

import asyncio
import os
import random
import uuid
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http import RawRequestMessage
from multidict import CIMultiDictProxy

from gateway.admission import Admission
from gateway.clock import Clock
from gateway.heads import credentials_in
from gateway.metrics import Metrics
from gateway.pipeline import Answer, Credentials, Pipeline, Trace, refusal
from gateway.timings import milliseconds
from normalization.errors import (
    GatewayError,
    InvalidParameter,
    MethodNotAllowed,
    PayloadTooLarge,
    ServiceUnavailable,
    UnsupportedMediaType,
)

PATH: Final = "/v1"
MAX_BODY_BYTES: Final = 64 * 1024
BODY_TIMEOUT_S: Final = 10.0
TAKEN_WITHIN_S: Final = 60.0
"""How long an answer may wait for its client to take it."""

_JSON: Final = "application/json"
_JSON_TYPES: Final = (_JSON, "text/json")
_STATUSES: Final = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
_ALWAYS: Final = "Content-Type: application/json\r\nCache-Control: no-store\r\nServer: venuegate\r\n"


class Endpoint:
    def __init__(
        self, pipeline: Pipeline, *, metrics: Metrics, clock: Clock, max_in_flight: int, max_body_bytes: int
    ) -> None:
        self._pipeline = pipeline
        self._metrics = metrics
        self._clock = clock
        self._now = clock.monotonic
        self._date = HttpDate(clock)
        self._admission = Admission(max_in_flight)
        self._max_body_bytes = max_body_bytes
        metrics.in_flight.set_function(lambda: self._admission.under_way)

    async def __call__(self, request: web.BaseRequest) -> WrittenAtOnce:
        """Answer a request that may still be on its way, or may not be one for here at all."""
        trace = Trace(new_request_id(), self._clock)
        try:
            body = await self._body(request)
        except GatewayError as error:
            return self._finished(refusal(error), trace)
        return await self.answer(shown_credentials(request), body, trace)

    async def answer(self, credentials: Credentials, body: bytes, trace: Trace | None = None) -> WrittenAtOnce:
        """Answer a request of which nothing is to be said but whose it is and what it asks for."""
        if trace is None:
            trace = Trace(new_request_id(), self._clock)
        admission = self._admission
        if admission.under_way >= admission.is_easy_below:
            try:
                admission.require(self._pipeline.asked_for(body))
            except ServiceUnavailable as error:
                return self._finished(refusal(error), trace)
        admission.under_way += 1
        try:
            answer = await self._pipeline.handle(credentials, body, trace)
        finally:
            admission.under_way -= 1
        return self._finished(answer, trace)

    def refused(self, error: GatewayError) -> WrittenAtOnce:
        """The answer to what never became a request. The connection does not outlive it."""
        answer = self._finished(refusal(error), Trace(new_request_id(), self._clock))
        answer.is_last = True
        return answer

    def takes(self, message: RawRequestMessage, length: int) -> bool:
        """Whether all that the head says is what ``answer`` takes for granted; ``length`` is the body's."""
        headers = message.headers
        return (
            message.path == PATH
            and message.method == hdrs.METH_POST
            and not message.upgrade
            and length <= self._max_body_bytes
            and _is_json(headers.get(hdrs.CONTENT_TYPE))
            and hdrs.CONTENT_ENCODING not in headers
            and hdrs.TRANSFER_ENCODING not in headers
        )

    async def _body(self, request: web.BaseRequest) -> bytes:
        """The whole body, refused as early as its size, type or method can be known."""
        if request.method != hdrs.METH_POST:
            raise MethodNotAllowed("POST a JSON body to /v1; GET /docs says what it takes")
        length = request.content_length
        if length is not None and length > self._max_body_bytes:
            raise self._too_large()
        headers = request.headers
        if not _is_json(headers.get(hdrs.CONTENT_TYPE)):
            raise UnsupportedMediaType("The body must be JSON: send Content-Type: application/json")
        if not _is_as_it_is(headers):
            raise UnsupportedMediaType("The body must not be compressed")
        if "?" in request.raw_path:
            raise InvalidParameter("query", "no query string: parameters and keys never belong in a URL")
        # Nearly always all of it is there.
        body = request.content.read_nowait() if request.content.is_eof() else await self._awaited(request)
        if len(body) > self._max_body_bytes:
            raise self._too_large()
        return body

    async def _awaited(self, request: web.BaseRequest) -> bytes:
        await _tell_to_continue(request)
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                while chunk := await request.content.readany():
                    size += len(chunk)
                    if size > self._max_body_bytes:
                        raise self._too_large()
                    chunks.append(chunk)
        except TimeoutError:
            raise InvalidParameter("body", f"the whole body within {BODY_TIMEOUT_S:.0f} seconds") from None
        return b"".join(chunks)

    def _too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(f"The body is over {self._max_body_bytes // 1024} KiB")

    def _finished(self, answer: Answer, trace: Trace) -> WrittenAtOnce:
        seconds = self._now() - trace.started
        error, usage = answer.error, trace.usage
        self._metrics.request(trace.operation, error.code if error else "OK", seconds)
        lines = (
            f"{_ALWAYS}Date: {self._date()}\r\n"
            f"X-Request-Id: {trace.request_id}\r\n"
            f"X-Request-Duration-Ms: {milliseconds(seconds)}\r\n"
            f"Server-Timing: {trace.timings.header()}\r\n"
        )
        if usage is not None:
            lines += (
                f"X-RateLimit-Limit-Minute: {usage.limit_minute}\r\n"
                f"X-RateLimit-Remaining-Minute: {usage.remaining_minute}\r\n"
                f"X-RateLimit-Limit-Day: {usage.limit_day}\r\n"
                f"X-RateLimit-Remaining-Day: {usage.remaining_day}\r\n"
            )
        if error is not None:
            lines += _error_lines(error)
        return WrittenAtOnce(answer.status, lines, answer.body)


async def _tell_to_continue(request: web.BaseRequest) -> None:
    """A client that asked whether to send its body waits for this, some of them for ever."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def _taken(request: web.BaseRequest, transport: asyncio.WriteTransport) -> None:
    """A client that sends many requests and reads no answers waits here, but not for ever.

    :raises ConnectionError: it is gone, or was given up.
    """
    try:
        async with asyncio.timeout(TAKEN_WITHIN_S):
            await request.writer.drain()
    except TimeoutError:
        transport.abort()
        raise ConnectionAbortedError("the client reads nothing") from None


class RequestIds:
    """Version 4 UUIDs. They are no secrets: the first half is this process's, the second needs no system call each."""

    def __init__(self) -> None:
        self._bits = random.Random()  # noqa: S311
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def __call__(self) -> str:
        digits = f"{self._bits.getrandbits(60):015x}"
        return f"{self._first}{digits[:3]}-{digits[3:]}"

    def _begin(self) -> None:
        self._bits.seed()
        self._first = str(uuid.uuid4())[:20]


new_request_id: Final = RequestIds()


def shown_credentials(request: web.BaseRequest) -> Credentials:
    return credentials_in(request.headers, request.remote or "")


class HttpDate:
    """The time as the ``Date`` header has it, spelled once a second."""

    def __init__(self, clock: Clock) -> None:
        self._now_ms = clock.now_ms
        self._second = -1
        self._text = ""

    def __call__(self) -> str:
        second = self._now_ms() // 1000
        if second != self._second:
            self._second, self._text = second, formatdate(second, usegmt=True)
        return self._text


class WrittenAtOnce:
    """A response whose head is plain text, and leaves with the body in one write.

    It has what aiohttp's server asks of a response. aiohttp's own fills a dictionary of headers and serializes it, for
    each one. ``lines`` are the header lines, each with its end; what belongs to the connection or tells the body's
    length is added to them.
    """

    __slots__ = ("_lines", "body", "is_last", "keep_alive", "status")

    def __init__(self, status: int, lines: str, body: bytes) -> None:
        self.status = status
        self.keep_alive = False
        self.is_last = False
        self._lines = lines
        self.body = body

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write everything.

        :raises ConnectionError: the client is gone.
        """
        # Nobody knows where the next message would begin after a body that broke off.
        self.keep_alive = request.keep_alive and not self.is_last and request.content.exception() is None
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        is_1_1 = request.version >= HttpVersion11 or self.is_last
        written = self.head(is_1_1=is_1_1, keep_alive=self.keep_alive)
        transport.write(written if request.method == hdrs.METH_HEAD else written + self.body)
        if request.protocol.writing_paused:
            await _taken(request, transport)

    def head(self, *, is_1_1: bool, keep_alive: bool) -> bytes:
        connection = ""
        if keep_alive is not is_1_1:
            connection = "Connection: keep-alive\r\n" if keep_alive else "Connection: close\r\n"
        return (
            f"{'HTTP/1.1' if is_1_1 else 'HTTP/1.0'} {_STATUSES[self.status]}\r\n"
            f"{self._lines}{connection}Content-Length: {len(self.body)}\r\n\r\n"
        ).encode("ascii")

    async def write_eof(self) -> None:
        """All of it was written."""


def _error_lines(error: GatewayError) -> str:
    lines = ""
    if error.retry_after_s is not None:
        lines += f"Retry-After: {error.retry_after_s}\r\n"
    if error.status == 405:
        lines += "Allow: POST\r\n"
    if error.status == 401:
        lines += "WWW-Authenticate: Bearer\r\n"
    return lines


def _is_json(content_type: str | None) -> bool:
    return not content_type or content_type == _JSON or content_type.partition(";")[0].strip().lower() in _JSON_TYPES


def _is_as_it_is(headers: CIMultiDictProxy[str]) -> bool:
    """Whether the body's bytes are those of the JSON."""
    coding = headers.get(hdrs.CONTENT_ENCODING, "identity").lower()
    transfer = headers.get(hdrs.TRANSFER_ENCODING, "chunked").lower()
    return coding == "identity" and transfer == "chunked"
