"""Threads that run database work for an event loop: each with one connection, taking what is queued as one batch."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Engine

MOST_IN_A_BATCH: Final = 256


class Job:
    """One piece of work and the future that its caller awaits. Whether the caller is still there changes nothing."""

    __slots__ = ("durable", "future", "loop", "work")

    def __init__(self, work: Callable[[Connection], Any], *, durable: bool) -> None:
        self.work = work
        self.durable = durable
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()


class Done:
    """What came of a job: its ``error`` or its ``value``."""

    __slots__ = ("error", "job", "value")

    def __init__(self, job: Job, *, value: object = None, error: BaseException | None = None) -> None:
        self.job = job
        self.value = value
        self.error = error


Jobs = queue.SimpleQueue["Job | None"]
"""None ends the lane that takes it, after the batch it came with."""


class Lane(ABC):
    """A thread that waits for jobs, runs those that are there as one batch, and hands all results back at once."""

    def __init__(self, engine: Engine, jobs: Jobs, name: str) -> None:
        self._engine = engine
        self._jobs = jobs
        self._connection: Connection | None = None
        # A daemon, so that a program that ends without closing does not hang: what was committed is on disk.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        more = True
        while more:
            batch, more = self._next_batch()
            if batch:
                _deliver(self._run_batch(batch))
                # Frames keep their values until the next batch: results may be large and wait for hours.
                batch.clear()
        self._let_go(keep=False)
        self._engine.dispose()

    def _next_batch(self) -> tuple[list[Job], bool]:
        """At least one job, or the end."""
        batch: list[Job] = []
        job = self._jobs.get()
        while job is not None:
            batch.append(job)
            if len(batch) == MOST_IN_A_BATCH:
                return batch, True
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return batch, True
        return batch, False

    @abstractmethod
    def _run_batch(self, batch: Sequence[Job]) -> Sequence[Done]:
        """One outcome per job. Never raises."""

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _let_go(self, *, keep: bool) -> None:
        """Leave the connection, with ``keep`` to the pool, else for good: the next batch gets a fresh one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            # It is in an unknown condition: that it cannot be put in order is no news.
            with contextlib.suppress(Exception):
                if not keep:
                    connection.invalidate()
                connection.close()


def _deliver(outcomes: Sequence[Done]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[Done]] = {}
    for done in outcomes:
        by_loop.setdefault(done.job.loop, []).append(done)
    for loop, its in by_loop.items():
        # The loop may be closed: then nobody waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_resolve, its)


def _resolve(outcomes: Sequence[Done]) -> None:
    for done in outcomes:
        if done.job.future.done():
            continue
        if done.error is None:
            done.job.future.set_result(done.value)
        else:
            done.job.future.set_exception(done.error)
