"""A server process as the benchmark sees it: started fresh, pinned, asked for its own accounts over its pipes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from benchmarks.wire import Accounts, Caller, Ready

_START_WITHIN_S: Final = 60.0
_ANSWER_WITHIN_S: Final = 10.0
_STOP_WITHIN_S: Final = 20.0
_LINE_BYTES: Final = 2**24
ROOT: Final = Path(__file__).resolve().parents[1]

Message = TypeVar("Message", Ready, Accounts)


class ServerFailed(Exception):
    """A server did not start, or ended."""


class Cores:
    """One core for the server under load and another for the load; with one core both share it."""

    def __init__(self) -> None:
        available = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self.server = available[0] if len(available) > 1 else None
        self.load = available[1] if len(available) > 1 else None

    def pin_load(self) -> None:
        """Keep this process, which makes the load, off the server's core."""
        if self.load is not None:
            os.sched_setaffinity(0, {self.load})


class Server:
    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process
        self.port = 0
        self.callers: Sequence[Caller] = ()

    async def wait_until_ready(self) -> None:
        ready = await self._read(Ready, _START_WITHIN_S)
        self.port, self.callers = ready.port, ready.callers

    async def accounts(self) -> Accounts:
        """What the server has used so far."""
        if self._process.stdin is None:
            raise ServerFailed(f"{self.name} has no input")
        self._process.stdin.write(b"\n")
        return await self._read(Accounts, _ANSWER_WITHIN_S)

    async def stop(self) -> None:
        """End it by ending its input; kill it when that does not help."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_WITHIN_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def _read(self, kind: type[Message], within_s: float) -> Message:
        if self._process.stdout is None:
            raise ServerFailed(f"{self.name} has no output")
        try:
            async with asyncio.timeout(within_s):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise ServerFailed(f"{self.name} said nothing for {within_s:.0f} s") from None
        if not line:
            raise ServerFailed(f"{self.name} ended")
        return msgspec.json.decode(line, type=kind)


@asynccontextmanager
async def started(
    name: str,
    directory: Path,
    cores: Cores,
    *,
    callers: int,
    profile: Path | None = None,
    **particulars: int,
) -> AsyncIterator[Server]:
    """A running server of ``benchmarks.servers``, which has names for its ``particulars``.

    :raises ServerFailed: it did not start; what it wrote to its standard error says why.
    """
    arguments = [name, str(directory), "--callers", str(callers)]
    if cores.server is not None:
        arguments += ["--core", str(cores.server)]
    for particular, number in particulars.items():
        arguments += ["--with", f"{particular}={number}"]
    if profile is not None:
        arguments += ["--profile", str(profile)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.servers",
        *arguments,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=_LINE_BYTES,
        cwd=ROOT,
    )
    server = Server(name, process)
    try:
        await server.wait_until_ready()
        yield server
    finally:
        await server.stop()
