"""The results of a benchmark: figures of repeated runs and their ratios per run, as a table and as a JSON file."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

console = Console(width=120)
T = TypeVar("T")
Output = Annotated[Path, typer.Option(help="Directory for the JSON file.")]
FOLDER = Path("var/bench")


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """The result of `work`, and its duration in seconds."""
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def percentiles(what: str, values: list[float], unit: str) -> dict[str, float]:
    """The median, the 95th and the 99th percentile."""
    cuts = statistics.quantiles(values, n=100)
    return {f"{what}, p{cut}, {unit}": cuts[cut - 1] for cut in (50, 95, 99)}


@dataclass
class Figures:
    """The values of each figure, one per run."""

    benchmark: str
    values: dict[str, list[float]] = field(default_factory=dict)
    ratios: dict[str, list[float]] = field(default_factory=dict)
    targets: dict[str, float] = field(default_factory=dict)

    def add(self, figures: Mapping[str, float]) -> None:
        """Add the figures of one run."""
        for name, value in figures.items():
            self.values.setdefault(name, []).append(value)

    def compare(self, name: str, figure: str, baseline: str, *, target: float | None = None) -> None:
        """The ratio of two figures of the same run, which is independent of the machine's varying speed."""
        pairs = zip(self.values[figure], self.values[baseline], strict=True)
        self.ratios[name] = [value / other for value, other in pairs]
        if target is not None:
            self.targets[name] = target

    def show(self, folder: Path) -> None:
        """Print the table, and write `<benchmark>.json` into a directory."""
        table = Table("figure", "min", "median", "max", "target", title=self.benchmark, title_justify="left")
        for rows, digits in ((self.values, 1), (self.ratios, 2)):
            for name, values in rows.items():
                numbers = (min(values), statistics.median(values), max(values))
                target = f"{self.targets[name]:g}" if name in self.targets else ""
                table.add_row(name, *(f"{number:,.{digits}f}" for number in numbers), target)
        console.print(table)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{self.benchmark}.json"
        report = {
            "benchmark": self.benchmark,
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "cores": len(os.sched_getaffinity(0)),
            "machine": platform.machine(),
            "python": platform.python_version(),
            "figures": self.values,
            "ratios": self.ratios,
            "targets": self.targets,
        }
        file.write_text(json.dumps(report, indent=1) + "\n")
        console.print(f"written to {file}")
