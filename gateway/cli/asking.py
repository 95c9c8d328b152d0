"""From a command, which is a plain function, to the office, which is asynchronous and heavy to import."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from gateway.cli.office import Office

T = TypeVar("T")


def ask(ctx: typer.Context, work: Callable[[Office], Awaitable[T]], *, create: bool = False) -> T:
    """Do ``work`` on the data directory's database, which is made only where ``create`` says so."""
    from gateway.cli.office import opened, settings_of

    async def done() -> T:
        async with opened(settings_of(ctx.obj), create=create) as office:
            return await work(office)

    return asyncio.run(done())
