"""Word of changes: told by whoever changed the directory, heard by all who remember what it said before.

A convenience on top of what everybody looks up for themselves every other second: nothing is lost when it is not heard.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from redis import exceptions
from redis.asyncio.connection import AbstractConnection

from storage.ports import StorageUnavailable
from storage.redis_store.address import RedisAddress
from storage.redis_store.servers import CONNECT_WITHIN_S, Server, connection_to

CHANNEL: Final = "vg:directory"
TELL_WITHIN_S: Final = 0.5
QUIET_FOR_S: Final = 2.0
CONNECT_AGAIN_S: Final = 0.5

_log = structlog.get_logger(__name__)


class RedisNews:
    """``announce`` tells, ``listen`` hears. After ``quiet_for_s`` without a word it asks whether anybody is there."""

    def __init__(
        self,
        server: Server,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        quiet_for_s: float = QUIET_FOR_S,
    ) -> None:
        self._server = server
        self._sleep = sleep
        self._quiet_for_s = quiet_for_s
        self._telling: asyncio.Task[None] | None = None
        self._more = False

    def announce(self) -> None:
        """Tell everybody that the directory has changed; returns at once. Changes in quick succession are one."""
        self._more = True
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell())

    async def listen(self, heard: Callable[[], None]) -> None:
        """Call ``heard`` at every change, and whenever one may have been missed; until cancelled."""
        for attempt in itertools.count():
            try:
                await self._follow(_connection(self._server.address, attempt), heard)
            except (exceptions.RedisError, OSError):
                await self._sleep(CONNECT_AGAIN_S)

    async def close(self) -> None:
        """Finish telling."""
        if self._telling is not None:
            await asyncio.wait({self._telling})
        await self._server.close()

    async def _tell(self) -> None:
        try:
            while self._more:
                self._more = False
                await self._server.ask("PUBLISH", CHANNEL, "changed", within_s=TELL_WITHIN_S)
        except StorageUnavailable as error:
            _log.info("a change was not announced: it is noticed within two seconds", problem=error.problem)
        finally:
            self._telling = None

    async def _follow(self, connection: AbstractConnection, heard: Callable[[], None]) -> None:
        """:raises RedisError, OSError: the connection was lost, or is silent."""
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                await connection.connect()  # type: ignore[no-untyped-call]
            await connection.send_command("SUBSCRIBE", CHANNEL)
            was_asked = False
            while True:
                message = await connection.read_response(timeout=self._quiet_for_s)
                if message is None:
                    if was_asked:
                        raise TimeoutError
                    # A connection that only listens does not notice that the other end has gone.
                    was_asked = True
                    await connection.send_command("PING")
                    continue
                was_asked = False
                if message[0] != b"pong":
                    # A message; or that messages will come from now on, and some may have been missed.
                    heard()
        finally:
            await connection.disconnect(nowait=True)


def _connection(address: RedisAddress, attempt: int) -> AbstractConnection:
    """To the one server, or to any node of a cluster: each passes on what is told to another."""
    return connection_to(address, number=attempt % max(1, len(address.hosts)))
