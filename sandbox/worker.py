"""A thread of its own for the engine and its disk, so that the event loop waits for neither.

Commands that come in while the thread is busy share the next commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Lock
from typing import Any, Final, NamedTuple, TypeVar

from normalization.venue_failures import Reason, VenueNotReached
from sandbox.durable import DurableEngine
from sandbox.engine import Command, LegResult

_MOST_PER_COMMIT: Final = 32

T = TypeVar("T")


class _Job(NamedTuple):
    """Either a command to carry out or something to ask."""

    command: Command | None
    question: Callable[[DurableEngine], Any] | None
    answer: asyncio.Future[Any]


class Worker:
    """Runs a ``DurableEngine``. Everything raises ``VenueNotReached`` once it is closed."""

    def __init__(self, engine: DurableEngine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="paper-exchange")
        self._lock = Lock()
        self._jobs: list[_Job] = []
        self._is_working = False
        self._is_closed = False

    async def command(self, command: Command) -> Sequence[LegResult]:
        """A caller that goes away changes nothing: the command is carried out all the same."""
        results: Sequence[LegResult] = await self._submit(command, None)
        return results

    async def ask(self, question: Callable[[DurableEngine], T]) -> T:
        answer: T = await self._submit(None, question)
        return answer

    async def close(self) -> None:
        """Finish what has been asked, then close the engine."""
        if self._is_closed:
            return
        closing = self._submit(None, lambda engine: engine.close())
        self._is_closed = True
        try:
            await closing
        finally:
            self._thread.shutdown(wait=False)

    def _submit(self, command: Command | None, question: Callable[[DurableEngine], Any] | None) -> asyncio.Future[Any]:
        if self._is_closed:
            raise VenueNotReached(Reason.VENUE_UNAVAILABLE, "The paper exchange is closed")
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._jobs.append(_Job(command, question, answer))
            must_start, self._is_working = not self._is_working, True
        if must_start:
            self._thread.submit(self._work)
        return answer

    def _work(self) -> None:
        while jobs := self._next_jobs():
            commands = [job for job in jobs if job.command is not None]
            if commands:
                _deliver(commands, self._execute([job.command for job in commands if job.command is not None]))
            for job in jobs:
                if job.question is not None:
                    _deliver([job], [self._answer(job.question)])

    def _next_jobs(self) -> list[_Job]:
        with self._lock:
            jobs, self._jobs = self._jobs[:_MOST_PER_COMMIT], self._jobs[_MOST_PER_COMMIT:]
            self._is_working = bool(jobs)
            return jobs

    def _execute(self, commands: Sequence[Command]) -> Sequence[object]:
        try:
            return self._engine.execute(commands)
        except Exception as failure:
            return [failure for _ in commands]

    def _answer(self, question: Callable[[DurableEngine], Any]) -> object:
        try:
            return question(self._engine)
        except Exception as failure:
            return failure


def _deliver(jobs: Sequence[_Job], answers: Sequence[object]) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], object]]] = {}
    for job, answer in zip(jobs, answers, strict=True):
        by_loop.setdefault(job.answer.get_loop(), []).append((job.answer, answer))
    for loop, answered in by_loop.items():
        # A loop that was closed meanwhile has nobody left who waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, answered)


def _settle(answered: Sequence[tuple[asyncio.Future[Any], object]]) -> None:
    for future, answer in answered:
        if future.done():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
