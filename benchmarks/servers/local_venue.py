"""A local venue in a process of its own, so that what it costs is nobody else's. It ends with its input.

python -m benchmarks.servers.local_venue EXCHANGE DIRECTORY ACCOUNTS
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from benchmarks.server import ROOT, ServerFailed
from gateway.clock import SystemClock
from gateway.local_venues import served
from sandbox.wires.local import OPENERS

_START_WITHIN_S: Final = 60.0
_LINE_BYTES: Final = 2**20


class AtVenue(msgspec.Struct, frozen=True, kw_only=True):
    """Where a local venue listens, and the fields of a credential for each of its funded accounts."""

    url: str
    accounts: list[dict[str, str]]


@asynccontextmanager
async def local_venue(exchange: str, directory: Path, accounts: int) -> AsyncIterator[AtVenue]:
    """:raises ServerFailed: it did not start."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.servers.local_venue",
        exchange,
        str(directory),
        str(accounts),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=_LINE_BYTES,
        cwd=ROOT,
    )
    if process.stdin is None or process.stdout is None:
        raise ServerFailed(f"the local {exchange} has no pipes")
    try:
        async with asyncio.timeout(_START_WITHIN_S):
            line = await process.stdout.readline()
        if not line:
            raise ServerFailed(f"the local {exchange} ended")
        yield msgspec.json.decode(line, type=AtVenue)
    finally:
        process.stdin.close()
        await process.wait()


async def _serve(exchange: str, directory: Path, accounts: int) -> None:
    venue = OPENERS[exchange](directory, SystemClock().now_ms)
    async with served(venue.app) as url:
        at = AtVenue(url=url, accounts=[await venue.enroll() for _ in range(accounts)])
        sys.stdout.buffer.write(msgspec.json.encode(at) + b"\n")
        sys.stdout.buffer.flush()
        await asyncio.to_thread(sys.stdin.buffer.read)


def main() -> None:
    exchange, directory, accounts = sys.argv[1:]
    # Not the core of whoever started it: that one is being measured.
    if hasattr(os, "sched_setaffinity") and (others := set(range(os.cpu_count() or 1)) - os.sched_getaffinity(0)):
        os.sched_setaffinity(0, others)
    Path(directory).mkdir(parents=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(exchange, Path(directory), int(accounts)))


if __name__ == "__main__":
    main()
