"""Plots the results of the benchmarks: `python bench/plots.py [DIRECTORY]` writes a PNG beside each JSON file.

Bars show the median, error bars the minimum and maximum; figures with the same unit share a panel.
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
    """The unit of a figure, which is at the end of its name."""
    return figure.rsplit(", ", 1)[-1]


def label(value: float) -> str:
    """A number, rounded for display."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def draw(report: dict[str, dict[str, list[float]]], title: str, file: Path) -> None:
    """Draw a panel for each unit, and one for the ratios."""
    panels: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for name, values in report["figures"].items():
        panels[unit_of(name)][name.rsplit(", ", 1)[0]] = values
    if report["ratios"]:
        panels["ratio"] = report["ratios"]
    heights = [len(rows) for rows in panels.values()]
    figure, axes = plt.subplots(
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
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(file, dpi=110, metadata={"Software": None})
    plt.close(figure)


def main(folder: Annotated[Path, typer.Argument(help="Directory of the JSON files.")] = FOLDER) -> None:
    """Plot all results."""
    mpl.use("Agg")
    for file in sorted(folder.glob("*.json")):
        report = json.loads(file.read_text())
        title = f"{report['benchmark']}, {report['cores']} cores, {report['measured_at'][:10]}"
        draw(report, title, file.with_suffix(".png"))
        typer.echo(f"{file.with_suffix('.png')}")


if __name__ == "__main__":
    typer.run(main)
