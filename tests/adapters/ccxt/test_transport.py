from __future__ import annotations

import asyncio
import gzip
import os
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from adapters.transport import MAX_BODY, PublicResolver, Request, Transport
from normalization.venue_failures import VenueNotReached, VenueUnclear
from tests.adapters.ccxt.recording_server import Answer, Sent, recording


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    transport = Transport()
    yield transport
    await transport.close()


class FixedResolver(AbstractResolver):
    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=h, port=port, family=socket.AF_INET, proto=0, flags=0) for h in self.hosts
        ]

    async def close(self) -> None:
        """Nothing is open."""


def get(url: str) -> Request:
    return Request(method="GET", url=url)


async def test_what_is_sent_and_answered_goes_through_byte_for_byte(transport: Transport) -> None:
    async with recording(lambda sent: Answer(b'{"a": 1}', 404, {"X-Thing": "1"})) as server:
        url = f"{server.url}/v1/a?b=%2F&c="
        reply = await transport.send(Request(method="POST", url=url, headers={"X-Y": "z"}, body=b'{"p":"1.0"}'))
    assert (reply.status, reply.body, reply.headers["x-thing"]) == (404, b'{"a": 1}', "1")
    (sent,) = server.sent
    assert (sent.method, sent.path, sent.body, sent.headers["X-Y"]) == ("POST", "/v1/a?b=%2F&c=", b'{"p":"1.0"}', "z")


async def test_a_refused_connection_was_not_sent(transport: Transport) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(VenueNotReached):
            await transport.send(get(f"http://127.0.0.1:{taken.getsockname()[1]}/"))


async def test_a_name_that_does_not_resolve_was_not_sent() -> None:
    transport = Transport(resolver=PublicResolver(FixedResolver()))
    with pytest.raises(VenueNotReached, match="name"):
        await transport.send(get("https://venue.example/"))
    await transport.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1"])
async def test_a_venues_name_never_leads_to_a_private_address(host: str) -> None:
    transport = Transport(resolver=PublicResolver(FixedResolver(host)))
    with pytest.raises(VenueNotReached):
        await transport.send(get("https://venue.example/"))
    await transport.close()


async def test_an_address_that_is_public_is_kept() -> None:
    found = await PublicResolver(FixedResolver("10.0.0.1", "1.1.1.1")).resolve("venue.example", 443)
    assert [result["host"] for result in found] == ["1.1.1.1"]


async def test_a_failed_handshake_was_not_sent(transport: Transport) -> None:
    async with recording(lambda sent: Answer()) as server:
        with pytest.raises(VenueNotReached, match="secure"):
            await transport.send(get(server.url.replace("http:", "https:") + "/"))
    assert server.sent == []


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_nothing_is_sent_a_second_time_when_a_kept_connection_breaks(transport: Transport, method: str) -> None:
    async with recording(lambda sent: Answer()) as server:
        await transport.send(Request(method=method, url=server.url + "/1"))
        server.hang_up = True
        with pytest.raises(VenueUnclear):
            await transport.send(Request(method=method, url=server.url + "/2"))
    assert [sent.path for sent in server.sent] == ["/1", "/2"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed(transport: Transport, status: int) -> None:
    async with recording(lambda sent: Answer(b"", status, {"Location": "/elsewhere"})) as server:
        with pytest.raises(VenueUnclear, match="redirect"):
            await transport.send(Request(method="POST", url=server.url + "/orders", body=b"{}"))
    assert [sent.path for sent in server.sent] == ["/orders"]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"x" * (MAX_BODY + 1)),
        Answer(gzip.compress(b"0" * (64 * MAX_BODY)), 200, {"Content-Encoding": "gzip"}),
    ],
    ids=["plain", "compressed"],
)
async def test_an_answer_without_end_is_cut_off(transport: Transport, answer: Answer) -> None:
    async with recording(lambda sent: answer) as server:
        with pytest.raises(VenueUnclear):
            await transport.send(get(server.url + "/"))


@pytest.mark.parametrize("kind", ["truncated", "chunk", "nonsense"])
async def test_an_answer_that_is_not_whole_is_unclear(transport: Transport, kind: str) -> None:
    replies = {
        "truncated": b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"status":"ok"',
        "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        "nonsense": b"220 smtp ready\r\n",
    }

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(replies[kind])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(VenueUnclear):
            await transport.send(get(f"http://127.0.0.1:{port}/"))


async def test_what_nobody_asked_for_is_never_taken_for_a_reply(transport: Transport) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        replies = [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + name for name in (b"a", b"b")]
        await reader.readuntil(b"\r\n\r\n")
        writer.write(replies[0])
        if connections == 1:
            # Time for the first to be read, as a late reply would give.
            await until_kept.wait()
            writer.write(replies[1])
            second_sent.set()
        await reader.read()
        writer.close()

    until_kept, second_sent = asyncio.Event(), asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        first = await transport.send(get(url))
        until_kept.set()
        await asyncio.wait_for(second_sent.wait(), 5)
        # A turn each for the bytes to leave and to come.
        await asyncio.wait_for(asyncio.to_thread(lambda: None), 5)
        second = await transport.send(get(url))
        await transport.close()
    assert (first.body, second.body, connections) == (b"a", b"a", 2)


async def test_an_interim_reply_is_not_the_reply(transport: Transport) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        reply = await transport.send(get(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"))
    assert (reply.status, reply.body) == (200, b"{}")


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/", {"X-Key": "a\r\nX-More: b"}), ("/", {"X-Key": "caf\u00e9"}), ("/ HTTP/1.1\r\nX: y", {}), ("/a b", {})],
    ids=["two headers", "not ASCII", "two lines", "a space"],
)
async def test_what_would_not_be_one_request_is_not_sent(
    transport: Transport, path: str, headers: dict[str, str]
) -> None:
    async with recording(lambda sent: Answer()) as server:
        with pytest.raises(VenueNotReached):
            await transport.send(Request(method="GET", url=server.url + path, headers=headers))
    assert server.sent == []


async def test_a_header_of_the_request_stands_instead_of_the_usual_one(transport: Transport) -> None:
    async with recording(lambda sent: Answer()) as server:
        await transport.send(Request(method="GET", url=server.url + "/", headers={"user-agent": "else"}))
    (sent,) = server.sent
    assert [value for name, value in sent.headers.items() if name.lower() == "user-agent"] == ["else"]


async def test_cookies_are_neither_kept_nor_sent(transport: Transport) -> None:
    def with_cookie(sent: Sent) -> web.Response:
        response = web.Response(text="{}")
        response.set_cookie("session", "1")
        return response

    async with recording(with_cookie) as server:
        await transport.send(get(server.url + "/1"))
        await transport.send(get(server.url + "/2"))
    assert all("Cookie" not in sent.headers for sent in server.sent)


async def test_a_proxy_in_the_environment_is_not_used(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setitem(os.environ, name, "http://127.0.0.1:1")
    async with recording(lambda sent: Answer()) as server:
        assert (await transport.send(get(server.url + "/"))).status == 200
