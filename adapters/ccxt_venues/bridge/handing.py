"""ccxt's coroutines in worker threads: a signature in pure Python, or in a library, takes milliseconds.

Such a coroutine computes in threads and hands each request over to the event loop, where it is sent. It awaits nothing
else: ccxt does no other waiting once its sending and its throttle are ours.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import msgspec


class HandedOver:
    """Awaited by the coroutine in the thread; ``send`` is awaited on the event loop, and its result handed back."""

    def __init__(self, send: Callable[[], Awaitable[Any]]) -> None:
        self.send = send

    def __await__(self) -> Generator[HandedOver, Any, Any]:
        return (yield self)


class _Finished(msgspec.Struct, frozen=True):
    value: Any


async def in_threads(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What ``coroutine`` returns or raises. It may await nothing but ``HandedOver``."""
    resume: Callable[[], Any] = lambda: coroutine.send(None)  # noqa: E731  # the first of several
    try:
        while True:
            reached = await asyncio.to_thread(_step, resume)
            if isinstance(reached, _Finished):
                return reached.value
            if not isinstance(reached, HandedOver):
                raise TypeError("a coroutine in a thread waited for something of the event loop's")
            resume = await _outcome(coroutine, reached)
    finally:
        # A thread that was left behind may still be running it.
        with contextlib.suppress(ValueError, RuntimeError):
            coroutine.close()


def _step(resume: Callable[[], Any]) -> Any:
    try:
        return resume()
    except StopIteration as stop:
        return _Finished(stop.value)


async def _outcome(coroutine: Coroutine[Any, Any, Any], handed: HandedOver) -> Callable[[], Any]:
    """How the coroutine goes on: with the reply, or with what went wrong."""
    try:
        reply = await handed.send()
    except Exception as problem:
        failure = problem
        return lambda: coroutine.throw(failure)
    return lambda: coroutine.send(reply)
