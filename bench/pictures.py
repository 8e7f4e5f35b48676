"""Draws what the benchmarks wrote: `python bench/pictures.py [FOLDER]` makes a PNG beside each JSON file.

A bar is the median, its line reaches from the minimum to the maximum; figures of one unit share a panel.
"""

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import matplotlib as mpl
import typer
from figures import FOLDER
from matplotlib import pyplot as plt

BLUE, GREY = "#0072b2", "#555555"


def unit_of(figure: str) -> str:
    """What a figure is measured in: its last words."""
    return figure.rsplit(", ", 1)[-1]


def label(value: float) -> str:
    """A number as it is read at a glance."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def draw(told: dict[str, dict[str, list[float]]], title: str, file: Path) -> None:
    """One panel for each unit, and one for the ratios."""
    panels: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for figure, values in told["figures"].items():
        panels[unit_of(figure)][figure.rsplit(", ", 1)[0]] = values
    if told["ratios"]:
        panels["ratio"] = told["ratios"]
    heights = [len(rows) for rows in panels.values()]
    drawn, axes = plt.subplots(
        len(panels), figsize=(9, 1.0 * len(panels) + 0.42 * sum(heights)), height_ratios=heights, squeeze=False
    )
    for axis, (unit, rows) in zip(axes[:, 0], panels.items(), strict=True):
        medians = [statistics.median(values) for values in rows.values()]
        lower = [middle - min(values) for middle, values in zip(medians, rows.values(), strict=True)]
        upper = [max(values) - middle for middle, values in zip(medians, rows.values(), strict=True)]
        axis.barh(list(rows), medians, xerr=[lower, upper], color=BLUE, ecolor=GREY, capsize=3)
        axis.bar_label(axis.containers[1], labels=[label(middle) for middle in medians], color=GREY, padding=8)
        axis.set_xlabel(unit)
        axis.invert_yaxis()
        axis.margins(x=0.18)
        axis.spines[["top", "right"]].set_visible(False)
    drawn.suptitle(title)
    drawn.tight_layout()
    drawn.savefig(file, dpi=110, metadata={"Software": None})
    plt.close(drawn)


def main(folder: Annotated[Path, typer.Argument(help="Where the JSON files are.")] = FOLDER) -> None:
    """Draw all of them."""
    mpl.use("Agg")
    for file in sorted(folder.glob("*.json")):
        told = json.loads(file.read_text())
        draw(told, f"{told['benchmark']}, {told['cores']} cores, {told['measured_at'][:10]}", file.with_suffix(".png"))
        typer.echo(f"{file.with_suffix('.png')}")


if __name__ == "__main__":
    typer.run(main)
