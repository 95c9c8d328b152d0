"""``python -m benchmarks.units``: what a request costs everything that it passes: a gateway, Redis, PostgreSQL.

A gateway as one of several nodes, with a real Redis and a real PostgreSQL of its own that flushes as it comes, is put
under reads and then under orders. Each process is charged with what the system accounts to it. Written to
``benchmarks/out/units.json``, which ``python -m benchmarks.scaling --costs`` takes.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import asyncpg  # type: ignore[import-untyped]
import msgspec
import psutil  # type: ignore[import-untyped]
import uvloop
from rich.console import Console

from benchmarks.load import connect, run_load
from benchmarks.report import OUT
from benchmarks.scaling import Costs
from benchmarks.server import Cores, Server, started
from benchmarks.wire import NewOrders, limit_order, reads
from storage.ports import Correction
from storage.redis_store.counters import RedisCounters
from storage.redis_store.servers import server_at
from storage.sql.postgresql.place import PostgresPlace
from tests.support.postgres_server import PostgresServer
from tests.support.redis_server import RedisProcess, running_redis

UNITS: Final = "units.json"
_CALLERS: Final = 400
_CONNECTIONS: Final = 32
_WARM_UP_S: Final = 1.0
_STORED_ACCOUNTS: Final = 100_000
_AT_ONCE: Final = 1_000
_PATIENCE_S: Final = 10.0
# PostgreSQL's processes tell what they did at most once a second.
_TOLD_WITHIN_S: Final = 1.2
_DATABASE: Final = """
    SELECT wal_sync, wal_sync_time,
           pg_total_relation_size('journal') + pg_total_relation_size('journal_events') AS bytes
    FROM pg_stat_wal
"""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What was used so far: CPU seconds of each, and what PostgreSQL says of its flushes and its files."""

    gateway_s: float
    redis_s: float
    postgres_s: float
    flushes: int
    flushes_ms: float
    journal_bytes: int

    def __sub__(self, earlier: Usage) -> Usage:
        return Usage(**{name: getattr(self, name) - getattr(earlier, name) for name in self.__struct_fields__})


class Bench:
    """One node and its servers."""

    def __init__(self, node: Server, redis: RedisProcess, postgres: PostgresServer) -> None:
        self._node = node
        self._redis = psutil.Process(redis.pid)
        self._postgres = postgres

    async def under(self, requests: Iterator[bytes], seconds: float) -> tuple[int, Usage]:
        """How many requests were answered, and what they used."""
        await run_load(await connect(self._node.port, requests, _CONNECTIONS), _WARM_UP_S)
        before = await self._usage()
        done = await run_load(await connect(self._node.port, requests, _CONNECTIONS), seconds)
        return done.answers, await self._usage() - before

    async def _usage(self) -> Usage:
        await asyncio.sleep(_TOLD_WITHIN_S)
        watch = await asyncpg.connect(self._postgres.url())
        found = await watch.fetchrow(_DATABASE)
        await watch.close()
        return Usage(
            gateway_s=(await self._node.accounts()).cpu_s,
            redis_s=_cpu_s(self._redis),
            postgres_s=sum(map(_cpu_s, self._postgres.processes())),
            flushes=found["wal_sync"],
            flushes_ms=found["wal_sync_time"],
            journal_bytes=found["bytes"],
        )


async def measure(directory: Path, seconds: float, tell: Callable[[str], None]) -> tuple[Costs, float]:
    """The costs, and how many orders shared a flush."""
    cores = Cores()
    with running_redis() as redis, running_postgres() as postgres:
        await PostgresPlace(postgres.url()).upgrade()
        async with started(
            "node", directory, cores, callers=_CALLERS, redis_port=redis.port, postgres_port=postgres.port
        ) as node:
            cores.pin_load()
            bench = Bench(node, redis, postgres)
            tell("reads")
            answers, for_reads = await bench.under(reads(node.callers), seconds)
            tell("orders")
            orders, for_orders = await bench.under(NewOrders(limit_order)(node.callers), seconds)
        tell(f"{_STORED_ACCOUNTS:,} accounts in Redis")
        account_bytes = await bytes_of_an_account(redis)
    costs = Costs(
        read_cpu_us=for_reads.gateway_s / answers * 1e6,
        order_cpu_us=for_orders.gateway_s / orders * 1e6,
        check_cpu_us=for_reads.redis_s / answers * 1e6,
        account_bytes=account_bytes,
        flush_ms=for_orders.flushes_ms / for_orders.flushes,
        row_ms=for_orders.postgres_s / orders * 1e3,
        order_bytes=for_orders.journal_bytes / orders,
    )
    return costs, orders / for_orders.flushes


async def bytes_of_an_account(redis: RedisProcess) -> float:
    counters = RedisCounters(server_at(redis.address, answer_within_s=_PATIENCE_S))
    before = int(redis.info("memory")["used_memory"])
    for first in range(0, _STORED_ACCOUNTS, _AT_ONCE):
        await counters.correct([_counted(number) for number in range(first, first + _AT_ONCE)])
    after = int(redis.info("memory")["used_memory"])
    await counters.close()
    return (after - before) / _STORED_ACCOUNTS


def _counted(number: int) -> Correction:
    return Correction(account_id=f"{number:036d}", minute=1, least_in_minute=100, least_in_day=10_000, create=True)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """As it comes, but that it takes the time of its flushes."""
    server = PostgresServer(options=["track_wal_io_timing=on"])
    try:
        yield server.start()
    finally:
        server.close()


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.units", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="of load, for reads and for orders")
    given = parser.parse_args()
    with (
        Console(stderr=True).status("") as status,
        tempfile.TemporaryDirectory(prefix="venuegate-units-") as directory,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        costs, orders_per_flush = runner.run(measure(Path(directory), given.seconds, status.update))
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / UNITS).write_bytes(msgspec.json.format(msgspec.json.encode(costs)) + b"\n")
    for name, figure in msgspec.structs.asdict(costs).items():
        print(f"{name:>16}  {figure:,.2f}")
    print(f"{orders_per_flush:.1f} orders shared a flush")


if __name__ == "__main__":
    main()
