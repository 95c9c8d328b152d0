"""A worker's limiter in a process of its own: it does what the lines of its input say, and ends with them.

    python -m tests.support.limiter_process REDIS_URL DATABASE CLOCK_OFFSET_S [--test-time]

An order is ``Work`` as JSON, an answer ``Done``.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from gateway.clock import SystemClock
from gateway.limits import LimitExceeded, TierLimits
from gateway.shared_limits.limiter import SharedLimiter
from storage.ports import Charge, Counted, Tier
from storage.redis_store.counters import SERVER_TIME, RedisCounters
from storage.redis_store.servers import server_at
from storage.sql import open_sqlite
from tests.support.limiter_nodes import PATIENCE_S, principal
from tests.support.redis_clock import TEST_TIME
from tests.support.redis_server import address_of

ROOT: Final = Path(__file__).resolve().parents[2]
ANSWER_WITHIN_S: Final = 300.0


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of an account, as many at a time: so many, or as many as it takes to last so long."""

    account_id: str
    requests: int = 0
    seconds: float = 0.0
    at_once: int = 32
    per_minute: int = 1_000
    per_day: int = 1_000_000


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it, by the minute (of the shared clock) in which it was counted."""

    admitted: dict[int, int]
    refused: dict[int, int]
    cpu_s: float


class OffsetClock(SystemClock):
    """The wall clock of a machine on which it is wrong."""

    def __init__(self, offset_s: float) -> None:
        self._offset_ms = round(offset_s * 1000)

    def now_ms(self) -> int:
        return super().now_ms() + self._offset_ms


class RecordedCounters(RedisCounters):
    """Notes in which minute requests were admitted or refused."""

    admitted: Counter[int]
    refused: Counter[int]

    async def charge(self, charges: Sequence[Charge]) -> Sequence[Counted]:
        rows = await super().charge(charges)
        for charge, row in zip(charges, rows, strict=True):
            if row.is_known:
                self.admitted[row.minute] += row.admitted
                self.refused[row.minute] += charge.requests - row.admitted
        return rows


class LimiterProcess:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def do(self, work: Work) -> Done:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(work) + b"\n")
        async with asyncio.timeout(ANSWER_WITHIN_S):
            return msgspec.json.decode(await self._process.stdout.readline(), type=Done)

    async def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await asyncio.wait_for(self._process.wait(), ANSWER_WITHIN_S)


@asynccontextmanager
async def limiter_processes(
    redis_url: str, database: Path, offsets_s: Sequence[float], *, test_time: bool
) -> AsyncIterator[Sequence[LimiterProcess]]:
    """One for each of ``offsets_s``, by which its wall clock is wrong."""
    running = []
    for offset_s in offsets_s:
        arguments = [redis_url, str(database), str(offset_s), *(["--test-time"] if test_time else [])]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.support.limiter_process",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        running.append(LimiterProcess(process))
    try:
        yield running
    finally:
        for one in running:
            await one.end()


async def _main(redis_url: str, database: str, offset_s: str, *options: str) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    stores = await open_sqlite(Path(database))
    clock = TEST_TIME if "--test-time" in options else SERVER_TIME
    while line := await reader.readline():
        work = msgspec.json.decode(line, type=Work)
        counters = RecordedCounters(server_at(address_of(redis_url), answer_within_s=PATIENCE_S), clock=clock)
        counters.admitted, counters.refused = Counter(), Counter()
        limits = dict.fromkeys(Tier, TierLimits(per_minute=work.per_minute, per_day=work.per_day, keys=1))
        limiter = SharedLimiter(counters, stores.usage, OffsetClock(float(offset_s)), workers=lambda: 1, limits=limits)
        began = time.process_time()
        left = iter(range(work.requests)) if work.requests else _until(time.monotonic() + work.seconds)
        await asyncio.gather(*(_ask(limiter, work.account_id, left) for _ in range(work.at_once)))
        assert limiter.failures == 0, limiter.problem
        cpu_s = time.process_time() - began
        await limiter.close()
        done = Done(admitted=dict(counters.admitted), refused=dict(counters.refused), cpu_s=cpu_s)
        sys.stdout.buffer.write(msgspec.json.encode(done) + b"\n")
        sys.stdout.buffer.flush()
    await stores.close()


def _until(ends_at: float) -> Iterator[int]:
    number = 0
    while time.monotonic() < ends_at:
        yield (number := number + 1)


async def _ask(limiter: SharedLimiter, account_id: str, left: Iterator[int]) -> None:
    for _ in left:
        try:
            await limiter.charge(principal(account_id))
        except LimitExceeded:
            continue


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
