"""A load that does not wait for its answers: every request has an instant at which it is due, whatever came before.

A load that sends when it has been answered stops asking while the server stalls, and so does not see the stall. Here
the time of an answer counts from when its request was due.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, cast

import msgspec

from benchmarks.load import LoadFailed

_VENUE: Final = re.compile(rb"venue;dur=([0-9.]+)")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_HEAD_END: Final = b"\r\n\r\n"
_OK: Final = b"HTTP/1.1 200"
_LAST_ANSWERS_S: Final = 15.0


class Timed(msgspec.Struct, frozen=True, kw_only=True):
    """One answer: how long after it was due, and how much of that the gateway says that the venue took."""

    seconds: float
    venue_seconds: float

    @property
    def own_ms(self) -> float:
        """Everything but the venue."""
        return (self.seconds - self.venue_seconds) * 1000


class _Connection(asyncio.Protocol):
    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._schedule.fail("the server closed a connection")

    def send(self, request: bytes, due: float) -> None:
        self._due = due
        if self._transport is not None:
            self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer = self._buffer + data
        head_end = buffer.find(_HEAD_END)
        length = _LENGTH.search(buffer, 0, head_end + 2) if head_end >= 0 else None
        if head_end < 0:
            return
        if length is None:
            self._schedule.fail(f"the server answered without a length: {buffer[:600]!r}")
            return
        if len(buffer) < head_end + len(_HEAD_END) + int(length[1]):
            return
        if not buffer.startswith(_OK) and not self._schedule.may_refuse(buffer):
            return
        self._buffer = b""
        venue = _VENUE.search(buffer, 0, head_end)
        self._schedule.answered(self, self._due, float(venue[1]) / 1000 if venue else 0.0)


class Schedule:
    """``rate`` requests a second, evenly, over as many connections as there are; what finds none idle waits for one.

    ``refused`` counts the answers that were not a 200. More than ``most_refused`` end it.
    """

    def __init__(self, requests: Iterator[bytes], *, rate: float, count: int, most_refused: int = 0) -> None:
        self._requests = requests
        self._interval = 1 / rate
        self._left = count
        self._idle: deque[_Connection] = deque()
        self._late: deque[float] = deque()
        self._answers: list[Timed] = []
        self._count = count
        self._most_refused = most_refused
        self.refused = 0
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, port: int, connections: int) -> Sequence[Timed]:
        """:raises LoadFailed: too many answers were not a 200, or did not come."""
        loop = asyncio.get_running_loop()
        made = [loop.create_connection(lambda: _Connection(self), "127.0.0.1", port) for _ in range(connections)]
        opened = [connection for _, connection in await asyncio.gather(*made)]
        self._idle.extend(opened)
        self._tick(time.perf_counter())
        try:
            async with asyncio.timeout(self._count * self._interval + _LAST_ANSWERS_S):
                await self._done
        except TimeoutError:
            raise LoadFailed(f"{self._count - len(self._answers)} of {self._count} answers never came") from None
        finally:
            for connection in opened:
                connection.close()
        return self._answers

    def answered(self, connection: _Connection, due: float, venue_seconds: float) -> None:
        self._answers.append(Timed(seconds=time.perf_counter() - due, venue_seconds=venue_seconds))
        if len(self._answers) == self._count and not self._done.done():
            self._done.set_result(None)
        if self._late:
            connection.send(next(self._requests), self._late.popleft())
        else:
            self._idle.append(connection)

    def may_refuse(self, answer: bytes) -> bool:
        self.refused += 1
        if self.refused > self._most_refused:
            self.fail(f"the server answered {answer[:600]!r}")
        return self.refused <= self._most_refused

    def fail(self, problem: str) -> None:
        if not self._done.done():
            self._done.set_exception(LoadFailed(problem))

    def _tick(self, due: float) -> None:
        """Send whatever is due by now, and come back for the rest."""
        now = time.perf_counter()
        if self._done.done():
            return
        while self._left and due <= now:
            self._left -= 1
            if self._idle:
                self._idle.popleft().send(next(self._requests), due)
            else:
                self._late.append(due)
            due += self._interval
        if self._left:
            asyncio.get_running_loop().call_later(max(due - now, 0.0), self._tick, due)
