"""``venuegate doctor``"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from gateway.cli.console import Json, print_json

if TYPE_CHECKING:
    from gateway.doctor import Finding
    from storage.ports import Directory
    from storage.redis_store.address import RedisAddress
    from storage.redis_store.checks import RedisState

# Nobody who is well holds the database longer than some milliseconds.
LOCKED_AFTER_S: Final = 0.5


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(ctx: typer.Context, as_json: Json = False) -> None:
    """Check this machine and what the gateway has: everything that is not well, with what to do.

    Exit code 1 if something has to be put right.

    Example: venuegate doctor --data-dir ./var
    """
    from adapters.registry import VENUES
    from gateway.cli.office import DATABASE, settings_of
    from gateway.clock import SystemClock
    from gateway.doctor import Environment, Level, examine

    settings = settings_of(ctx.obj)
    environment = Environment(
        settings=settings,
        database=settings.data_dir / DATABASE,
        venues=VENUES,
        clock=SystemClock(),
        check_database=check_database,
        open_directory=open_directory,
        check_redis=check_redis,
    )
    findings = asyncio.run(examine(environment))
    if as_json:
        print_json(findings)
    else:
        _print(findings)
    if any(finding.level is Level.FAILURE for finding in findings):
        raise typer.Exit(1)


def check_database(path: Path) -> None:
    """:raises StorageUnavailable: it does not open, has other tables, or cannot be written."""
    from sqlalchemy import text

    from storage.sql.engines import sqlite_engine
    from storage.sql.failures import translated
    from storage.sql.upgrades import check_current

    engine = sqlite_engine(path, busy_timeout_s=LOCKED_AFTER_S)
    try:
        with engine.connect() as connection:
            check_current(connection)
            connection.execute(text("UPDATE directory_revision SET revision = revision"))
            connection.rollback()
    except Exception as error:
        raise translated(error, path) from error
    finally:
        engine.dispose()


@contextlib.asynccontextmanager
async def open_directory(path: Path) -> AsyncIterator[Directory]:
    from storage.sql import open_sqlite

    stores = await open_sqlite(path, upgrade=False, busy_timeout_s=LOCKED_AFTER_S)
    try:
        yield stores.directory
    finally:
        await stores.close()


async def check_redis(address: RedisAddress) -> RedisState:
    """:raises StorageUnavailable: it cannot be used."""
    from storage.redis_store.checks import check
    from storage.redis_store.servers import server_at

    server = server_at(address)
    try:
        return await check(server)
    finally:
        await server.close()


def _print(findings: Sequence[Finding]) -> None:
    from gateway.doctor import Level

    looks = {
        Level.OK: ("✓", typer.colors.GREEN),
        Level.WARNING: ("!", typer.colors.YELLOW),
        Level.FAILURE: ("✗", typer.colors.RED),
    }
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        mark, colour = looks[finding.level]
        typer.secho(f"{mark} ", fg=colour, nl=False)
        typer.echo(f"{finding.check:<{width}}  {finding.message}")
        if finding.advice:
            typer.echo(f"  {'':<{width}}  → {finding.advice}")
    bad = sum(finding.level is Level.FAILURE for finding in findings)
    typer.echo(f"\n{bad} to be put right." if bad else "\nAll is well.")
