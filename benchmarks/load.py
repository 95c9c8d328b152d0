"""The load: keep-alive connections that write ready-made requests and count the answers."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from typing import Final, cast

import msgspec

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_HEAD_END: Final = b"\r\n\r\n"
_OK: Final = b"HTTP/1.1 200"
_ANSWER_WITHIN_S: Final = 15.0


class LoadFailed(Exception):
    """An answer was not a 200 with a length, or a connection was lost."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """``seconds`` is from the first request to the last answer."""

    answers: int
    seconds: float


class Connection(asyncio.Protocol):
    """One request at a time until told to stop, or there are no more; ``idle`` is done when the last answer is in."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        self._requests = requests
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._stopping = True
        self.answers = 0
        self.first_answer = b""
        self.idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def start(self) -> None:
        """Send the first request."""
        self._stopping = False
        self._send()

    def stop(self) -> None:
        """Send no more after the answer that is awaited."""
        self._stopping = True

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        head_end = buffer.find(_HEAD_END)
        if head_end < 0:
            self._buffer = buffer
            return
        length = _LENGTH.search(buffer, 0, head_end + 2)
        if not buffer.startswith(_OK) or length is None:
            self._fail(f"answered {buffer[:600]!r}")
            return
        whole = head_end + len(_HEAD_END) + int(length[1])
        if len(buffer) < whole:
            self._buffer = buffer
            return
        if len(buffer) > whole:
            self._fail("sent more than one answer to one request")
            return
        self._buffer = b""
        if not self.answers:
            self.first_answer = buffer
        self.answers += 1
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail("closed the connection")

    def _send(self) -> None:
        request = None if self._stopping else next(self._requests, None)
        if request is not None and self._transport is not None:
            self._transport.write(request)
        elif not self.idle.done():
            self.idle.set_result(None)

    def _fail(self, problem: str) -> None:
        if not self.idle.done():
            self.idle.set_exception(LoadFailed(f"the server {problem}"))


async def connect(port: int, requests: Iterator[bytes], count: int) -> list[Connection]:
    """``count`` open connections that share ``requests`` and have sent nothing yet."""
    loop = asyncio.get_running_loop()
    made = [loop.create_connection(lambda: Connection(requests), "127.0.0.1", port) for _ in range(count)]
    return [connection for _, connection in await asyncio.gather(*made)]


async def run_load(connections: list[Connection], seconds: float) -> Load:
    """Keep every connection busy for about ``seconds``, at most until the requests are used up, then close it.

    :raises LoadFailed: an answer was not a 200, or did not come.
    """
    started = time.perf_counter()
    for connection in connections:
        connection.start()
    try:
        idle = [connection.idle for connection in connections]
        await asyncio.wait(idle, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
        for connection in connections:
            connection.stop()
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                await asyncio.gather(*idle)
        except TimeoutError:
            raise LoadFailed(f"the server did not answer within {_ANSWER_WITHIN_S:.0f} s") from None
        ended = time.perf_counter()
    finally:
        for connection in connections:
            connection.close()
    return Load(answers=sum(connection.answers for connection in connections), seconds=ended - started)
