"""A head that was seen before is taken without the parser: what comes of a request must not differ by that."""

from __future__ import annotations

import asyncio
import gc
import random
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway import keys
from gateway.heads import Heads
from gateway.pipeline import Credentials
from storage.ports import KeyEnvironment, Tier
from tests.support.served import Served, served

_DIFFERENT_EACH_TIME = re.compile(
    rb"(X-Request-Id|X-Request-Duration-Ms|Server-Timing|Date|X-RateLimit-Remaining-\w+): [^\r]*"
)
_REMAINING = re.compile(rb"X-RateLimit-Remaining-Minute: (\d+)")


class Caller:
    """An account that asks for something that needs no wait."""

    def __init__(self, gateway: Served, key: str, credential_id: str) -> None:
        self.gateway = gateway
        self.key = key
        self.body = f'{{"operation": "getMarkets", "credentialId": "{credential_id}"}}'.encode()

    def head(self, *headers: str, body: bytes | None = None) -> bytes:
        length = len(self.body if body is None else body)
        lines = ["POST /v1 HTTP/1.1", "Host: x", f"X-API-Key: {self.key}", *headers, f"Content-Length: {length}"]
        return "\r\n".join(lines).encode() + b"\r\n\r\n"

    def request(self, *headers: str, body: bytes | None = None) -> bytes:
        return self.head(*headers, body=body) + (self.body if body is None else body)


class Wire:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def answer(self) -> bytes:
        async with asyncio.timeout(10):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return head + await self._reader.readexactly(length)

    async def ask(self, data: bytes) -> bytes:
        self.send(data)
        return await self.answer()

    def close(self) -> None:
        self._writer.transport.abort()


class Desk:
    def __init__(self, gateway: Served) -> None:
        self.gateway = gateway
        self._wires: list[Wire] = []

    async def caller(self) -> Caller:
        account = await self.gateway.account(Tier.PRO)
        credential = await self.gateway.credential(account)
        return Caller(self.gateway, await self.gateway.key(account), credential.credential_id)

    async def wire(self) -> Wire:
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.gateway.port))
        self._wires.append(wire)
        return wire

    def close(self) -> None:
        for wire in self._wires:
            wire.close()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with served(tmp_path) as gateway:
        desk = Desk(gateway)
        yield desk
        desk.close()


@contextmanager
def parsings() -> Iterator[list[str]]:
    """One entry for every time that aiohttp's parser is given something."""
    seen: list[str] = []

    def watch(frame: object, event: str, called: object) -> None:
        if event == "c_call" and getattr(called, "__name__", "") == "feed_data":
            seen.append("feed_data")

    sys.setprofile(watch)
    try:
        yield seen
    finally:
        sys.setprofile(None)


def alike(answer: bytes) -> bytes:
    """Without what differs from one answer to the next in any case."""
    return _DIFFERENT_EACH_TIME.sub(rb"\1", answer)


def remaining(answer: bytes) -> int:
    found = _REMAINING.search(answer)
    assert found is not None, answer
    return int(found[1])


async def known(wire: Wire, request: bytes) -> bytes:
    """The answer to a request whose head is known by the time that it is given."""
    for _ in range(3):
        await wire.ask(request)
    return await wire.ask(request)


async def test_a_head_that_comes_again_is_not_parsed_again_and_makes_no_difference(desk: Desk) -> None:
    caller, wire = await desk.caller(), await desk.wire()
    request = caller.request("Content-Type: application/json; charset=utf-8", "User-Agent: a/1")
    first = await wire.ask(request)
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    await known(wire, request)
    with parsings() as seen:
        again = [await wire.ask(request) for _ in range(5)]
    assert seen == []
    assert [alike(answer) for answer in again] == [alike(first)] * 5
    # Each was counted.
    assert [remaining(answer) for answer in again] == list(range(remaining(again[0]), remaining(again[0]) - 5, -1))


async def test_a_key_in_either_header_is_read_where_it_stands(desk: Desk) -> None:
    caller, wire = await desk.caller(), await desk.wire()
    bearer = caller.request().replace(b"X-API-Key: ", b"Authorization: Bearer ")
    both = caller.request("Authorization: Bearer nonsense")
    for request in (bearer, both):
        assert (await known(wire, request)).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_clients_whose_heads_look_alike_are_told_apart_on_one_connection(desk: Desk) -> None:
    one, other, wire = await desk.caller(), await desk.caller(), await desk.wire()
    await known(wire, one.request())
    await known(wire, other.request())
    before = remaining(await wire.ask(one.request()))
    await wire.ask(other.request())
    assert remaining(await wire.ask(one.request())) == before - 1


async def test_a_known_head_with_another_key_is_not_known(desk: Desk) -> None:
    caller, wire = await desk.caller(), await desk.wire()
    await known(wire, caller.request())
    stranger = caller.request().replace(caller.key.encode(), keys.mint(KeyEnvironment.TEST).encode())
    assert b"INVALID_API_KEY" in await wire.ask(stranger)


@pytest.mark.parametrize("at", [1, 40, -40, -1])
async def test_a_known_head_may_come_in_pieces(desk: Desk, at: int) -> None:
    caller, wire = await desk.caller(), await desk.wire()
    request = caller.request()
    expected = alike(await known(wire, request))
    for _ in range(2):
        wire.send(request[:at])
        # Another connection's answer says that the first piece has been read.
        await (await desk.wire()).ask(request)
        assert alike(await wire.ask(request[at:])) == expected


async def test_a_body_that_comes_after_its_head_does_not_hide_what_follows(desk: Desk) -> None:
    caller, wire = await desk.caller(), await desk.wire()
    expected = alike(await known(wire, caller.request()))
    wire.send(caller.head())
    await (await desk.wire()).ask(caller.request())
    wire.send(caller.body + caller.request() + caller.request())
    assert [alike(await wire.answer()) for _ in range(3)] == [expected] * 3
    assert alike(await wire.ask(caller.request())) == expected


async def test_known_requests_sent_together_are_answered_one_by_one(desk: Desk) -> None:
    caller, wire = await desk.caller(), await desk.wire()
    expected = alike(await known(wire, caller.request()))
    wire.send(caller.request() * 3)
    assert [alike(await wire.answer()) for _ in range(3)] == [expected] * 3


async def test_a_known_request_waits_for_the_answer_to_one_that_waits(desk: Desk) -> None:
    caller, wire = await desk.caller(), await desk.wire()
    await known(wire, caller.request())
    # It asks the database.
    slow = caller.request(body=b'{"operation": "listCredentials"}')
    wire.send(slow)
    wire.send(caller.request())
    assert b'"credentials":' in await wire.answer()
    assert b'"markets":' in await wire.answer()


async def test_what_closes_the_connection_is_never_known(desk: Desk) -> None:
    caller = await desk.caller()
    request = caller.request("Connection: close")
    for _ in range(4):
        assert b"\r\nConnection: close\r\n" in await (await desk.wire()).ask(request)


async def test_a_head_is_answered_alike_however_often_it_was_seen(desk: Desk) -> None:
    chance = random.Random(11)
    caller = await desk.caller()
    request = caller.request("Content-Type: application/json", "Accept: */*")
    end = request.index(b"\r\n\r\n") + 4
    statuses = set()
    for _ in range(60):
        head = bytearray(request[:end])
        for _ in range(chance.randrange(1, 3)):
            head[chance.randrange(end)] = chance.choice(b"\x00\r\n :;,09azAZ\x7f\xff")
        told = []
        for _ in range(4):
            wire = await desk.wire()
            wire.send(bytes(head) + request[end:] + b"\r\n\r\n" * 2)
            told.append(alike(await wire.answer()))
            wire.close()
        assert len(set(told)) == 1, head
        statuses.add(told[0][9:12])
    assert {b"200", b"400", b"401"} <= statuses


def test_no_key_is_remembered() -> None:
    heads = Heads()
    key = keys.mint(KeyEnvironment.LIVE)
    head = f"POST /v1 HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nContent-Length: 2".encode()
    for _ in range(3):
        heads.meet(head, Credentials(key, None, ""), 2)
    found = heads.find(head)
    assert found is not None
    assert found.credentials(head, "me") == (key, None, "me")
    del head, found
    reachable: list[object] = [heads]
    seen = set()
    while reachable:
        thing = reachable.pop()
        if id(thing) not in seen and not isinstance(thing, type):
            seen.add(id(thing))
            assert key not in str(thing)
            assert key.encode() not in (thing if isinstance(thing, bytes) else b"")
            reachable += gc.get_referents(thing)


def test_heads_that_come_but_once_push_none_out_for_good_and_fill_nothing() -> None:
    heads = Heads(capacity=10)
    often = b"POST /v1 HTTP/1.1\r\nX-API-Key: k"
    for number in range(1_000):
        heads.meet(b"POST /v1 HTTP/1.1\r\nX-API-Key: k\r\nX-Number: %d" % number, Credentials("k", None, ""), 2)
        if number % 5 == 0:
            heads.meet(often, Credentials("k", None, ""), 2)
    assert heads.find(often) is not None
    assert len(heads) <= 10
