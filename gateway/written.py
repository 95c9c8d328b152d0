"""Answers as bytes: what every head has in it, and a response that leaves in one write."""

from __future__ import annotations

import asyncio
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from aiohttp import HttpVersion11, hdrs, web

from gateway.clock import Clock
from gateway.pipeline import Trace
from gateway.timings import milliseconds

TAKEN_WITHIN_S: Final = 60.0
"""How long an answer may wait for its client to take it."""

_STATUSES: Final = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


def lines_of(trace: Trace, date: str, seconds: float) -> str:
    """What the head of an answer tells of its request, which took so many ``seconds``."""
    lines = (
        f"Cache-Control: no-store\r\nServer: venuegate\r\nDate: {date}\r\n"
        f"X-Request-Id: {trace.request_id}\r\nX-Request-Duration-Ms: {milliseconds(seconds)}\r\n"
        f"Server-Timing: {trace.timings.header()}\r\n"
    )
    usage = trace.usage
    if usage is None:
        return lines
    return (
        f"{lines}X-RateLimit-Limit-Minute: {usage.limit_minute}\r\n"
        f"X-RateLimit-Remaining-Minute: {usage.remaining_minute}\r\n"
        f"X-RateLimit-Limit-Day: {usage.limit_day}\r\n"
        f"X-RateLimit-Remaining-Day: {usage.remaining_day}\r\n"
    )


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
