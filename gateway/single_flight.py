"""One execution for all who ask for the same thing at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class SingleFlight(Generic[K, V]):
    """Runs ``work`` once per key at a time; everybody who asks meanwhile gets the same result or error.

    A caller who is cancelled, or who waits no longer than ``timeout_s``, leaves the work running for the others.
    """

    def __init__(self) -> None:
        self._running: dict[K, asyncio.Task[V]] = {}

    def start(self, key: K, work: Callable[[], Awaitable[V]]) -> asyncio.Task[V]:
        """The running task of ``key``, started now if there is none."""
        task = self._running.get(key)
        if task is None or task.done():
            task = asyncio.create_task(_run(work))
            self._running[key] = task
            task.add_done_callback(lambda done: self._finished(key, done))
        return task

    async def run(self, key: K, work: Callable[[], Awaitable[V]], *, timeout_s: float | None = None) -> V:
        """:raises TimeoutError: it was not done after ``timeout_s``."""
        task = self.start(key, work)
        done, _ = await asyncio.wait({task}, timeout=timeout_s)
        if not done:
            raise TimeoutError
        return task.result()

    def running(self) -> Collection[asyncio.Task[V]]:
        """What has not ended yet."""
        return list(self._running.values())

    def _finished(self, key: K, task: asyncio.Task[V]) -> None:
        if self._running.get(key) is task:
            del self._running[key]
        if not task.cancelled():
            # Marks it as seen: when every caller has left, nobody else will, and asyncio would complain.
            task.exception()


async def _run(work: Callable[[], Awaitable[V]]) -> V:
    return await work()
