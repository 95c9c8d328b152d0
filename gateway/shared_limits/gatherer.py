"""Many questions at once, few round trips."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

import structlog

from storage.ports import StorageUnavailable

_log = structlog.get_logger(__name__)

TURNS: Final = 2

A = TypeVar("A")
R = TypeVar("R")


class Gatherer(Generic[A, R]):
    """Asks one batch at a time: what is asked for while one is out makes up the next, at most ``at_most`` of it.

    A batch that fails answers None, also to those who wait behind it: they have waited long enough. A caller who is
    cancelled leaves the others alone.
    """

    def __init__(self, ask: Callable[[Sequence[A]], Awaitable[Sequence[R]]], *, at_most: int) -> None:
        self._ask = ask
        self._at_most = at_most
        self._waiting: list[tuple[A, asyncio.Future[R | None]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def get(self, question: A) -> R | None:
        answer: asyncio.Future[R | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_while_needed())
        return await answer

    async def idle(self) -> None:
        """Return when nothing is being asked."""
        while self._asking is not None:
            await asyncio.wait({self._asking})

    async def _ask_while_needed(self) -> None:
        try:
            while self._waiting:
                # Whoever was answered just now asks again at once, and may as well come along.
                for _ in range(TURNS):
                    await asyncio.sleep(0)
                batch, self._waiting = self._waiting[: self._at_most], self._waiting[self._at_most :]
                try:
                    answers = await self._ask([question for question, _ in batch])
                except Exception as error:
                    if not isinstance(error, StorageUnavailable):
                        _log.exception("a batch of checks failed")
                    batch += self._waiting
                    self._waiting = []
                    _tell(batch, [None] * len(batch))
                else:
                    _tell(batch, answers)
        finally:
            self._asking = None


def _tell(batch: Sequence[tuple[A, asyncio.Future[R | None]]], answers: Sequence[R | None]) -> None:
    for (_, waiting), answer in zip(batch, answers, strict=True):
        if not waiting.done():
            waiting.set_result(answer)
