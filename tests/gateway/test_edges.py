"""What comes over a connection that is no request, or takes too long to become one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.connection import HEAD_TIMEOUT_S, KEEP_ALIVE_S, MAX_HEAD_BYTES
from gateway.endpoint import BODY_TIMEOUT_S
from gateway.written import TAKEN_WITHIN_S
from tests.support.scripted_venue import ScriptedVenue
from tests.support.served import Served, served

LINE = b"POST /v1 HTTP/1.1\r\n"
START = LINE + b"Host: x\r\n"
TEN = b"Content-Length: 10\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

NO_REQUESTS = {
    "two lengths": START + TEN + b"Content-Length: 10\r\n\r\n" + b"1" * 10,
    "two different lengths": START + TEN + b"Content-Length: 20\r\n\r\n" + b"1" * 20,
    "a list of lengths": START + b"Content-Length: 10, 10\r\n\r\n" + b"1" * 10,
    "a signed length": START + b"Content-Length: +10\r\n\r\n" + b"1" * 10,
    "a length and chunks": START + TEN + CHUNKED + b"\r\n0\r\n\r\n",
    "chunks and a length": START + CHUNKED + TEN + b"\r\n0\r\n\r\n",
    "chunks twice": START + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "a coding that is none": START + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "bare line feeds": (START + TEN + b"\r\n" + b"1" * 10).replace(b"\r\n", b"\n"),
    "one bare line feed": START + b"X: y\n" + TEN + b"\r\n" + b"1" * 10,
    "a bare line feed at the end": START + TEN + b"\n" + b"1" * 10,
    "a bare carriage return": START + b"X: y\rz\r\n" + TEN + b"\r\n" + b"1" * 10,
    "a folded header": START + b"X: y\r\n z\r\n" + TEN + b"\r\n" + b"1" * 10,
    "two hosts": START + b"Host: y\r\n" + TEN + b"\r\n" + b"1" * 10,
    "no host": LINE + TEN + b"\r\n" + b"1" * 10,
    "a space before the colon": START + b"Content-Length : 10\r\n\r\n" + b"1" * 10,
    "a header without a name": START + b": y\r\n\r\n",
    "a NUL": START + b"X: a\x00b\r\n\r\n",
    "a header that is too long": START + b"X-API-Key: " + b"k" * 9_000 + b"\r\n\r\n",
    "a line that is too long": b"POST /" + b"k" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "too many headers": START + b"A: b\r\n" * 200 + b"\r\n",
    "an address that is none": b"POST v1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a version that is none": b"POST /v1 HTTP/1.2\r\nHost: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "words": b"hello?\r\n\r\n",
    "a chunk's size that is none": START + CHUNKED + b"\r\nzz\r\n1\r\n0\r\n\r\n",
    "a chunk's size below zero": START + CHUNKED + b"\r\n-1\r\n1\r\n0\r\n\r\n",
}  # fmt: skip


class Line:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def rest(self) -> bytes:
        """Everything until the gateway ends the connection."""
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                return await self._reader.read()
            return b""

    async def answer(self) -> bytes:
        async with asyncio.timeout(10):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return head + await self._reader.readexactly(length)


class Desk:
    def __init__(self, gateway: Served, key: str) -> None:
        self.gateway = gateway
        self._key = key

    def request(self, body: bytes = b'{"operation": "listCredentials"}') -> bytes:
        return START + f"X-API-Key: {self._key}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    @contextlib.asynccontextmanager
    async def line(self) -> AsyncIterator[Line]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.port)
        try:
            yield Line(reader, writer)
        finally:
            writer.transport.abort()

    async def is_well(self) -> bool:
        """Whether somebody else is served."""
        async with self.line() as line:
            line.send(self.request())
            return (await line.answer()).startswith(b"HTTP/1.1 200 ")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with served(tmp_path) as gateway:
        yield Desk(gateway, await gateway.key(await gateway.account()))


@pytest.fixture
async def later() -> AsyncIterator[Callable[[float], None]]:
    """Let so many seconds pass for every timer of the event loop."""
    loop: Any = asyncio.get_running_loop()
    real = loop.time
    passed = 0.0

    def advance(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    loop.time = lambda: real() + passed
    yield advance
    del loop.time


async def test_what_is_no_request_is_refused_once_and_the_connection_ends(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    for name, data in NO_REQUESTS.items():
        async with desk.line() as line:
            # A good one after it is not answered: where it begins is anybody's guess.
            line.send(data + desk.request())
            told = await line.rest()
        head, _, body = told.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n"), (name, told)
        assert b"\r\nConnection: close" in head, name
        assert b"\r\nX-Request-Id: " in head, name
        envelope = json.loads(body)
        assert (envelope["success"], envelope["code"]) == (False, "MALFORMED_REQUEST"), name
        assert "kkk" not in envelope["error"], name
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert await desk.is_well()


async def test_what_is_no_request_after_a_good_one_takes_nothing_from_it(desk: Desk) -> None:
    async with desk.line() as line:
        line.send(desk.request())
        assert (await line.answer()).startswith(b"HTTP/1.1 200 ")
        line.send(NO_REQUESTS["two hosts"])
        assert (await line.rest()).startswith(b"HTTP/1.1 400 ")


async def test_a_body_that_breaks_off_is_told_to_the_request_it_belongs_to(desk: Desk) -> None:
    async with desk.line() as line:
        line.send(START + CHUNKED + b"\r\n5\r\n{")
        await asyncio.sleep(0)
        line.send(b'"a":\r\nnonsense\r\n')
        told = await line.rest()
    assert told.count(b"HTTP/1.1 400 ") == told.count(b"Content-Length: ") == 1
    assert b"MALFORMED_REQUEST" in told
    assert b"\r\nConnection: close\r\n" in told


async def test_a_compressed_transfer_is_refused(desk: Desk) -> None:
    async with desk.line() as line:
        line.send(START + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
        assert b"UNSUPPORTED_MEDIA_TYPE" in await line.answer()


async def test_half_a_head_is_given_five_seconds(desk: Desk, later: Callable[[float], None]) -> None:
    async with desk.line() as line:
        line.send(START)
        line.send(b"X-")
        await _until_heard(desk)
        later(HEAD_TIMEOUT_S - 1)
        line.send(b"Y: ")
        await _until_heard(desk)
        # It is one head: a byte now and then buys no more time.
        later(2)
        assert await line.rest() == b""
    assert await desk.is_well()


async def test_a_head_that_comes_in_pieces_in_time_is_a_request_like_others(
    desk: Desk, later: Callable[[float], None]
) -> None:
    async with desk.line() as line:
        for _ in range(3):
            request = desk.request()
            for at in range(0, len(request), 40):
                line.send(request[at : at + 40])
                await line.writer.drain()
                await asyncio.sleep(0)
            assert (await line.answer()).startswith(b"HTTP/1.1 200 ")
            later(HEAD_TIMEOUT_S - 1)


async def test_half_a_head_does_not_cost_the_answer_before_it(tmp_path: Path, later: Callable[[float], None]) -> None:
    venue = ScriptedVenue()
    gate = venue.gate = asyncio.Event()
    async with served(tmp_path, {"scripted": venue}) as gateway:
        account = await gateway.account()
        credential = await gateway.credential(account)
        desk = Desk(gateway, await gateway.key(account))
        order = {
            "operation": "placeLimitOrder", "credentialId": credential.credential_id, "market": "BTC", "side": "BUY",
            "size": "0.01", "price": "94000",
        }  # fmt: skip
        async with desk.line() as line:
            line.send(desk.request(json.dumps(order).encode()) + START)
            await venue.arrived.wait()
            later(HEAD_TIMEOUT_S + 1)
            await asyncio.sleep(0)
            gate.set()
            told = await line.rest()
        assert told.startswith(b"HTTP/1.1 200 ")
        assert len(venue.sent) == 1


async def test_a_head_has_its_size(desk: Desk) -> None:
    async with desk.line() as line:
        line.send(START)
        padding = b"X-Padding: " + b"x" * 987 + b"\r\n"
        for _ in range(MAX_HEAD_BYTES // len(padding)):
            line.send(padding)
            await _until_heard(desk)
        line.send(padding)
        told = await line.rest()
    assert told.startswith(b"HTTP/1.1 400 ")


async def test_a_body_is_given_ten_seconds(desk: Desk, later: Callable[[float], None]) -> None:
    async with desk.line() as line:
        line.send(START + TEN + b"\r\n{")
        await _until_heard(desk)
        later(BODY_TIMEOUT_S + 1)
        told = await line.answer()
    assert told.startswith(b"HTTP/1.1 400 ")
    assert b"INVALID_PARAMETER" in told


async def test_an_idle_connection_is_kept_for_a_minute(desk: Desk, later: Callable[[float], None]) -> None:
    async with desk.line() as line:
        for _ in range(2):
            line.send(desk.request())
            await line.answer()
            later(KEEP_ALIVE_S - 1)
            await asyncio.sleep(0)
        line.send(desk.request())
        assert (await line.answer()).startswith(b"HTTP/1.1 200 ")
        later(KEEP_ALIVE_S + 1)
        assert await line.rest() == b""


async def test_a_client_that_takes_no_answers_is_given_up(desk: Desk, later: Callable[[float], None]) -> None:
    async with desk.line() as line:
        transport: Any = line.writer.transport
        transport.pause_reading()
        # More answers than the system keeps for a client that does not take them: in the end nothing moves.
        with contextlib.suppress(ConnectionError, TimeoutError):
            for _ in range(200):
                line.send(desk.request(b'{"operation": "' + b"x" * 20_000 + b'"}') * 50)
                await asyncio.wait_for(line.writer.drain(), 2.0)
        other = Desk(desk.gateway, await desk.gateway.key(await desk.gateway.account()))
        assert await other.is_well()
        later(TAKEN_WITHIN_S + 1)
        transport.resume_reading()
        told = await line.rest()
        # It was cut off in the middle of them.
        assert told.count(b"HTTP/1.1 ") < 10_000
        assert await other.is_well()


async def test_more_connections_than_there_is_room_for_are_told_so(tmp_path: Path) -> None:
    async with served(tmp_path, max_connections=3) as gateway:
        desk = Desk(gateway, await gateway.key(await gateway.account()))
        async with contextlib.AsyncExitStack() as stack:
            lines = [await stack.enter_async_context(desk.line()) for _ in range(3)]
            for line in lines:
                line.send(desk.request())
                assert (await line.answer()).startswith(b"HTTP/1.1 200 ")
            async with desk.line() as one_too_many:
                told = await one_too_many.rest()
            assert told.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: 1\r\n" in told
            assert b"SERVICE_UNAVAILABLE" in told
            lines[0].send(desk.request())
            assert (await lines[0].answer()).startswith(b"HTTP/1.1 200 ")
        # It takes a moment to notice that they are gone.
        assert any([await desk.is_well() for _ in range(100)])


async def _until_heard(desk: Desk) -> None:
    """What was sent before on other connections has been read when this one is answered."""
    assert await desk.is_well()


@pytest.mark.parametrize(("soft", "hard", "wanted", "room"), [(1_024, 4_096, 1_000, 1_000), (700, 700, 1_000, 188)])
def test_there_is_room_for_as_many_connections_as_files_may_be_open(
    soft: int, hard: int, wanted: int, room: int
) -> None:
    code = (
        "import resource; from gateway.web import room_for_connections;"
        f" resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard})); print(room_for_connections({wanted}))"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert told.stdout.split()[-1] == str(room)
