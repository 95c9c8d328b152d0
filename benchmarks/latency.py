"""The gateway's own part of a placed order at half of what it can do: everything but the venue."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.load import connect, run_load
from benchmarks.open_loop import Schedule
from benchmarks.server import Cores, Server, started
from benchmarks.wire import NewOrders, limit_order
from storage.sql.postgresql.place import PostgresPlace
from tests.support.postgres_server import PostgresServer

CALLERS: Final = 400
TOGETHER: Final = 32
_CONNECTIONS: Final = 64
_FULL_LOAD_S: Final = 2.0
_TOGETHER_S: Final = 0.5
_FLUSHES: Final = 500
_FLUSHED_BYTES: Final = 2**15
_PERCENTILES: Final = (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Of orders sent at ``per_second``, sorted milliseconds of the gateway's own part.

    ``flushes`` is how many commits waited for the disk per ``TOGETHER`` orders, of which as many were always under way.
    """

    per_second: float
    own_ms: Sequence[float]
    flushes: float

    def summary(self, name: str) -> dict[str, Any]:
        figures = {f"{name}_own_{label}_ms": round(at(share, self.own_ms), 3) for label, share in _PERCENTILES}
        return {
            **figures,
            f"{name}_own_at_per_second": round(self.per_second),
            f"{name}_flushes_of_{TOGETHER}": round(self.flushes, 2),
        }


def at(share: float, figures: Sequence[float]) -> float:
    """Of sorted figures, the one that ``share`` of all do not pass."""
    return figures[min(int(share * len(figures)), len(figures) - 1)]


async def measure(directory: Path, cores: Cores, *, orders: int) -> dict[str, Any]:
    """With the journal on either engine, ``orders`` orders each; and what the disk takes by itself."""
    flushes_ms = await asyncio.to_thread(flush_ms, directory)
    summary = {f"disk_flush_{label}_ms": round(at(share, flushes_ms), 3) for label, share in _PERCENTILES[:2]}
    async with started("order", directory / "sqlite", cores, callers=CALLERS) as server:
        summary |= (await _of(server, orders)).summary("order")
    async with (
        _on_postgres() as port,
        started("order", directory / "postgresql", cores, callers=CALLERS, postgres_port=port) as server,
    ):
        summary |= (await _of(server, orders)).summary("order_postgres")
    return summary


async def _of(server: Server, orders: int) -> Latency:
    """At half the rate that the server keeps up with when it is always busy."""
    requests = NewOrders(limit_order)(server.callers)
    full = await run_load(await connect(server.port, requests, _CONNECTIONS), _FULL_LOAD_S)
    rate = full.answers / full.seconds / 2
    with _undisturbed():
        answers = await Schedule(itertools.islice(requests, orders), rate=rate, count=orders).run(
            server.port, _CONNECTIONS
        )
    before = await server.accounts()
    done = await run_load(await connect(server.port, requests, TOGETHER), _TOGETHER_S)
    after = await server.accounts()
    return Latency(
        per_second=rate,
        own_ms=sorted(answer.own_ms for answer in answers),
        flushes=(after.flushes - before.flushes) / done.answers * TOGETHER,
    )


def flush_ms(directory: Path) -> Sequence[float]:
    """How long the disk takes to flush what a commit writes, sorted."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "flushed"
    took = []
    with path.open("wb", buffering=0) as file:
        for _ in range(_FLUSHES):
            file.write(bytes(_FLUSHED_BYTES))
            began = time.perf_counter()
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1e3)
    path.unlink()
    return sorted(took)


@asynccontextmanager
async def _on_postgres() -> AsyncIterator[int]:
    """A server of its own, which flushes as it comes: its port. It runs on the load's core."""
    postgres = await asyncio.to_thread(PostgresServer)
    try:
        await asyncio.to_thread(postgres.start)
        await PostgresPlace(postgres.url()).upgrade()
        yield postgres.port
    finally:
        await asyncio.to_thread(postgres.close)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """The load's own garbage is collected later: its pauses are none of the gateway's."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
