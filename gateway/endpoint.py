"""``POST /v1``: bytes in, bytes out. Everything HTTP about a request is here, and nothing else is."""

from __future__ import annotations

import asyncio
import secrets
from typing import Final
from uuid import UUID

from aiohttp import web
from multidict import CIMultiDict

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


class Endpoint:
    def __init__(
        self, pipeline: Pipeline, *, metrics: Metrics, clock: Clock, max_in_flight: int, max_body_bytes: int
    ) -> None:
        self._pipeline = pipeline
        self._metrics = metrics
        self._clock = clock
        self._max_in_flight = max_in_flight
        self._max_body_bytes = max_body_bytes
        self._in_flight = 0
        metrics.in_flight.set_function(lambda: self._in_flight)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
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
        return _response(answer, trace, seconds)

    async def _body(self, request: web.BaseRequest) -> bytes:
        """The whole body, refused as early as its size, type or method can be known."""
        if request.method != "POST":
            raise MethodNotAllowed("POST a JSON body to /v1; GET /docs says what it takes")
        length = request.content_length
        if length is not None and length > self._max_body_bytes:
            raise self._too_large()
        headers = request.headers
        content_type = headers.get("Content-Type")
        if content_type and content_type.partition(";")[0].strip().lower() not in _JSON_TYPES:
            raise UnsupportedMediaType("The body must be JSON: send Content-Type: application/json")
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType("The body must not be compressed")
        if request.query_string:
            raise InvalidParameter("query", "no query string: parameters and keys never belong in a URL")
        if self._in_flight > self._max_in_flight:
            raise ServiceUnavailable("The gateway is busy: nothing was sent", retry_after_s=1)
        return await self._read(request)

    async def _read(self, request: web.BaseRequest) -> bytes:
        stream = request.content
        if stream.is_eof():
            body = stream.read_nowait()
        else:
            chunks: list[bytes] = []
            size = 0
            try:
                async with asyncio.timeout(BODY_TIMEOUT_S):
                    while chunk := await stream.readany():
                        size += len(chunk)
                        if size > self._max_body_bytes:
                            raise self._too_large()
                        chunks.append(chunk)
            except TimeoutError:
                raise InvalidParameter("body", f"the whole body within {BODY_TIMEOUT_S:.0f} seconds") from None
            body = b"".join(chunks)
        if len(body) > self._max_body_bytes:
            raise self._too_large()
        return body

    def _too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(f"The body is over {self._max_body_bytes // 1024} KiB")


def new_request_id() -> str:
    return str(UUID(bytes=secrets.token_bytes(16), version=4))


def shown_credentials(request: web.BaseRequest) -> Credentials:
    headers = request.headers
    return Credentials(headers.get("X-API-Key"), headers.get("Authorization"), request.remote or "")


def _response(answer: Answer, trace: Trace, seconds: float) -> web.Response:
    headers: CIMultiDict[str] = CIMultiDict(
        {
            "Content-Type": "application/json",
            "X-Request-Id": trace.request_id,
            "X-Request-Duration-Ms": f"{seconds * 1000:.2f}",
            "Server-Timing": trace.timings.header(),
            "Cache-Control": "no-store",
        }
    )
    if trace.usage is not None:
        _add_usage(headers, trace.usage)
    error = answer.error
    if error is not None:
        if error.retry_after_s is not None:
            headers["Retry-After"] = str(error.retry_after_s)
        if error.status == 405:
            headers["Allow"] = "POST"
        if error.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
    return web.Response(status=answer.status, body=answer.body, headers=headers)


def _add_usage(headers: CIMultiDict[str], usage: Usage) -> None:
    headers["X-RateLimit-Limit-Minute"] = str(usage.limit_minute)
    headers["X-RateLimit-Remaining-Minute"] = str(usage.remaining_minute)
    headers["X-RateLimit-Limit-Day"] = str(usage.limit_day)
    headers["X-RateLimit-Remaining-Day"] = str(usage.remaining_day)
