"""Plots as PNG files, all alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

mpl.use("Agg")


@contextmanager
def figure(path: Path, x: str, y: str) -> Iterator[Axes]:
    """Axes to draw on; with what was drawn on them, ``path`` is written."""
    made = Figure(figsize=(7, 4), dpi=110, layout="constrained")
    axes: Axes = made.subplots()
    yield axes
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(visible=True, which="both", alpha=0.25)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    made.savefig(path, metadata={"Software": None})
