"""Output: tables for people, JSON for programs. Both go to standard output; what is wrong goes to standard error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

# Wide enough that nothing is cut when the reader is a pipe.
_PIPE_WIDTH: Final = 240


def print_json(value: Any) -> None:
    """``value`` is anything msgspec encodes."""
    import msgspec

    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """``empty`` is said where there are no rows: it tells how to make the first."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    if not table.row_count:
        typer.echo(empty)
        return
    _print(table)


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """One thing: a line per field."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields:
        table.add_row(name, Text(value))
    _print(table)


def _print(table: Any) -> None:
    import sys

    from rich.console import Console

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)
    console.print(table)
