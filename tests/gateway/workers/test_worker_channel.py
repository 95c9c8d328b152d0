"""Calls from one process to another: what comes back, and what is said when nothing does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from gateway.workers.channel import Caller, Handler, Method, NotAnswered, NotAsked, serving
from gateway.workers.failures import CallFailed, NotOpen
from gateway.workers.seat import Sockets, sockets_for
from normalization.errors import ServiceUnavailable
from normalization.venue_failures import Reason, VenueDeferred, VenueFailure, VenueRejected

DOUBLE = Method[int, int]("double", int, int)
WAIT = Method[None, None]("wait", None, None)
FAIL = Method[str, None]("fail", str, None)
ECHO = Method[bytes, bytes]("echo", bytes, bytes)

FAILURES: dict[str, Exception] = {
    "rejected": VenueRejected(Reason.INSUFFICIENT_FUNDS, "too little"),
    "deferred": VenueDeferred(Reason.VENUE_RATE_LIMITED, "later", retry_after_s=3),
    "timeout": TimeoutError(),
    "not open": NotOpen(),
    "unavailable": ServiceUnavailable("not now"),
    "a defect": RuntimeError("a secret"),
}


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    with sockets_for(()) as made:
        yield made


@pytest.fixture
async def caller(sockets: Sockets) -> AsyncIterator[Caller]:
    made = Caller(sockets.owner_path)
    yield made
    made.close()


class Owner:
    """Answers on the sockets; ``waiting`` counts who waits for ``gate``."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.waiting = 0
        self.arrived = asyncio.Event()

    def handlers(self) -> dict[Method[Any, Any], Handler]:
        return {DOUBLE: self._double, WAIT: self._wait, FAIL: self._fail, ECHO: self._echo}

    async def _double(self, number: int) -> int:
        return 2 * number

    async def _wait(self, _: None) -> None:
        self.waiting += 1
        self.arrived.set()
        await self.gate.wait()

    async def _fail(self, how: str) -> None:
        raise FAILURES[how]

    async def _echo(self, data: bytes) -> bytes:
        return data


async def test_many_ask_at_once_and_each_gets_its_own_answer(sockets: Sockets, caller: Caller) -> None:
    owner = Owner()
    async with serving(sockets.owner.dup(), owner.handlers()), asyncio.timeout(5):
        slow = asyncio.create_task(caller.ask(WAIT, None))
        answers = await asyncio.gather(*(caller.ask(DOUBLE, number) for number in range(200)))
        assert answers == [2 * number for number in range(200)]
        assert not slow.done()
        owner.gate.set()
        await slow


async def test_what_is_large_arrives_whole(sockets: Sockets, caller: Caller) -> None:
    data = bytes(range(256)) * 8_192
    async with serving(sockets.owner.dup(), Owner().handlers()), asyncio.timeout(10):
        assert await asyncio.gather(*(caller.ask(ECHO, data + bytes([n])) for n in range(3))) == [
            data + bytes([n]) for n in range(3)
        ]


@pytest.mark.parametrize("how", ["rejected", "deferred", "timeout", "not open", "unavailable"])
async def test_what_was_raised_there_is_raised_here(sockets: Sockets, caller: Caller, how: str) -> None:
    async with serving(sockets.owner.dup(), Owner().handlers()), asyncio.timeout(5):
        with pytest.raises(type(FAILURES[how])) as caught:
            await caller.ask(FAIL, how)
    told, meant = caught.value, FAILURES[how]
    if isinstance(meant, VenueFailure):
        assert isinstance(told, VenueFailure)
        assert (told.reason, told.text, told.retry_after_s) == (meant.reason, meant.text, meant.retry_after_s)


async def test_of_a_defect_only_its_class_is_told(sockets: Sockets, caller: Caller) -> None:
    async with serving(sockets.owner.dup(), Owner().handlers()), asyncio.timeout(5):
        with pytest.raises(CallFailed, match="RuntimeError") as caught:
            await caller.ask(FAIL, "a defect")
        assert "secret" not in str(caught.value)
        assert await caller.ask(DOUBLE, 4) == 8, "the connection goes on"


async def test_without_a_socket_nobody_was_asked(caller: Caller, sockets: Sockets) -> None:
    sockets.owner_path.unlink()
    with pytest.raises(NotAsked):
        await caller.ask(DOUBLE, 1)


async def test_while_nobody_serves_the_socket_nobody_was_asked(caller: Caller) -> None:
    with pytest.raises(NotAsked):
        await caller.ask(DOUBLE, 1)


async def test_when_the_other_goes_away_in_between_nobody_knows(sockets: Sockets, caller: Caller) -> None:
    owner = Owner()
    async with asyncio.timeout(5):
        async with serving(sockets.owner.dup(), owner.handlers()):
            asked = asyncio.create_task(caller.ask(WAIT, None))
            await owner.arrived.wait()
        with pytest.raises(NotAnswered):
            await asked
        with contextlib.suppress(NotAsked):
            await caller.ask(DOUBLE, 1)
        async with serving(sockets.owner.dup(), Owner().handlers()):
            assert await caller.ask(DOUBLE, 3) == 6, "whoever is started in its place is asked"


async def test_a_caller_who_gives_up_stops_nothing(sockets: Sockets, caller: Caller) -> None:
    owner = Owner()
    async with serving(sockets.owner.dup(), owner.handlers()), asyncio.timeout(5):
        asked = asyncio.create_task(caller.ask(WAIT, None))
        await owner.arrived.wait()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert await caller.ask(DOUBLE, 5) == 10
        assert owner.waiting == 1
        owner.gate.set()
