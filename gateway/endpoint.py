"""``POST /v1``: bytes in, bytes out. Everything HTTP about a request is here, and nothing else is."""

from __future__ import annotations

import asyncio
import os
import random
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from aiohttp import HttpVersion11, hdrs, web
from multidict import istr

from gateway.clock import Clock
from gateway.limits import Usage
from gateway.metrics import Metrics
from gateway.pipeline import Answer, Credentials, Pipeline, Trace, refusal
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
_JSON_TYPES: Final = ("application/json", "text/json")
_STATUSES: Final = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
# Request ids are no secrets, and need no system call each. Seeded by the system, anew in a forked process.
_random: Final = random.Random()  # noqa: S311
os.register_at_fork(after_in_child=_random.seed)
_API_KEY: Final = istr("X-API-Key")
_ALWAYS: Final = "Content-Type: application/json\r\nCache-Control: no-store\r\nServer: venuegate\r\n"


class Endpoint:
    def __init__(
        self, pipeline: Pipeline, *, metrics: Metrics, clock: Clock, max_in_flight: int, max_body_bytes: int
    ) -> None:
        self._pipeline = pipeline
        self._metrics = metrics
        self._clock = clock
        self._date = HttpDate(clock)
        self._max_in_flight = max_in_flight
        self._max_body_bytes = max_body_bytes
        self._in_flight = 0
        metrics.in_flight.set_function(lambda: self._in_flight)

    async def __call__(self, request: web.BaseRequest) -> WrittenAtOnce:
        trace = Trace(new_request_id(), self._clock)
        self._in_flight += 1
        try:
            try:
                body = await self._body(request)
            except GatewayError as error:
                answer = refusal(error)
            else:
                answer = await self._pipeline.handle(shown_credentials(request), body, trace)
        finally:
            self._in_flight -= 1
        seconds = self._clock.monotonic() - trace.started
        self._metrics.request(trace.operation, answer.error.code if answer.error else "OK", seconds)
        return WrittenAtOnce(answer.status, _header_lines(answer, trace, seconds, self._date()), answer.body)

    async def _body(self, request: web.BaseRequest) -> bytes:
        """The whole body, refused as early as its size, type or method can be known."""
        if request.method != hdrs.METH_POST:
            raise MethodNotAllowed("POST a JSON body to /v1; GET /docs says what it takes")
        length = request.content_length
        if length is not None and length > self._max_body_bytes:
            raise self._too_large()
        headers = request.headers
        content_type = headers.get(hdrs.CONTENT_TYPE)
        if content_type and content_type not in _JSON_TYPES and _media_type(content_type) not in _JSON_TYPES:
            raise UnsupportedMediaType("The body must be JSON: send Content-Type: application/json")
        if headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            raise UnsupportedMediaType("The body must not be compressed")
        if "?" in request.raw_path:
            raise InvalidParameter("query", "no query string: parameters and keys never belong in a URL")
        if self._in_flight > self._max_in_flight:
            raise ServiceUnavailable("The gateway is busy: nothing was sent", retry_after_s=1)
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


async def _tell_to_continue(request: web.BaseRequest) -> None:
    """A client that asked whether to send its body waits for this, some of them for ever."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def new_request_id() -> str:
    """A version 4 UUID."""
    digits = f"{_random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def shown_credentials(request: web.BaseRequest) -> Credentials:
    headers = request.headers
    return Credentials(headers.get(_API_KEY), headers.get(hdrs.AUTHORIZATION), request.remote or "")


class HttpDate:
    """The time as the ``Date`` header has it, spelled once a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._text = ""

    def __call__(self) -> str:
        second = self._clock.now_ms() // 1000
        if second != self._second:
            self._second, self._text = second, formatdate(second, usegmt=True)
        return self._text


class WrittenAtOnce:
    """A response whose head is plain text, and leaves with the body in one write.

    It has what aiohttp's server asks of a response. aiohttp's own fills a dictionary of headers and serializes it, for
    each one. ``lines`` are the header lines, each with its end; what belongs to the connection or tells the body's
    length is added to them.
    """

    __slots__ = ("_body", "_lines", "keep_alive", "status")

    def __init__(self, status: int, lines: str, body: bytes) -> None:
        self.status = status
        self.keep_alive = False
        self._lines = lines
        self._body = body

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write everything.

        :raises ConnectionError: the client is gone.
        """
        is_1_1 = request.version >= HttpVersion11
        self.keep_alive = keep_alive = request.keep_alive
        connection = ""
        if keep_alive != is_1_1:
            connection = "Connection: keep-alive\r\n" if keep_alive else "Connection: close\r\n"
        body = self._body
        head = (
            f"{'HTTP/1.1' if is_1_1 else 'HTTP/1.0'} {_STATUSES[self.status]}\r\n"
            f"{self._lines}{connection}Content-Length: {len(body)}\r\n\r\n"
        ).encode("ascii")
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        transport.write(head if request.method == hdrs.METH_HEAD else head + body)
        # A client that sends many requests and reads no answers waits here.
        if request.protocol.writing_paused:
            await request.writer.drain()

    async def write_eof(self) -> None:
        """All of it was written."""


def _header_lines(answer: Answer, trace: Trace, seconds: float, date: str) -> str:
    lines = (
        f"{_ALWAYS}Date: {date}\r\n"
        f"X-Request-Id: {trace.request_id}\r\n"
        f"X-Request-Duration-Ms: {seconds * 1000:.2f}\r\n"
        f"Server-Timing: {trace.timings.header()}\r\n"
    )
    if trace.usage is not None:
        lines += _usage_lines(trace.usage)
    error = answer.error
    if error is not None:
        if error.retry_after_s is not None:
            lines += f"Retry-After: {error.retry_after_s}\r\n"
        if error.status == 405:
            lines += "Allow: POST\r\n"
        if error.status == 401:
            lines += "WWW-Authenticate: Bearer\r\n"
    return lines


def _usage_lines(usage: Usage) -> str:
    return (
        f"X-RateLimit-Limit-Minute: {usage.limit_minute}\r\n"
        f"X-RateLimit-Remaining-Minute: {usage.remaining_minute}\r\n"
        f"X-RateLimit-Limit-Day: {usage.limit_day}\r\n"
        f"X-RateLimit-Remaining-Day: {usage.remaining_day}\r\n"
    )


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()
