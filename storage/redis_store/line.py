"""One connection to Redis, and the one rule about it: a call is never cancelled; one that takes too long loses it.

A reply that comes after its call was given up would be taken for the reply to the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import hiredis
from redis import exceptions
from redis.asyncio.connection import AbstractConnection

from storage.redis_store.address import ANSWER_WITHIN_S

T = TypeVar("T")

MOMENT_S: Final = 0.005


class Line:
    """Opened by its first call, and again by the next one after it was lost. Calls go one after the other."""

    def __init__(self, connect: Callable[[], AbstractConnection]) -> None:
        self._make = connect
        self._connection: AbstractConnection | None = None
        self._lock = asyncio.Lock()
        self._watch: asyncio.TimerHandle | None = None
        self._giving_up: asyncio.Task[None] | None = None

    async def ask(self, *command: bytes | str | int, within_s: float = ANSWER_WITHIN_S) -> Any:
        """What Redis answers, connecting included.

        :raises RedisError, OSError: Redis refuses, or the connection was lost; it may have done it all the same.
        :raises TimeoutError: the same, after ``within_s``.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        async with self._lock:
            connection = self._connection or await self._connected(deadline)
            self._giving_up = None
            self._watch = loop.call_at(deadline, self._wait_a_moment)
            try:
                packed = hiredis.pack_command(command)  # type: ignore[arg-type]  # its stub says a tuple of one
                await connection.send_packed_command(packed, check_health=False)
                return await connection.read_response(disable_decoding=True)
            except (exceptions.NoScriptError, exceptions.MovedError):
                raise
            except BaseException as error:
                # After a refusal too: another server may answer behind the same name by now.
                await self._drop()
                if self._giving_up is not None:
                    raise TimeoutError from error
                raise
            finally:
                self._watch.cancel()

    async def close(self) -> None:
        async with self._lock:
            await self._drop()

    async def _connected(self, deadline: float) -> AbstractConnection:
        connection = self._make()
        try:
            async with asyncio.timeout_at(deadline):
                await connection.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._connection = connection
        return connection

    def _wait_a_moment(self) -> None:
        # A loop that was held up finds the timer first, and then the answer, which had come long before.
        self._watch = asyncio.get_running_loop().call_later(MOMENT_S, self._give_up)

    def _give_up(self) -> None:
        """The call ends by itself when its connection has gone."""
        self._giving_up = asyncio.create_task(self._drop())

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)


async def finished(work: Awaitable[T], deadline: float) -> T:
    """What ``work`` comes to. After ``deadline`` it goes on alone: whoever asked has to end what it uses.

    :raises TimeoutError: it has not come to anything by then.
    """
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    try:
        await asyncio.wait({task}, timeout=max(0.0, deadline - loop.time()))
        if not task.done():
            # A loop that was held up finds the timer first and then the reply, which had come long before.
            await asyncio.wait({task}, timeout=MOMENT_S)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        if not task.done():
            task.add_done_callback(_seen)


def _seen(task: asyncio.Future[Any]) -> None:
    """Nobody waits for it any more, and asyncio would complain that nobody asked for its error."""
    if not task.cancelled():
        task.exception()
