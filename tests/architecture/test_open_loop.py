from __future__ import annotations

import asyncio
import itertools
from typing import cast

import pytest

from benchmarks.load import LoadFailed
from benchmarks.open_loop import Schedule

ANSWER = b"HTTP/1.1 200 OK\r\nServer-Timing: auth;dur=0.10, venue;dur=20.00\r\nContent-Length: 2\r\n\r\n{}"


class StallsOnce(asyncio.Protocol):
    """Answers at once, but for its third request, which keeps everybody waiting."""

    seen = itertools.count(1)
    answer = ANSWER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        wait = 0.2 if next(self.seen) == 3 else 0.0
        asyncio.get_running_loop().call_later(wait, self._transport.write, self.answer)


async def run_against(protocol: type[StallsOnce], *, connections: int, count: int) -> list[float]:
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    try:
        schedule = Schedule(itertools.repeat(b"x"), rate=100, count=count)
        answers = await schedule.run(server.sockets[0].getsockname()[1], connections)
    finally:
        server.close()
    assert all(answer.own_ms == pytest.approx(answer.seconds * 1000 - 20) for answer in answers)
    return sorted(answer.seconds for answer in answers)


async def test_a_stall_is_seen_by_every_request_that_was_due_meanwhile() -> None:
    class Stalls(StallsOnce):
        seen = itertools.count(1)

    seconds = await run_against(Stalls, connections=1, count=20)
    # One waited for its answer; the others for the connection, each ten milliseconds less than the one before.
    assert len([one for one in seconds if one > 0.05]) >= 10


async def test_an_answer_that_is_an_error_fails_the_run() -> None:
    class Refuses(StallsOnce):
        seen = itertools.count(4)
        answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"

    with pytest.raises(LoadFailed, match="503 Busy"):
        await run_against(Refuses, connections=2, count=5)
