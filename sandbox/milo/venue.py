"""The venue: a thread of its own for the machine, and a way in from the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from sandbox.milo import signin
from sandbox.milo.agents.agent import Agent
from sandbox.milo.agents.analyst import Analyst
from sandbox.milo.arena import rounds as arena
from sandbox.milo.autotrade import rounds as auto_trading
from sandbox.milo.conversations import answering as conversations
from sandbox.milo.core import Background, Core
from sandbox.milo.handling import Request
from sandbox.milo.machine import Answer, Machine
from sandbox.milo.parts import Part
from sandbox.milo.quests import records as quests
from sandbox.milo.trading import triggers

_log = logging.getLogger(__name__)

T = TypeVar("T")


def parts_with(agent: Agent) -> tuple[Part, ...]:
    """Everything that has tables of its own, hears of events or does something by itself. ``agent`` answers."""
    return (
        Part(name="sign-in", schema=signin.SCHEMA),
        # Before what may be due often: of the rounds that were missed until then, they skip all but the last.
        auto_trading.PART,
        arena.PART,
        triggers.PART,
        quests.PART,
        conversations.part(agent),
    )


PARTS: Final = parts_with(Analyst())


class MiloVenue:
    """``path`` is its file, None for memory only; ``seed`` makes its market. ``parts`` are what it is made of."""

    def __init__(
        self, *, seed: int, path: Path | None, now_ms: Callable[[], int], parts: Sequence[Part] = PARTS
    ) -> None:
        self._opened = lambda: Machine(seed=seed, path=path, now_ms=now_ms, parts=parts)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="milo")
        self._tasks: set[asyncio.Task[None]] = set()
        self._machine: Machine | None = None

    async def start(self) -> None:
        """Open the file, set up the chain, take up what was unfinished.

        :raises sqlite3.Error: the file cannot be opened, or another process has it.
        """
        self._machine = await self._in_thread(self._opened)
        await self.run(lambda core: None)

    async def close(self) -> None:
        """Finish what is being asked, and stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        machine, self._machine = self._machine, None
        if machine is not None:
            await self._in_thread(machine.close)
        self._thread.shutdown(wait=False)

    async def run(self, job: Callable[[Core], T]) -> T:
        """``job`` in the venue's thread and a transaction of its own, after what happened by itself until now.

        A caller that goes away changes nothing: it is carried out all the same.
        """
        return await self._asked(lambda machine: machine.run(job))

    async def answer(self, request: Request) -> Answer:
        """The whole of a request; never raises while the venue is open."""
        return await self._asked(lambda machine: machine.answer(request))

    async def _asked(self, question: Callable[[Machine], T]) -> T:
        machine = self._machine
        if machine is None:
            raise RuntimeError("the venue is not open")
        loop = asyncio.get_running_loop()

        def work() -> T:
            try:
                return question(machine)
            finally:
                # From here, not from the caller: one that goes away takes nothing with it.
                if spawned := machine.spawned():
                    loop.call_soon_threadsafe(self._start, spawned)

        return await self._in_thread(work)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _start(self, spawned: Sequence[Background]) -> None:
        for work in spawned:
            task = asyncio.create_task(self._in_background(work))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _in_background(self, work: Background) -> None:
        try:
            await work(self)
        except Exception:
            _log.exception("work in the background failed")
