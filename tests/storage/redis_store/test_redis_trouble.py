"""What an operator is told of a Redis that cannot be used."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from storage.ports import Charge, Correction, StorageUnavailable
from storage.redis_store.address import RedisAddress
from storage.redis_store.checks import check
from storage.redis_store.counters import RedisCounters
from storage.redis_store.failures import WrongRedis
from storage.redis_store.servers import server_at
from tests.support.redis_server import RedisProcess, address_of, free_port, running_redis, wait_until


async def trouble(address: RedisAddress, *, within_s: float = 5.0) -> StorageUnavailable:
    """What ``check`` raises."""
    server = server_at(address)
    try:
        with pytest.raises(StorageUnavailable) as caught:
            await check(server, within_s=within_s)
    finally:
        await server.close()
    return caught.value


@contextlib.asynccontextmanager
async def counters_of(server: RedisProcess) -> AsyncIterator[RedisCounters]:
    counters = RedisCounters(server_at(server.address, answer_within_s=5.0))
    yield counters
    await counters.close()


@pytest.fixture
def own_redis() -> Iterator[RedisProcess]:
    with running_redis() as server:
        yield server


async def test_one_that_is_well_tells_its_version(redis_process: RedisProcess) -> None:
    server = server_at(redis_process.address)
    state = await check(server)
    await server.close()
    assert state.version.count(".") >= 1
    assert (state.servers, state.eviction) == (1, None)


async def test_one_that_may_forget_what_is_counted_is_told_of(own_redis: RedisProcess) -> None:
    own_redis.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    server = server_at(own_redis.address)
    assert (await check(server)).eviction == "allkeys-lru"
    await server.close()


async def test_absent() -> None:
    port = free_port()
    found = await trouble(address_of(f"redis://127.0.0.1:{port}"))
    assert found.problem == f"Redis at redis://127.0.0.1:{port} cannot be reached"
    assert "Start it, or correct VENUEGATE_REDIS_URL" in found.advice
    assert not isinstance(found, WrongRedis)


async def test_no_such_socket(tmp_path: Path) -> None:
    found = await trouble(address_of(f"unix://{tmp_path}/none.sock"))
    assert found.problem == f"Redis at unix://{tmp_path}/none.sock cannot be reached"


async def test_wrong_password_and_none(own_redis: RedisProcess) -> None:
    own_redis.ask("CONFIG", "SET", "requirepass", "right")
    for login in ("", ":wrong@", "somebody:right@"):
        found = await trouble(address_of(f"redis://{login}127.0.0.1:{own_redis.port}"))
        assert isinstance(found, WrongRedis)
        assert found.problem == f"Redis at {own_redis.url} does not take the password"
    server = server_at(address_of(f"redis://:right@127.0.0.1:{own_redis.port}"))
    assert (await check(server)).servers == 1
    await server.close()


async def test_a_password_where_none_is_needed_is_a_wrong_one(own_redis: RedisProcess) -> None:
    found = await trouble(address_of(f"redis://:any@127.0.0.1:{own_redis.port}"))
    assert isinstance(found, WrongRedis)


async def test_a_user_who_may_not(own_redis: RedisProcess) -> None:
    own_redis.ask("ACL", "SETUSER", "poor", "on", ">pw", "~vg:*", "+info")
    found = await trouble(address_of(f"redis://poor:pw@127.0.0.1:{own_redis.port}"))
    assert isinstance(found, WrongRedis)
    assert "may not do what it needs" in found.problem


async def test_the_rights_that_are_advised_are_enough(own_redis: RedisProcess) -> None:
    rights = "~vg:* resetchannels &vg:* +@read +@write +@connection +@scripting +@pubsub +info +time".split()
    own_redis.ask("ACL", "SETUSER", "gateway", "on", ">pw", *rights)
    server = server_at(address_of(f"redis://gateway:pw@127.0.0.1:{own_redis.port}"), answer_within_s=5.0)
    await check(server)
    counters = RedisCounters(server)
    await counters.correct([Correction(account_id="a", minute=1, create=True)])
    assert (await counters.charge([Charge("a", 1, 1, 1)]))[0].admitted == 1
    assert (await counters.reopening(0))[1] > 0
    await counters.close()


async def test_read_only_replica(own_redis: RedisProcess) -> None:
    own_redis.ask("REPLICAOF", "127.0.0.1", free_port())
    found = await trouble(own_redis.address)
    assert found.problem == f"Redis at {own_redis.url} is a read-only replica"
    async with counters_of(own_redis) as counters:
        with pytest.raises(StorageUnavailable, match="is a read-only replica"):
            await counters.correct([Correction(account_id="a", minute=1, create=True)])


async def test_full(own_redis: RedisProcess) -> None:
    own_redis.ask("CONFIG", "SET", "maxmemory", "1")
    found = await trouble(own_redis.address)
    assert found.problem == f"Redis at {own_redis.url} is full"
    assert "maxmemory" in found.advice
    async with counters_of(own_redis) as counters:
        with pytest.raises(StorageUnavailable, match="is full"):
            await counters.correct([Correction(account_id="a", minute=1, create=True)])


async def test_one_that_cannot_save(own_redis: RedisProcess) -> None:
    own_redis.ask("CONFIG", "SET", "save", "3600 1")
    (own_redis.directory / "dump.rdb").mkdir()
    own_redis.ask("SET", "x", 1)
    own_redis.ask("BGSAVE")
    wait_until(lambda: own_redis.info("persistence")["rdb_last_bgsave_status"] != "ok", 10, "it saved")
    found = await trouble(own_redis.address)
    assert "cannot save to its disk" in found.problem


async def test_no_more_connections(own_redis: RedisProcess) -> None:
    # The one that it takes is the one that asks for this, which stays open.
    own_redis.ask("CONFIG", "SET", "maxclients", 1)
    found = await trouble(own_redis.address)
    assert found.problem == f"Redis at {own_redis.url} takes no more connections"


async def test_slow(own_redis: RedisProcess) -> None:
    own_redis.signal(signal.SIGSTOP)
    found = await trouble(own_redis.address, within_s=0.05)
    own_redis.signal(signal.SIGCONT)
    assert found.problem == f"Redis at {own_redis.url} does not answer in time"


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def something_else(answer: Answer) -> AsyncIterator[RedisAddress]:
    """A server that is no Redis of ours: until the block ends."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        finally:
            writer.close()
            ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield address_of(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    finally:
        server.close()
        await asyncio.wait_for(ended.wait(), 10)


async def test_too_old() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        text = b"redis_version:6.0.9\r\nredis_mode:standalone\r\nrole:master\r\n"
        while await reader.readline():
            writer.write(b"$%d\r\n%s\r\n" % (len(text), text))

    # There is no such old one here.
    async with something_else(answer) as address:
        found = await trouble(address)
    assert isinstance(found, WrongRedis)
    assert found.problem == f"Redis at {address} is version 6.0.9; the gateway needs 6.2 or newer"


async def test_something_else_behind_the_port() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with something_else(answer) as address:
        found = await trouble(address)
    assert found.problem == f"What answers at {address} is no Redis"


async def test_no_cluster_where_one_was_named(own_redis: RedisProcess) -> None:
    found = await trouble(address_of(f"redis+cluster://127.0.0.1:{own_redis.port}"))
    assert isinstance(found, WrongRedis)
    assert "is not a cluster" in found.problem
    assert "redis:// in VENUEGATE_REDIS_URL" in found.advice


async def test_an_absent_cluster() -> None:
    found = await trouble(address_of(f"redis+cluster://127.0.0.1:{free_port()}"))
    assert "cannot be reached" in found.problem


async def test_no_message_has_the_password(own_redis: RedisProcess) -> None:
    for url in (f"redis://:hunter2@127.0.0.1:{own_redis.port}", f"redis://:hunter2@127.0.0.1:{free_port()}"):
        found = await trouble(address_of(url))
        assert "hunter2" not in f"{found} {found!r} {found.__cause__!r}"
