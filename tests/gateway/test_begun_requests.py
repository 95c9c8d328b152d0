"""Coroutines that are begun where they are called, heads that are recognised, and the requests that both are for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

import pytest

from gateway.heads import Heads
from gateway.pipeline import Credentials
from gateway.steps import Begun, begun, within
from tests.gateway.test_connections import BODY, Wire, wire_to
from tests.support.served import served

T = TypeVar("T")

HEAD = b"POST /v1 HTTP/1.1\r\nX-API-Key: mt_test_secret\r\nContent-Length: 2"
SHOWN = Credentials("mt_test_secret", None, "somebody")


async def begun_by_the_loop(work: Coroutine[Any, Any, T]) -> T | Begun[T]:
    """Where bytes arrive no task is running; here one is, so the loop has to call."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[T | Begun[T]] = loop.create_future()

    def begin() -> None:
        try:
            told.set_result(begun(work, loop))
        except Exception as failure:
            told.set_exception(failure)

    loop.call_soon(begin)
    return await told


async def test_what_never_waits_is_done_at_once() -> None:
    async def work() -> int:
        return 7

    assert await begun_by_the_loop(work()) == 7


async def test_what_waits_goes_on_in_the_task_that_awaits_its_rest() -> None:
    gate, steps = asyncio.Event(), list[str]()
    kept: ContextVar[str] = ContextVar("kept")

    async def work() -> str:
        kept.set("the coroutine's own")
        steps.append("begun")
        await gate.wait()
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
        return kept.get()

    outcome = await begun_by_the_loop(work())
    assert isinstance(outcome, Begun)
    assert steps == ["begun"]
    with pytest.raises(LookupError):
        kept.get()
    rest = asyncio.create_task(outcome.rest())
    gate.set()
    assert await rest == "the coroutine's own"


async def test_a_failure_comes_out_as_it_is_at_once_and_later() -> None:
    async def work(wait: bool) -> None:
        if wait:
            await asyncio.sleep(0)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await begun_by_the_loop(work(wait=False))
    outcome = await begun_by_the_loop(work(wait=True))
    assert isinstance(outcome, Begun)
    with pytest.raises(ValueError, match="no"):
        await outcome.rest()


async def test_a_timeout_inside_of_what_was_begun_ends_it_and_nothing_else() -> None:
    async def work() -> str:
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            return "too late"
        return "in time"

    outcome = await begun_by_the_loop(work())
    assert isinstance(outcome, Begun)
    assert await outcome.rest() == "too late"


async def test_a_deadline_runs_only_for_what_waits() -> None:
    async def at_once() -> int:
        return 1

    assert await within(0, at_once()) == 1
    with pytest.raises(TimeoutError):
        await within(0, asyncio.Event().wait())


def test_a_head_is_recognised_to_the_byte_and_shows_its_key() -> None:
    heads = Heads()
    assert heads.find(HEAD) is None
    heads.meet(HEAD, SHOWN, 2)
    heads.meet(HEAD, SHOWN, 2)
    known = heads.find(HEAD)
    assert known is not None
    assert (known.length, known.credentials(HEAD, "somebody")) == (2, SHOWN)
    assert heads.find(HEAD + b" ") is None
    assert heads.find(HEAD.replace(b"secret", b"another")) is None


def test_a_key_is_not_kept_with_the_head_that_showed_it() -> None:
    heads = Heads()
    for _ in range(2):
        heads.meet(HEAD, SHOWN, 2)
    kept = [getattr(head, name) for head in heads._met.values() if head for name in head.__slots__]
    assert "mt_test_secret" not in repr([*heads._met, *kept])


async def test_a_head_that_comes_again_is_answered_the_same_whatever_follows_it(tmp_path: Path) -> None:
    async with served(tmp_path) as gateway, wire_to(gateway) as wire:
        wrong = b'{"operation": "noSuchOperation"}'
        assert len(wrong) == len(BODY)
        for body, status in [(BODY, "200"), (BODY, "200"), (BODY, "200"), (wrong, "400"), (BODY, "200")]:
            wire.send(body=body)
            assert (await wire.answer())[0].split()[1] == status


async def test_a_known_head_with_more_behind_its_body_is_two_requests(tmp_path: Path) -> None:
    async with served(tmp_path) as gateway, wire_to(gateway) as wire:
        for _ in range(3):
            wire.send()
            await wire.answer()
        wire.send()
        wire.send()
        assert [(await wire.answer())[0] for _ in range(2)] == ["HTTP/1.1 200 OK"] * 2


async def test_a_known_head_whose_body_comes_later_or_in_parts_is_one_request(tmp_path: Path) -> None:
    async with served(tmp_path) as gateway, wire_to(gateway) as wire:
        for _ in range(3):
            wire.send()
            await wire.answer()
        await _in_parts(wire, parts=4)
        assert (await wire.answer())[0] == "HTTP/1.1 200 OK"
        wire.send()
        assert (await wire.answer())[0] == "HTTP/1.1 200 OK"


async def _in_parts(wire: Wire, parts: int) -> None:
    head = f"POST /v1 HTTP/1.1\r\nHost: x\r\nX-API-Key: {wire.key}\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
    whole = head + BODY
    size = -(-len(whole) // parts)
    for at in range(0, len(whole), size):
        wire.writer.write(whole[at : at + size])
        await wire.writer.drain()
        await asyncio.sleep(0)
