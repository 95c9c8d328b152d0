from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.served import Served, served

BODY = b'{"operation": "listCredentials"}'


class Wire:
    """One raw connection to a gateway, with the key of an account."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> None:
        self.reader = reader
        self.writer = writer
        self.key = key

    def send(self, *headers: str, first: str = "POST /v1 HTTP/1.1", body: bytes = BODY) -> None:
        head = "\r\n".join([first, "Host: x", f"X-API-Key: {self.key}", f"Content-Length: {len(body)}", *headers])
        self.writer.write(head.encode() + b"\r\n\r\n" + body)

    async def answer(self) -> tuple[str, dict[str, str], bytes]:
        """The status line, the headers with their names in small letters, and as much body as they promise."""
        async with asyncio.timeout(10):
            first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            assert len(headers) == len(lines)
            return first, headers, await self.reader.readexactly(int(headers["content-length"]))

    async def is_closed(self) -> bool:
        """Whether the gateway ends the connection, with nothing more on it."""
        async with asyncio.timeout(10):
            return await self.reader.read() == b""


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as gateway:
        yield gateway


@contextlib.asynccontextmanager
async def wire_to(gateway: Served) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        yield Wire(reader, writer, await gateway.key(await gateway.account()))
    finally:
        writer.transport.abort()


@pytest.fixture
async def wire(gateway: Served) -> AsyncIterator[Wire]:
    async with wire_to(gateway) as wire:
        yield wire


async def test_a_connection_stays_open_unless_the_client_says_otherwise(wire: Wire) -> None:
    for _ in range(3):
        wire.send()
        first, headers, body = await wire.answer()
        assert (first, json.loads(body)["success"]) == ("HTTP/1.1 200 OK", True)
        assert "connection" not in headers
    wire.send("Connection: close")
    _, headers, _ = await wire.answer()
    assert headers["connection"] == "close"
    assert await wire.is_closed()


async def test_an_http_1_0_client_is_answered_in_kind(wire: Wire) -> None:
    wire.send("Connection: keep-alive", first="POST /v1 HTTP/1.0")
    first, headers, _ = await wire.answer()
    assert (first, headers["connection"]) == ("HTTP/1.0 200 OK", "keep-alive")
    wire.send(first="POST /v1 HTTP/1.0")
    first, headers, _ = await wire.answer()
    assert first == "HTTP/1.0 200 OK"
    assert "connection" not in headers
    assert await wire.is_closed()


async def test_what_is_sent_before_the_first_answer_is_answered_in_order(wire: Wire) -> None:
    for number in range(20):
        wire.send(body=b'{"operation": "no%d"}' % number if number % 2 else BODY)
    for number in range(20):
        first, _, body = await wire.answer()
        assert first == ("HTTP/1.1 400 Bad Request" if number % 2 else "HTTP/1.1 200 OK")
        if number % 2:
            assert f"no{number}" in json.loads(body)["error"]


async def test_head_has_the_headers_and_no_body(wire: Wire) -> None:
    wire.send(first="HEAD /v1 HTTP/1.1", body=b"")
    async with asyncio.timeout(10):
        head = await wire.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert b"\r\nAllow: POST\r\n" in head
    wire.send()
    # The next thing on the connection is the next answer: there was no body.
    assert (await wire.answer())[0] == "HTTP/1.1 200 OK"


async def test_a_client_that_asks_whether_to_send_its_body_is_told_to(wire: Wire) -> None:
    head = f"POST /v1 HTTP/1.1\r\nHost: x\r\nX-API-Key: {wire.key}\r\nContent-Length: {len(BODY)}\r\n"
    wire.writer.write(f"{head}Expect: 100-continue\r\n\r\n".encode())
    async with asyncio.timeout(10):
        assert await wire.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.writer.write(BODY)
    assert (await wire.answer())[0] == "HTTP/1.1 200 OK"


async def test_a_client_that_asks_first_is_refused_without_its_body(wire: Wire) -> None:
    wire.writer.write(b"POST /v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
    assert (await wire.answer())[0].startswith("HTTP/1.1 413 ")


async def test_every_answer_has_a_date_and_forbids_caches(wire: Wire) -> None:
    for body in (BODY, b"{"):
        wire.send(body=body)
        _, headers, _ = await wire.answer()
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", headers["date"])
        assert headers["cache-control"] == "no-store"
        assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/v1", "/v1/", "http://x/v1"])
async def test_other_spellings_of_the_address_are_the_same_one(wire: Wire, path: str) -> None:
    wire.send(first=f"POST {path} HTTP/1.1")
    assert (await wire.answer())[0] == "HTTP/1.1 200 OK"


async def test_a_client_that_reads_nothing_holds_nobody_up(gateway: Served, wire: Wire) -> None:
    for _ in range(50):
        wire.send(body=b"{")
    async with wire_to(gateway) as good:
        good.send()
        assert (await good.answer())[0] == "HTTP/1.1 200 OK"


async def test_a_client_that_is_gone_leaves_the_gateway_well(gateway: Served) -> None:
    for _ in range(10):
        async with wire_to(gateway) as gone:
            gone.send()
    async with wire_to(gateway) as wire:
        wire.send()
        assert (await wire.answer())[0] == "HTTP/1.1 200 OK"
