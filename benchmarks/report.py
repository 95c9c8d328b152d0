"""The figures for people: a table in the terminal, the same in Markdown, and the summary as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.plots import figure
from benchmarks.summary import MEANINGS

OUT: Final = Path(__file__).resolve().parent / "out"
SUMMARY: Final = "summary.json"
REPORT: Final = "report.md"
COSTS: Final = "costs.png"
_COST: Final = "_cpu_us"
_FIRST: Final = "_first"

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
    """``summary.json``, ``report.md`` and the plot in it."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n")
    (directory / REPORT).write_text(markdown(summary))
    draw(summary, directory / COSTS)


def draw(summary: Mapping[str, Any], path: Path) -> None:
    """A bar for each load: what one request of it costs, and how far its rounds lay apart."""
    names = [key.removesuffix(_COST) for key in summary if key.endswith(_COST)]
    costs = {name: summary[name + _COST] for name in reversed(names) if not name.endswith(_FIRST)}
    apart = [summary["spread"][name + _COST] for name in costs]
    errors = [
        [cost - low for cost, (low, _) in zip(costs.values(), apart, strict=True)],
        [high - cost for cost, (_, high) in zip(costs.values(), apart, strict=True)],
    ]
    with figure(path, "CPU µs a request", "") as axes:
        axes.barh(list(costs), list(costs.values()), xerr=errors, capsize=2)
        axes.set_xscale("log")
        axes.set_xlim(left=10)


def markdown(summary: Mapping[str, Any]) -> str:
    run = summary["run"]
    lines = [
        "# What a request costs",
        "",
        f"{run['rounds']} rounds of {run['seconds']:g} s per load, interleaved, on {run['machine']}.",
        "",
        f"![CPU of a request under each load]({COSTS})",
        "",
        f"| {' | '.join(_HEADINGS)} |",
        "| --- | ---: | ---: | --- |",
        *(f"| {' | '.join((f'`{key}`', *others))} |" for key, *others in rows(summary)),
    ]
    return "\n".join(lines) + "\n"
