"""``venuegate doctor``"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from gateway.cli.console import Json, print_json

if TYPE_CHECKING:
    from gateway.doctor import Finding


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(ctx: typer.Context, as_json: Json = False) -> None:
    """Check this machine and what the gateway has: everything that is not well, with what to do.

    Exit code 1 if something has to be put right.

    Example: venuegate doctor --data-dir ./var
    """
    from adapters.registry import VENUES
    from gateway.cli.office import settings_of
    from gateway.clock import SystemClock
    from gateway.database import database_of
    from gateway.doctor import Environment, Level, examine

    settings = settings_of(ctx.obj)
    environment = Environment(
        settings=settings,
        database=database_of(settings, unhurried=True),
        venues=VENUES,
        clock=SystemClock(),
    )
    findings = asyncio.run(examine(environment))
    if as_json:
        print_json(findings)
    else:
        _print(findings)
    if any(finding.level is Level.FAILURE for finding in findings):
        raise typer.Exit(1)


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
