from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator

import pytest
from redis import exceptions

from storage.redis_store.line import Line
from storage.redis_store.servers import connection_to
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.redis_server import RedisProcess, address_of, running_redis


@pytest.fixture
async def proxy(redis_process: RedisProcess) -> AsyncIterator[FaultProxy]:
    async with fault_proxy("127.0.0.1", redis_process.port) as proxy:
        yield proxy


@pytest.fixture
async def line(proxy: FaultProxy) -> AsyncIterator[Line]:
    line = Line(lambda: connection_to(address_of(f"redis://127.0.0.1:{proxy.port}")))
    yield line
    await line.close()


async def test_calls_share_one_connection_one_after_the_other(line: Line, proxy: FaultProxy) -> None:
    answers = await asyncio.gather(*(line.ask("ECHO", f"{number}", within_s=5) for number in range(50)))
    assert answers == [f"{number}".encode() for number in range(50)]
    assert proxy.connections == 1


async def test_a_late_answer_is_never_taken_for_the_answer_to_another_call(line: Line, proxy: FaultProxy) -> None:
    assert await line.ask("ECHO", "first", within_s=5) == b"first"
    proxy.latency_s = 0.2
    with pytest.raises(TimeoutError):
        await line.ask("ECHO", "late")
    proxy.latency_s = 0.0
    for number in range(20):
        assert await line.ask("ECHO", f"{number}", within_s=5) == f"{number}".encode()
    assert proxy.connections == 2


async def test_a_call_that_is_cancelled_loses_the_connection(line: Line, proxy: FaultProxy) -> None:
    await line.ask("PING", within_s=5)
    proxy.latency_s = 0.1
    call = asyncio.create_task(line.ask("ECHO", "cancelled", within_s=5))
    await asyncio.sleep(0.01)
    call.cancel()
    await asyncio.wait({call})
    proxy.latency_s = 0.0
    assert await line.ask("ECHO", "next", within_s=5) == b"next"
    assert proxy.connections == 2


async def test_it_gives_up_in_time_whatever_the_network_does(line: Line, proxy: FaultProxy) -> None:
    await line.ask("PING", within_s=5)
    proxy.is_silent = True
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await line.ask("PING")
        # Far more than it takes, and far less than any default.
        assert time.monotonic() - began < 1.0
    proxy.is_silent = False
    assert await line.ask("PING", within_s=5) == b"PONG"


async def test_it_connects_again_after_it_was_cut_off(line: Line, proxy: FaultProxy) -> None:
    await line.ask("PING", within_s=5)
    await proxy.refuse()
    for _ in range(2):
        with pytest.raises((exceptions.ConnectionError, OSError)):
            await line.ask("PING", within_s=5)
    await proxy.listen()
    assert await line.ask("PING", within_s=5) == b"PONG"


async def test_a_paused_server_costs_no_more_than_the_timeout() -> None:
    with running_redis() as server:
        line = Line(lambda: connection_to(server.address))
        await line.ask("PING", within_s=5)
        server.signal(signal.SIGSTOP)
        # It is the kernel that accepts a connection.
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await line.ask("PING")
        server.signal(signal.SIGCONT)
        assert await line.ask("ECHO", "on", within_s=5) == b"on"
        await line.close()


async def test_a_loop_that_was_held_up_still_finds_the_answer(line: Line) -> None:
    await line.ask("PING", within_s=5)
    call = asyncio.create_task(line.ask("ECHO", "there"))
    for _ in range(3):
        await asyncio.sleep(0)
    # The answer comes while nothing else can.
    time.sleep(0.08)  # noqa: ASYNC251
    assert await call == b"there"


async def test_a_refusal_is_an_error_and_not_an_answer(line: Line) -> None:
    await line.ask("SET", "text", "x", within_s=5)
    with pytest.raises(exceptions.ResponseError):
        await line.ask("INCR", "text", within_s=5)
    assert await line.ask("GET", "text", within_s=5) == b"x"
