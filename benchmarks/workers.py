"""``python -m benchmarks.workers``: the same load on one worker and on two.

Reads at a venue that answers at once, and orders on paper; limits counted in the gateway, and in a Redis beside it. All
gateways run for the whole time and take turns, round by round. CPU is that of all processes of a gateway: supervisor,
owner and workers. Nothing is pinned: on a machine of two cores, the load has a share of them. Written to
``benchmarks/out/workers.json``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import uvloop
from rich.console import Console

from benchmarks.load import connect, run_load
from benchmarks.report import OUT
from benchmarks.servers.with_workers import READY, enrolled
from benchmarks.wire import Caller, NewOrders, Requests, limit_order, reads
from tests.support.fleet import Process
from tests.support.redis_server import RedisProcess, free_port, running_redis

CALLERS: Final = 400
_CONNECTIONS: Final = 32
_WORKERS: Final = (1, 2)


class Kind(NamedTuple):
    name: str
    venue: str
    requests: Requests
    redis: bool


KINDS: Final = (
    Kind("read", "instant", reads, redis=False),
    Kind("read, limits in Redis", "instant", reads, redis=True),
    Kind("order on paper", "paper", NewOrders(limit_order), redis=False),
)


class Turn(NamedTuple):
    per_second: float
    cpu_us: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Medians over the rounds."""

    load: str
    workers: int
    per_second: float
    cpu_us: float


class Contestant:
    """A gateway with so many workers, under one kind of load."""

    def __init__(self, kind: Kind, workers: int, gateway: Process, port: int, callers: Sequence[Caller]) -> None:
        self.kind = kind
        self.workers = workers
        self.turns: list[Turn] = []
        self._gateway = gateway
        self._port = port
        self._requests = kind.requests(callers)

    async def turn(self, seconds: float) -> Turn:
        connections = await connect(self._port, self._requests, _CONNECTIONS)
        before = self._cpu_s()
        load = await run_load(connections, seconds)
        return Turn(load.answers / load.seconds, (self._cpu_s() - before) / load.answers * 1e6)

    def figures(self) -> Figures:
        return Figures(
            load=self.kind.name,
            workers=self.workers,
            per_second=statistics.median(turn.per_second for turn in self.turns),
            cpu_us=statistics.median(turn.cpu_us for turn in self.turns),
        )

    def _cpu_s(self) -> float:
        times = [process.cpu_times() for process in self._gateway.processes()]
        return float(sum(time.user + time.system for time in times))


@contextlib.contextmanager
def running(directory: Path, kind: Kind, workers: int, redis: RedisProcess) -> Iterator[Contestant]:
    directory = directory / f"{kind.name} {workers}"
    directory.mkdir()
    callers = asyncio.run(enrolled(directory, CALLERS))
    port = free_port()
    more = [redis.url] if kind.redis else []
    gateway = Process(
        directory / "log",
        *("benchmarks.servers.with_workers", str(directory), str(workers), str(port), kind.venue, *more),
        ready=READY,
    )
    try:
        gateway.start()
        yield Contestant(kind, workers, gateway, port, callers)
    finally:
        gateway.close()


def measure(directory: Path, rounds: int, seconds: float, tell: Callable[[str], None]) -> list[Figures]:
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(running_redis())
        contestants = [
            stack.enter_context(running(directory, kind, workers, redis)) for kind in KINDS for workers in _WORKERS
        ]
        runner = stack.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        for contestant in contestants:
            runner.run(contestant.turn(seconds))
        for number in range(rounds):
            for contestant in contestants:
                tell(f"round {number + 1} of {rounds}: {contestant.kind.name}, {contestant.workers}")
                contestant.turns.append(runner.run(contestant.turn(seconds)))
        return [contestant.figures() for contestant in contestants]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0, help="of load in each turn")
    given = parser.parse_args()
    with (
        Console(stderr=True).status("") as status,
        tempfile.TemporaryDirectory(prefix="venuegate-workers-") as directory,
    ):
        found = measure(Path(directory), given.rounds, given.seconds, status.update)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "workers.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    for one in found:
        print(f"{one.load:>24}  {one.workers} workers  {one.per_second:>8,.0f}/s  {one.cpu_us:>7,.0f} µs of CPU")


if __name__ == "__main__":
    main()
