"""``POST /v1``: bytes in, bytes out. Everything HTTP about a request is here, and nothing else is."""

from __future__ import annotations

import asyncio
import os
import uuid
from typing import Final

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http import RawRequestMessage
from multidict import CIMultiDictProxy

from gateway import x402
from gateway.admission import Admission
from gateway.clock import Clock
from gateway.metrics import Metrics
from gateway.pipeline import Answer, Pipeline, Trace, refusal
from gateway.plain import PlainEndpoint, Shown, is_whole_post, shown_in
from gateway.random_bits import random_bits
from gateway.written import HttpDate, WrittenAtOnce, lines_of
from normalization.errors import (
    GatewayError,
    InvalidParameter,
    MethodNotAllowed,
    PayloadTooLarge,
    PaymentRequired,
    ServiceUnavailable,
    UnsupportedMediaType,
)

PATH: Final = "/v1"
MAX_BODY_BYTES: Final = 64 * 1024
BODY_TIMEOUT_S: Final = 10.0

_JSON: Final = "application/json"
_JSON_TYPES: Final = (_JSON, "text/json")
_JSON_LINE: Final = "Content-Type: application/json\r\n"


class Endpoint(PlainEndpoint):
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
        return await self.answer(shown_in(request.headers, request.remote or ""), body, trace)

    async def answer(self, shown: Shown, body: bytes, trace: Trace | None = None) -> WrittenAtOnce:
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
            answer = await self._pipeline.handle(shown.credentials, body, trace)
        finally:
            admission.under_way -= 1
        return self._finished(answer, trace)

    def refused(self, error: GatewayError) -> WrittenAtOnce:
        """The answer to what never became a request. The connection does not outlive it."""
        answer = self._finished(refusal(error), Trace(new_request_id(), self._clock))
        answer.is_last = True
        return answer

    def plain(self, message: RawRequestMessage, length: int) -> Endpoint | None:
        is_taken = (
            message.path == PATH
            and is_whole_post(message)
            and length <= self._max_body_bytes
            and _is_json(message.headers.get(hdrs.CONTENT_TYPE))
        )
        return self if is_taken else None

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
        error = answer.error
        self._metrics.request(trace.operation, error.code if error else "OK", seconds)
        lines = _JSON_LINE + lines_of(trace, self._date(), seconds)
        if error is not None:
            lines += _error_lines(error)
        return WrittenAtOnce(answer.status, lines, answer.body)


async def _tell_to_continue(request: web.BaseRequest) -> None:
    """A client that asked whether to send its body waits for this, some of them for ever."""
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.version >= HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")


class RequestIds:
    """Version 4 UUIDs. They are no secrets: the first half is this process's, the second needs no system call each."""

    def __init__(self) -> None:
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def __call__(self) -> str:
        digits = f"{random_bits(60):015x}"
        return f"{self._first}{digits[:3]}-{digits[3:]}"

    def _begin(self) -> None:
        self._first = str(uuid.uuid4())[:20]


new_request_id: Final = RequestIds()


def _error_lines(error: GatewayError) -> str:
    lines = ""
    if error.retry_after_s is not None:
        lines += f"Retry-After: {error.retry_after_s}\r\n"
    if error.status == 405:
        lines += "Allow: POST\r\n"
    if error.status == 401:
        lines += "WWW-Authenticate: Bearer\r\n"
    if isinstance(error, PaymentRequired):
        lines += f"{x402.HEADER}: {x402.in_header(error, PATH)}\r\n"
    return lines


def _is_json(content_type: str | None) -> bool:
    return not content_type or content_type == _JSON or content_type.partition(";")[0].strip().lower() in _JSON_TYPES


def _is_as_it_is(headers: CIMultiDictProxy[str]) -> bool:
    """Whether the body's bytes are those of the JSON."""
    coding = headers.get(hdrs.CONTENT_ENCODING, "identity").lower()
    transfer = headers.get(hdrs.TRANSFER_ENCODING, "chunked").lower()
    return coding == "identity" and transfer == "chunked"
