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
    """A coroutine that was begun outside any task, and goes on by itself whenever what it waits for is there.

    It does for the coroutine what asyncio's own task would, at half the cost: no turn of the event loop before the
    first step, none after the last. To the coroutine this is the current task, for what is asked of one from inside:
    timeouts and task groups cancel it, and count who else did. Somebody has to hold on to it while it waits.
    """

    __slots__ = ("__weakref__", "_awaited", "_cancels", "_context", "_error", "_is_done", "_loop", "_then", "_to_throw")

    def __init__(self, coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> None:
        self.left = self._all(coroutine).__await__()
        self._loop = loop
        # As a task has: what the coroutine sets in it is nobody else's.
        self._context = copy_context()
        self._awaited: asyncio.Future[Any] | None = None
        self._to_throw: BaseException | None = None
        self._error: BaseException | None = None
        self._cancels = 0
        self._is_done = False
        self._then: Callable[[Begun[T]], None] | None = None

    def first_step(self) -> bool:
        """Run to the first wait; whether there is none."""
        _enter(self._loop, self)
        try:
            awaited = self._context.run(next, self.left, _ENDED)
        finally:
            _leave(self._loop, self)
        if awaited is _ENDED:
            return True
        self._wait_for(awaited)
        return False

    def then(self, told: Callable[[Begun[T]], None]) -> None:
        """Call ``told`` as soon as it has ended; ``outcome`` is for whoever is told."""
        if self._is_done:
            told(self)
        else:
            self._then = told

    def outcome(self) -> T:
        """What it came to, once it has ended: its result, or what it raised."""
        if self._error is not None:
            raise self._error
        return self.result

    def done(self) -> bool:
        return self._is_done

    def cancel(self, msg: Any = None) -> bool:
        if self._is_done:
            return False
        self._cancels += 1
        if self._awaited is None or not self._awaited.cancel(msg):
            self._to_throw = asyncio.CancelledError(*(() if msg is None else (msg,)))
        return True

    def cancelling(self) -> int:
        return self._cancels

    def uncancel(self) -> int:
        self._cancels = max(0, self._cancels - 1)
        return self._cancels

    def _wait_for(self, awaited: Any) -> None:
        """Be called again, in the coroutine's context, when ``awaited`` is there: a future, or None for a turn."""
        if getattr(awaited, "_asyncio_future_blocking", False):
            awaited._asyncio_future_blocking = False
            awaited.add_done_callback(self._go_on, context=self._context)
            self._awaited = awaited
            if self._to_throw is not None and awaited.cancel():
                self._to_throw = None
            return
        if awaited is not None:
            self._to_throw = RuntimeError(f"what was awaited is none of asyncio's: {awaited!r}")
        self._loop.call_soon(self._go_on, context=self._context)

    def _go_on(self, awaited: Any = None) -> None:
        self._awaited = None
        _enter(self._loop, self)
        try:
            # A future that failed raises its error itself when its waiter goes on.
            awaited = next(self.left, _ENDED) if self._to_throw is None else self._thrown()
        except BaseException as error:
            self._error = error
            awaited = _ENDED
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
        finally:
            _leave(self._loop, self)
        if awaited is not _ENDED:
            self._wait_for(awaited)
            return
        self._is_done = True
        if self._then is not None:
            self._then(self)

    def _thrown(self) -> Any:
        error, self._to_throw = self._to_throw, None
        try:
            return self.left.throw(cast(BaseException, error))
        except StopIteration:
            return _ENDED


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
