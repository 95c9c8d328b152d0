"""Owner of the tasks that must outlive the request that started them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class Supervisor:
    """A client that hangs up changes nothing: what it started runs to its end here."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = False

    @property
    def is_closing(self) -> bool:
        return self._closing

    def __len__(self) -> int:
        return len(self._tasks)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of ``work``, which goes on even when the waiter is cancelled."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Reading it keeps asyncio from complaining when the waiter is gone.
            task.exception()

    async def drain(self, timeout_s: float) -> bool:
        """Wait for everything under way; False when some of it had to be cut off and left to reconciliation."""
        self._closing = True
        if not self._tasks:
            return True
        _log.info("draining", orders=len(self._tasks))
        _, pending = await asyncio.wait(tuple(self._tasks), timeout=timeout_s)
        for task in pending:
            task.cancel()
        return not pending
