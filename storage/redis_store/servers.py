"""One Redis, or a Redis Cluster, as the stores here use it: scripts over keys, and plain commands.

Every failure is told as ``StorageUnavailable``. Nothing is ever tried again: what failed may have been done.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from redis import exceptions
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from storage.redis_store.address import ANSWER_WITHIN_S, RedisAddress
from storage.redis_store.failures import translated
from storage.redis_store.line import Line, finished

T = TypeVar("T")

CONNECT_WITHIN_S: Final = 1.0


class Script:
    """A Lua script over any number of keys, with the same number of arguments for each, that answers with a row each.

    Many keys in one call cost far less than many calls; on a cluster, where keys live apart, each is a call.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Server(Protocol):
    """Calls for which no ``within_s`` is given take as long as the server was made for."""

    @property
    def address(self) -> RedisAddress: ...

    async def run(
        self,
        script: Script,
        keys: Sequence[str],
        arguments: Sequence[str | int],
        *,
        within_s: float | None = None,
    ) -> Sequence[Any]:
        """A row for each of ``keys``, in order. ``arguments`` are those of the first key, then those of the next.

        :raises StorageUnavailable: it is not known which of them were done.
        """
        ...

    async def ask(self, *command: bytes | str | int, within_s: float | None = None) -> Any:
        """A command over one key, or over none.

        :raises StorageUnavailable: it is not known whether it was done.
        """
        ...

    async def info(self, *, within_s: float) -> Sequence[Mapping[str, str]]:
        """What each server that takes writes says of itself.

        :raises StorageUnavailable: one of them does not answer.
        """
        ...

    async def close(self) -> None: ...


class SingleServer:
    def __init__(self, address: RedisAddress, answer_within_s: float) -> None:
        self.address = address
        self._within_s = answer_within_s
        self._line = Line(address)

    async def run(
        self,
        script: Script,
        keys: Sequence[str],
        arguments: Sequence[str | int],
        *,
        within_s: float | None = None,
    ) -> Sequence[Any]:
        count = len(keys)
        within_s = within_s or self._within_s
        try:
            try:
                rows = await self._line.ask("EVALSHA", script.sha, count, *keys, *arguments, within_s=within_s)
            except exceptions.NoScriptError:
                # It was restarted, or its scripts were flushed: nothing was done.
                rows = await self._line.ask("EVAL", script.text, count, *keys, *arguments, within_s=within_s)
        except (exceptions.RedisError, OSError) as error:
            raise translated(error, self.address) from error
        return _rows(rows)

    async def ask(self, *command: bytes | str | int, within_s: float | None = None) -> Any:
        try:
            return await self._line.ask(*command, within_s=within_s or self._within_s)
        except (exceptions.RedisError, OSError) as error:
            raise translated(error, self.address) from error

    async def info(self, *, within_s: float) -> Sequence[Mapping[str, str]]:
        return [parse_info(await self.ask("INFO", within_s=within_s))]

    async def close(self) -> None:
        await self._line.close()


class ClusterServer:
    """The library finds out which node has which keys. A client that failed is replaced, and looks for itself again."""

    def __init__(self, address: RedisAddress, answer_within_s: float) -> None:
        self.address = address
        self._within_s = answer_within_s
        self._client: RedisCluster | None = None
        self._opening: asyncio.Task[RedisCluster] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def run(
        self,
        script: Script,
        keys: Sequence[str],
        arguments: Sequence[str | int],
        *,
        within_s: float | None = None,
    ) -> Sequence[Any]:
        width = len(arguments) // len(keys)
        calls = [(key, arguments[place * width : (place + 1) * width]) for place, key in enumerate(keys)]

        async def with_client(client: RedisCluster) -> Sequence[Any]:
            rows = await _evaluated(client, "EVALSHA", script.sha, calls)
            unknown = [place for place, row in enumerate(rows) if isinstance(row, exceptions.NoScriptError)]
            if unknown:
                again = await _evaluated(client, "EVAL", script.text, [calls[place] for place in unknown])
                for place, row in zip(unknown, again, strict=True):
                    rows[place] = row
            for row in rows:
                if isinstance(row, Exception):
                    raise row
            return [_rows(row)[0] for row in rows]

        return await self._within(within_s, with_client)

    async def ask(self, *command: bytes | str | int, within_s: float | None = None) -> Any:
        return await self._within(within_s, lambda client: client.execute_command(*command))

    async def info(self, *, within_s: float) -> Sequence[Mapping[str, str]]:
        async def with_client(client: RedisCluster) -> Sequence[Mapping[str, str]]:
            found = await asyncio.gather(*(node.execute_command("INFO") for node in client.get_primaries()))
            return [parse_info(text) for text in found]

        return await self._within(within_s, with_client)

    async def close(self) -> None:
        if self._opening is not None:
            await asyncio.wait({self._opening})
        self._drop()
        if self._closing:
            await asyncio.wait(self._closing)

    async def _within(self, within_s: float | None, use: Callable[[RedisCluster], Awaitable[T]]) -> T:
        deadline = asyncio.get_running_loop().time() + (within_s or self._within_s)
        try:
            client = self._client or await self._opened(deadline)
            return await finished(use(client), deadline)
        except (exceptions.RedisError, exceptions.RedisClusterException, OSError) as error:
            self._drop()
            raise translated(error, self.address) from error

    async def _opened(self, deadline: float) -> RedisCluster:
        """The client, as soon as it knows its way. To find that out takes longer than a call may: it goes on."""
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open())
        return await finished(asyncio.shield(self._opening), deadline)

    async def _open(self) -> RedisCluster:
        client = cluster_at(self.address)
        await client.initialize()
        self._client = client
        return client

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            closing = asyncio.create_task(client.aclose())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


def server_at(address: RedisAddress, *, answer_within_s: float = ANSWER_WITHIN_S) -> Server:
    """Not connected yet."""
    kind = ClusterServer if address.is_cluster else SingleServer
    return kind(address, answer_within_s)


def connection_to(address: RedisAddress, *, number: int = 0) -> AbstractConnection:
    """A connection to host ``number``, not opened yet. It has no deadlines and never reopens: others see to that."""
    common: dict[str, Any] = {
        "db": address.database,
        "username": address.username,
        "password": address.password,
        "socket_timeout": None,
        "socket_connect_timeout": None,
        "protocol": 2,
        "driver_info": None,
    }
    if address.path is not None:
        return UnixDomainSocketConnection(path=address.path, **common)
    host, port = address.hosts[number]
    if address.tls:
        return SSLConnection(host=host, port=port, ssl_ca_certs=address.ca_file, **common)
    return Connection(host=host, port=port, **common)


def cluster_at(address: RedisAddress) -> RedisCluster:
    """A client of its own that knows nothing yet, and gives up at the first failure."""
    return RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in address.hosts],
        username=address.username,
        password=address.password,
        ssl=address.tls,
        ssl_ca_certs=address.ca_file,
        retry=Retry(NoBackoff(), 0),
        # Behind the deadlines of the calls: so that what was given up ends, too.
        socket_timeout=CONNECT_WITHIN_S,
        socket_connect_timeout=CONNECT_WITHIN_S,
        protocol=2,
        driver_info=None,
    )


def parse_info(text: bytes | str | Mapping[str, Any]) -> Mapping[str, str]:
    """The lines of INFO."""
    if isinstance(text, Mapping):
        return {name: str(value) for name, value in text.items()}
    lines = (text.decode() if isinstance(text, bytes) else text).splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _rows(answer: Any) -> list[Any]:
    """One row for each key; an error that a script gives back is an answer, too."""
    for row in answer:
        if isinstance(row, Exception):
            raise row
    return list(answer)


async def _evaluated(
    client: RedisCluster, command: str, script: str, calls: Sequence[tuple[str, Sequence[str | int]]]
) -> list[Any]:
    """An answer or an error for each."""
    pipeline = client.pipeline(transaction=False)
    for key, arguments in calls:
        pipeline.execute_command(command, script, 1, key, *arguments)
    answers: Awaitable[list[Any]] = pipeline.execute(raise_on_error=False)
    return await answers
