"""What a gateway holds in memory: after its start, and when its database has very many keys."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import sqlite3
import sys
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Final

from benchmarks.load import connect, run_load
from benchmarks.server import ROOT, Cores, ServerFailed, started
from benchmarks.servers.settings import DATABASE, MASTER_KEY
from benchmarks.usage import resident_bytes
from benchmarks.wire import Caller, hello, mark_price, reads
from gateway import keys
from gateway.keyring import Keyring, MasterKeyRing
from mcp_server.sessions import MAX_SESSIONS
from storage.ports import KeyEnvironment
from storage.sql import open_sqlite

MIB: Final = 2**20
_CALLERS: Final = 64
_CONNECTIONS: Final = 16
_IDLE: Final = 500
_START_WITHIN_S: Final = 60.0
_STOP_WITHIN_S: Final = 20.0

# Copies of a caller's key, for the same account and with the same scopes: with a digest of their own, or a random one.
_ADD_SAMPLE: Final = """
    INSERT INTO api_keys
        (key_id, digest, account_id, environment, label, prefix, pepper_version, scopes, created_at_ms)
    SELECT ?, ?, account_id, environment, label, prefix, pepper_version, scopes, created_at_ms
    FROM api_keys WHERE digest = ?
"""
_ADD_ROWS: Final = """
    WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
    INSERT INTO api_keys
        (key_id, digest, account_id, environment, label, prefix, pepper_version, scopes, created_at_ms)
    SELECT lower(hex(randomblob(16))), randomblob(32),
        account_id, environment, label, prefix, pepper_version, scopes, created_at_ms
    FROM numbers, (SELECT * FROM api_keys WHERE digest = ?)
"""


async def after_start_mib(directory: Path) -> float:
    """Resident memory of ``venuegate serve --demo`` as soon as it answers."""
    async with _demo(directory) as pid:
        return resident_bytes(pid) / MIB


async def growth_mib(directory: Path, cores: Cores, *, rows: int, used: int) -> float:
    """What a gateway grows by when its database gets ``rows`` keys more and ``used`` of them are used, once each.

    It has served a few callers before, so what every gateway needs is not counted.
    """
    async with started("order", directory, cores, callers=_CALLERS) as server:
        await run_load(await connect(server.port, reads(server.callers), _CONNECTIONS), 1.0)
        before = await server.accounts()
        sample = await add_keys(directory / DATABASE, server.callers, rows, used)
        requests: Iterator[bytes] = map(mark_price, sample)
        done = await run_load(await connect(server.port, requests, _CONNECTIONS), 300.0)
        if done.answers != len(sample):
            raise ServerFailed(f"answered {done.answers} of {len(sample)} keys")
        after = await server.accounts()
    return (after.rss_bytes - before.rss_bytes) / MIB


async def sessions_mib(directory: Path, cores: Cores) -> float:
    """What a gateway grows by when it has as many MCP sessions open as it ever has; it had a few before."""
    async with started("path", directory, cores, callers=1) as server:
        await run_load(await connect(server.port, itertools.repeat(hello(), 1_000), _CONNECTIONS), 300.0)
        before = await server.accounts()
        count = MAX_SESSIONS - 1_000
        done = await run_load(await connect(server.port, itertools.repeat(hello(), count), _CONNECTIONS), 300.0)
        if done.answers != count:
            raise ServerFailed(f"opened {done.answers} of {count} sessions")
        after = await server.accounts()
    return (after.rss_bytes - before.rss_bytes) / MIB / count * MAX_SESSIONS


async def connection_kib(directory: Path, cores: Cores) -> float:
    """What a gateway holds for a connection that was used and is idle; it had as many as a load has before."""
    async with started("path", directory, cores, callers=_CALLERS) as server:
        await run_load(await connect(server.port, reads(server.callers), _CONNECTIONS), 0.5)
        before = await server.accounts()
        opened = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(_IDLE)]
        for (reader, writer), request in zip(opened, reads(server.callers), strict=False):
            writer.write(request)
            await reader.readuntil(b"\r\n\r\n")
        after = await server.accounts()
        for _, writer in opened:
            writer.close()
    return (after.rss_bytes - before.rss_bytes) / 1024 / _IDLE


async def add_keys(database: Path, callers: Sequence[Caller], rows: int, used: int) -> Sequence[Caller]:
    """Store ``rows`` keys past the gateway, as it runs; those ``used``, each of one of ``callers``."""
    stores = await open_sqlite(database)
    try:
        keyring = await Keyring.open(stores.directory, MasterKeyRing([MASTER_KEY]))
    finally:
        await stores.close()
    digest = keys.KeyDigest(keyring.pepper(keyring.current_pepper_version))
    owners = [callers[number % len(callers)] for number in range(used)]
    sample = [Caller(key=keys.mint(KeyEnvironment.TEST), credential_id=owner.credential_id) for owner in owners]
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany(
            _ADD_SAMPLE,
            [
                (str(uuid.uuid4()), digest(caller.key), digest(owner.key))
                for caller, owner in zip(sample, owners, strict=True)
            ],
        )
        connection.execute(_ADD_ROWS, (rows - len(sample), digest(callers[0].key)))
    return sample


@asynccontextmanager
async def _demo(directory: Path) -> AsyncIterator[int]:
    """A demo gateway that answers; its process id."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateway.cli", "serve", "--demo", "--port", "0", "--metrics-port", "0"),
        *("--log-level", "error", "--data-dir", str(directory)),
        stdout=asyncio.subprocess.DEVNULL,
        cwd=ROOT,
    )
    try:
        async with asyncio.timeout(_START_WITHIN_S):
            while not await _answers(directory / "demo.json"):
                if process.returncode is not None:
                    raise ServerFailed("the demo gateway ended")
                await asyncio.sleep(0.1)
        yield process.pid
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), _STOP_WITHIN_S)
            except TimeoutError:
                process.kill()
                await process.wait()


def _port(demo: Path) -> int:
    """:raises OSError, ValueError: the file is not there yet."""
    return int(json.loads(demo.read_bytes())["url"].rpartition(":")[2])


async def _answers(demo: Path) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", _port(demo))
    except (OSError, ValueError):
        return False
    try:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return (await reader.readline()).startswith(b"HTTP/1.1 200")
    finally:
        writer.close()
