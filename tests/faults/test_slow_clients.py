"""A thousand clients that send a byte now and then, or nothing at all, hold nobody up, and are ended in their time."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from gateway.connection import HEAD_TIMEOUT_S, KEEP_ALIVE_S
from gateway.endpoint import BODY_TIMEOUT_S
from storage.ports import Tier
from tests.support.served import Served, served

pytestmark = pytest.mark.harness

SLOW: Final = 1_000
SHORT_S: Final = 2.0
LONG_S: Final = KEEP_ALIVE_S + 10
PACE_S: Final = 0.02
SHARE_SERVED: Final = 0.999
WITHIN_S: Final = 1.0

_HEAD: Final = b"POST /v1 HTTP/1.1\r\nHost: x\r\n"
BEGINNINGS: Final = {
    "half a head": _HEAD + b"X-Slow: ",
    "half a body": _HEAD + b"Content-Length: 1000\r\n\r\n{",
    "half a chunk": _HEAD + b"Transfer-Encoding: chunked\r\n\r\n40\r\n{",
    "nothing": b"",
}
GIVEN_S: Final = {
    "half a head": HEAD_TIMEOUT_S,
    "half a body": BODY_TIMEOUT_S,
    "half a chunk": BODY_TIMEOUT_S,
    "nothing": KEEP_ALIVE_S,
}


class Slow(asyncio.Protocol):
    """One of them; ``ended_at`` is done when the gateway has had enough, with the time."""

    def __init__(self, beginning: bytes) -> None:
        self._beginning = beginning
        self._transport: asyncio.WriteTransport | None = None
        self.ended_at: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        transport.write(self._beginning)

    def drip(self) -> None:
        if self._beginning and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"x")

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def data_received(self, data: bytes) -> None:
        # Told that it took too long: that is an end as well.
        self._end()

    def _end(self) -> None:
        if not self.ended_at.done():
            self.ended_at.set_result(time.monotonic())

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


@asynccontextmanager
async def crowd(port: int) -> AsyncIterator[dict[str, list[Slow]]]:
    loop = asyncio.get_running_loop()
    slow: dict[str, list[Slow]] = {kind: [] for kind in BEGINNINGS}
    try:
        for number in range(SLOW):
            kind = list(BEGINNINGS)[number % len(BEGINNINGS)]
            _, one = await loop.create_connection(partial(Slow, BEGINNINGS[kind]), "127.0.0.1", port)
            slow[kind].append(one)
        yield slow
    finally:
        for some in slow.values():
            for one in some:
                one.close()


class PacedClient:
    """One that asks at its pace; ``took_s`` has how long each answer took from when it was due."""

    def __init__(self, gateway: Served, key: str) -> None:
        self._gateway = gateway
        self._key = key
        self.took_s: list[float] = []
        self.served = 0

    async def ask_for(self, seconds: float) -> None:
        began = time.monotonic()
        for number in range(int(seconds / PACE_S)):
            due = began + number * PACE_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            reply = await self._gateway.post({"operation": "listCredentials"}, self._key)
            self.took_s.append(time.monotonic() - due)
            # Over its limit it is served as well: it is told so.
            self.served += reply.status in (200, 429) and self.took_s[-1] < WITHIN_S


async def test_a_thousand_slow_connections_do_not_hurt_a_good_client(tmp_path: Path, soak: bool) -> None:
    seconds = LONG_S if soak else SHORT_S
    async with served(tmp_path) as gateway:
        client = PacedClient(gateway, await gateway.key(await gateway.account(Tier.PRO)))
        async with crowd(gateway.port) as slow:
            began = time.monotonic()
            dripping = asyncio.create_task(_drip(slow))
            await client.ask_for(seconds)
            dripping.cancel()
            if not soak:
                _let_pass(KEEP_ALIVE_S + 1)
            async with asyncio.timeout(10):
                lasted = {
                    kind: statistics.median([await one.ended_at - began for one in some]) for kind, some in slow.items()
                }
    took = sorted(client.took_s)
    print(
        f"slow clients: {SLOW} for {seconds:.0f} s; the good one had {client.served} of {len(took)} answers in time,"
        f" p50 {took[len(took) // 2] * 1000:.1f} ms, p99 {took[len(took) * 99 // 100] * 1000:.1f} ms;"
        f" ended after {', '.join(f'{kind} {lasted[kind]:.1f} s' for kind in lasted)}"
    )
    assert client.served >= SHARE_SERVED * len(took)
    if soak:
        for kind, given_s in GIVEN_S.items():
            assert given_s - 1 < lasted[kind] < given_s + 5


async def _drip(slow: dict[str, list[Slow]]) -> None:
    while True:
        for some in slow.values():
            for one in some:
                one.drip()
            await asyncio.sleep(0.1)


def _let_pass(seconds: float) -> None:
    """For every timer of the event loop, from now on."""
    loop = asyncio.get_running_loop()
    real = loop.time
    loop.time = lambda: real() + seconds  # type: ignore[method-assign]
