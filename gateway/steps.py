"""Coroutines that are begun where they are called, and cost a task or a timer only when they have to wait.

Much of what is done for a request never waits for anything. A task for it, with its turns of the event loop, would
cost as much as the work itself, and so would a timer that is set and taken back each time. So the first step, up to the
first wait, is run in place. Where that was all, nothing else is paid for.
"""

from __future__ import annotations

import asyncio
import types

# asyncio documents both for those who write tasks of their own, under "Task lifetime support".
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine, Generator
from contextvars import copy_context
from typing import Any, Final, Generic, TypeVar, cast

T = TypeVar("T")

_ENDED: Final = object()
# Declared to take an asyncio.Task.
_enter: Final = cast("Callable[[Any, Any], None]", _enter_task)
_leave: Final = cast("Callable[[Any, Any], None]", _leave_task)


class Steps(Generic[T]):
    """A coroutine taken apart: ``next(steps.left, _ENDED)`` runs it to its next wait, and tells what it waits for.

    Once it has ended, ``result`` is there. To be told of the end by an exception, as by ``send``, costs more than many
    a step does itself.
    """

    __slots__ = ("left", "result")

    result: T

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self.left = self._all(coroutine).__await__()

    async def _all(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self.result = await coroutine


class Begun(Steps[T]):
    """A coroutine that was begun outside any task, and waits. A task has to await its ``rest``, once.

    To the coroutine this is the current task, from the first step to the last, for what is asked of one from inside:
    timeouts and task groups cancel it, and count who else did.
    """

    __slots__ = ("__weakref__", "_awaited", "_cancels", "_context", "_loop", "_task")

    def __init__(self, coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> None:
        self.left = self._all(coroutine).__await__()
        self._loop = loop
        # As a task has: what the coroutine sets in it is nobody else's.
        self._context = copy_context()
        self._task: asyncio.Task[Any] | None = None
        self._cancels = 0
        self._awaited: Any = None

    def first_step(self) -> bool:
        """Run to the first wait; whether there is none."""
        _enter(self._loop, self)
        try:
            self._awaited = self._context.run(next, self.left, _ENDED)
        finally:
            _leave(self._loop, self)
        return self._awaited is _ENDED

    async def rest(self) -> T:
        self._task = asyncio.current_task()
        for _ in range(self._cancels):
            self.cancel()
        await _relayed(self._awaited, self._send, self._throw)
        return self.result

    def done(self) -> bool:
        return self._task is not None and self._task.done()

    def cancel(self, msg: Any = None) -> bool:
        if self._task is not None:
            return self._task.cancel(msg)
        self._cancels += 1
        return True

    def cancelling(self) -> int:
        return self._cancels if self._task is None else self._task.cancelling()

    def uncancel(self) -> int:
        if self._task is not None:
            return self._task.uncancel()
        self._cancels -= 1
        return self._cancels

    def _send(self, value: Any) -> Any:
        return self._step(self.left.send, value)

    def _throw(self, error: BaseException) -> Any:
        return self._step(self.left.throw, error)

    def _step(self, resume: Callable[[Any], Any], value: Any) -> Any:
        """A later step: the task that awaits it stands back meanwhile."""
        loop, task = self._loop, self._task
        _leave(loop, task)
        _enter(loop, self)
        try:
            return self._context.run(resume, value)
        finally:
            _leave(loop, self)
            _enter(loop, task)


def begun(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T | Begun[T]:
    """The coroutine's result where it never waits; otherwise what is left of it."""
    steps = Begun(coroutine, loop)
    return steps.result if steps.first_step() else steps


async def within(seconds: float, coroutine: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result. The clock runs from its first wait on.

    :raises TimeoutError: it waited for too long, and was cancelled.
    """
    steps = Steps(coroutine)
    awaited = next(steps.left, _ENDED)
    if awaited is not _ENDED:
        async with asyncio.timeout(seconds):
            await _relayed(awaited, steps.left.send, steps.left.throw)
    return steps.result


@types.coroutine
def _relayed(
    awaited: Any, send: Callable[[Any], Any], throw: Callable[[BaseException], Any]
) -> Generator[Any, Any, None]:
    """Wait, for a coroutine that has begun, for ``awaited`` and for all that it waits for after that."""
    try:
        while True:
            try:
                value = yield awaited
            except BaseException as error:
                awaited = throw(error)
            else:
                awaited = send(value)
    except StopIteration:
        return
