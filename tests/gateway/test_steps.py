from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar

import pytest

from gateway.steps import Begun, begun, within

T = TypeVar("T")
_mark: ContextVar[str] = ContextVar("mark", default="nobody's")


async def outside_any_task(work: Callable[[], T]) -> T:
    """What ``work`` returns, called by the event loop as it calls a protocol."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def call() -> None:
        assert asyncio.current_task() is None
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)
        assert asyncio.current_task() is None

    loop.call_soon(call)
    return await done


async def begin(coroutine: Coroutine[Any, Any, T]) -> T | Begun[T]:
    loop = asyncio.get_running_loop()
    return await outside_any_task(lambda: begun(coroutine, loop))


async def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Begin it outside any task, and await the rest in one."""
    rest = await begin(coroutine)
    assert isinstance(rest, Begun)
    async with asyncio.timeout(10):
        return await asyncio.create_task(rest.rest())


async def test_a_coroutine_that_never_waits_is_over_at_once() -> None:
    async def inner() -> int:
        return 2

    async def outer() -> int:
        return await inner() * await inner()

    assert await begin(outer()) == 4


async def test_a_failure_of_the_first_step_is_raised_at_once() -> None:
    async def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await begin(work())


async def test_one_that_waits_goes_on_where_it_was() -> None:
    gate = asyncio.Event()
    steps: list[str] = []

    async def work() -> str:
        steps.append("begun")
        await gate.wait()
        await asyncio.sleep(0)
        steps.append("done")
        return "result"

    rest = await begin(work())
    assert isinstance(rest, Begun)
    assert steps == ["begun"]
    gate.set()
    assert await asyncio.create_task(rest.rest()) == "result"
    assert steps == ["begun", "done"]


async def test_a_failure_after_a_wait_is_the_rests() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await finish(work())


async def test_the_current_task_is_the_same_one_from_the_first_step_to_the_last() -> None:
    async def work() -> bool:
        before = asyncio.current_task()
        await asyncio.sleep(0)
        between = asyncio.current_task()
        await asyncio.sleep(0)
        return before is between is asyncio.current_task() is not None

    assert await finish(work())


async def test_what_it_sets_in_its_context_stays_there_and_is_nobody_elses() -> None:
    async def work() -> str:
        token = _mark.set("mine")
        await asyncio.sleep(0)
        seen = _mark.get()
        _mark.reset(token)
        return seen + ", then " + _mark.get()

    async def look() -> str:
        return _mark.get()

    rest = await begin(work())
    assert isinstance(rest, Begun)
    assert await begin(look()) == "nobody's"
    assert await asyncio.create_task(rest.rest()) == "mine, then nobody's"


@pytest.mark.parametrize("seconds", [-1, 0, 0.01])
async def test_a_timeout_inside_it_ends_what_it_is_for_and_nothing_else(seconds: float) -> None:
    async def work() -> str:
        try:
            async with asyncio.timeout(seconds):
                await asyncio.Event().wait()
        except TimeoutError:
            task = asyncio.current_task()
            assert task is not None
            await asyncio.sleep(0)
            return f"{task.cancelling()} left"
        return "not timed out"

    assert await finish(work()) == "0 left"


async def test_a_task_group_inside_it_works() -> None:
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    async def work() -> int:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(double(number)) for number in range(3)]
        return sum(task.result() for task in tasks)

    assert await finish(work()) == 6


async def test_a_task_group_inside_it_ends_with_the_first_failure() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup):
        await finish(work())


async def test_who_cancels_the_task_that_waits_cancels_it() -> None:
    cleaned_up = False

    async def work() -> None:
        nonlocal cleaned_up
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            cleaned_up = True
            raise

    rest = await begin(work())
    assert isinstance(rest, Begun)
    task = asyncio.create_task(rest.rest())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned_up


async def test_what_never_waits_needs_no_time() -> None:
    async def work() -> int:
        return 3

    # There is not even a task that a timer could cancel.
    assert await begin(within(-1, work())) == 3


async def test_what_waits_too_long_is_cancelled_and_told() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        await within(0.01, work())
    assert ended.is_set()
    with pytest.raises(TimeoutError):
        await finish(within(0.01, work()))


async def test_what_waits_but_not_too_long_is_finished() -> None:
    async def work(outcome: str) -> str:
        await asyncio.sleep(0)
        if outcome == "fail":
            raise ValueError("no")
        return outcome

    assert await within(10, work("done")) == "done"
    assert await finish(within(10, work("done"))) == "done"
    with pytest.raises(ValueError, match="no"):
        await within(10, work("fail"))
