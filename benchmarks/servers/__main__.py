"""One server process: it says where it listens, answers every line of its input with its accounts, ends with it."""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import importlib
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from benchmarks.servers.serving import Serving
from benchmarks.usage import open_files, resident_bytes
from benchmarks.wire import Accounts, Ready

MODULES: Final = {
    "aiohttp": "aiohttp_route:serving",
    "path": "gateway_path:serving",
    "order": "gateway_order:serving",
    "node": "gateway_node:serving",
    "fastapi": "fastapi_memory:serving",
    "path_redis": "gateway_path_redis:serving",
    "fastapi_redis": "fastapi_redis:serving",
    "hyperliquid": "venue_gateway:hyperliquid",
    "hyperliquid_ccxt": "venue_ccxt:hyperliquid",
    "paradex": "venue_gateway:paradex",
    "paradex_watched": "venue_gateway:paradex_watched",
    "paradex_ccxt": "venue_ccxt:paradex",
}

Serve = Callable[..., AbstractAsyncContextManager[Serving]]
"""Takes the directory and how many callers; ``path`` also how many ``instruments`` its venue has, ``node`` the ports of
its servers."""


def server_called(name: str) -> Serve:
    """Imported only now: a server must not pay for the libraries of the others."""
    module, _, attribute = MODULES[name].partition(":")
    serving: Serve = getattr(importlib.import_module(f"benchmarks.servers.{module}"), attribute)
    return serving


async def serve(name: str, directory: Path, callers: int, **particulars: int) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with server_called(name)(directory, callers, **particulars) as serving:
        _say(Ready(port=serving.port, callers=serving.callers))
        while await reader.readline():
            _say(
                Accounts(
                    cpu_s=time.process_time(),
                    rss_bytes=resident_bytes(os.getpid()),
                    commits=serving.commits(),
                    open_files=open_files(),
                    threads=threading.active_count(),
                    gaps=serving.gaps(),
                )
            )


def _say(message: Ready | Accounts) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.servers")
    parser.add_argument("name", choices=MODULES)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--core", type=int)
    parser.add_argument("--with", dest="particulars", action="append", default=[], metavar="NAME=NUMBER")
    parser.add_argument("--profile", type=Path, help="write a cProfile of the whole run here")
    given = parser.parse_args()
    given.directory.mkdir(parents=True, exist_ok=True)
    if given.core is not None:
        os.sched_setaffinity(0, {given.core})
    profiler = cProfile.Profile() if given.profile else None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if profiler is not None:
            profiler.enable()
        particulars = dict(one.split("=") for one in given.particulars)
        numbers = {name: int(number) for name, number in particulars.items()}
        runner.run(serve(given.name, given.directory, given.callers, **numbers))
    if profiler is not None:
        profiler.disable()
        profiler.dump_stats(given.profile)


if __name__ == "__main__":
    main()
