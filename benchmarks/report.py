"""The figures for people: a table in the terminal, the same in Markdown, and the summary as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.summary import MEANINGS

OUT: Final = Path(__file__).resolve().parent / "out"
SUMMARY: Final = "summary.json"
REPORT: Final = "report.md"

Row = tuple[str, str, str, str]
_HEADINGS: Final[Row] = ("figure", "median", "quartiles", "what it is")


def rows(summary: Mapping[str, Any]) -> Sequence[Row]:
    """One per figure, in the order of the summary."""
    spread = summary["spread"]
    found: list[Row] = []
    for key, value in summary.items():
        if isinstance(value, int | float):
            quartiles = "{:g} – {:g}".format(*spread[key]) if key in spread else ""
            found.append((key, f"{value:g}", quartiles, MEANINGS.get(key, "")))
    return found


def show(summary: Mapping[str, Any], console: Console) -> None:
    table = Table(title="What a request costs")
    figure, median, quartiles, meaning = _HEADINGS
    table.add_column(figure, no_wrap=True)
    table.add_column(median, justify="right", no_wrap=True)
    table.add_column(quartiles, justify="right", no_wrap=True)
    table.add_column(meaning)
    for row in rows(summary):
        table.add_row(*row)
    console.print(table)


def write(summary: Mapping[str, Any], directory: Path) -> None:
    """``summary.json`` and ``report.md``."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n")
    (directory / REPORT).write_text(markdown(summary))


def markdown(summary: Mapping[str, Any]) -> str:
    run = summary["run"]
    lines = [
        "# What a request costs",
        "",
        f"{run['rounds']} rounds of {run['seconds']:g} s per load, interleaved, on {run['machine']}.",
        "",
        f"| {' | '.join(_HEADINGS)} |",
        "| --- | ---: | ---: | --- |",
        *(f"| {' | '.join((f'`{key}`', *others))} |" for key, *others in rows(summary)),
    ]
    return "\n".join(lines) + "\n"
