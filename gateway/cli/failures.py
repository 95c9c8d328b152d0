"""What went wrong, as a line that says so, a line that says what to do, and an exit code. Never a stack trace."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import NoReturn

import typer

UNEXPECTED = "Run it again with VENUEGATE_LOG_LEVEL=debug to see where, and `venuegate doctor` to see what is not well."


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Whatever is raised inside ends the program with exit code 1 and a message on standard error."""
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        # Usage errors carry an exit code of their own; a reader that has gone (`… | head`) is nobody's failure.
        if hasattr(error, "exit_code") or (isinstance(error, OSError) and error.errno == errno.EPIPE):
            raise
        if os.environ.get("VENUEGATE_LOG_LEVEL", "").lower() == "debug":
            _show_trace(error)
        fail(*_in_words(error))


def fail(problem: str, advice: str = "") -> NoReturn:
    """:raises typer.Exit: always, with code 1."""
    typer.secho(f"Error: {problem}", err=True, fg=typer.colors.RED)
    if advice:
        typer.echo(f"  {advice}", err=True)
    raise typer.Exit(1)


def _in_words(error: Exception) -> tuple[str, str]:
    from gateway.settings import SettingsError
    from normalization.errors import GatewayError
    from normalization.venue_failures import VenueFailure

    problem, advice = getattr(error, "problem", None), getattr(error, "advice", None)
    if isinstance(problem, str) and isinstance(advice, str):
        return f"{problem.rstrip('.')}.", f"{advice.rstrip('.')}."
    if isinstance(error, SettingsError):
        return "These settings cannot be used.", "\n  ".join(error.problems)
    if isinstance(error, GatewayError):
        return error.message, ""
    if isinstance(error, VenueFailure):
        return f"A venue failed: {error.text} ({error.reason}).", "Try again; `venuegate doctor` looks at every venue."
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}.", "Check the path, its owner and mode, and the free space."
    # Its text is a library's own and might repeat a secret.
    return f"This should not have happened ({type(error).__name__}).", UNEXPECTED


def _show_trace(error: Exception) -> None:
    import traceback

    typer.echo("".join(traceback.format_exception(error)), err=True)
