"""One connection to Redis, and the one rule about it: a call is never cancelled; one that takes too long loses it.

A reply that comes after its call was given up would be taken for the reply to the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

from redis import exceptions

from storage.redis_store.address import ANSWER_WITHIN_S, RedisAddress
from storage.redis_store.wire import Wire, dialed

T = TypeVar("T")

MOMENT_S: Final = 0.005


class Line:
    """Opened by its first call, and again by the next one after it was lost. Calls go one after the other."""

    def __init__(self, address: RedisAddress) -> None:
        self._address = address
        self._wire: Wire | None = None
        self._lock = asyncio.Lock()
        self._watch: asyncio.TimerHandle | None = None

    async def ask(self, *command: bytes | str | int, within_s: float = ANSWER_WITHIN_S) -> Any:
        """What Redis answers, connecting included.

        :raises RedisError, OSError: Redis refuses, or the connection was lost; it may have done it all the same.
        :raises TimeoutError: the same, after ``within_s``.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        async with self._lock:
            wire = self._wire
            if wire is None or wire.is_lost:
                wire = self._wire = await self._opened(deadline)
            self._watch = loop.call_at(deadline, self._wait_a_moment, wire)
            try:
                return await wire.ask(*command)
            except exceptions.NoScriptError:
                raise
            except BaseException:
                # After a refusal too: another server may answer behind the same name by now.
                wire.lose()
                raise
            finally:
                self._watch.cancel()

    async def close(self) -> None:
        async with self._lock:
            if self._wire is not None:
                self._wire.lose()

    async def _opened(self, deadline: float) -> Wire:
        async with asyncio.timeout_at(deadline):
            return await dialed(self._address)

    def _wait_a_moment(self, wire: Wire) -> None:
        # A loop that was held up finds the timer first, and then the answer, which had come long before.
        self._watch = asyncio.get_running_loop().call_later(MOMENT_S, wire.lose, TimeoutError())


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
