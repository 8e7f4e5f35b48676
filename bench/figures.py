"""What a benchmark measured: figures that took turns, and their ratios turn by turn; as a table and as a JSON file."""

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
Output = Annotated[Path, typer.Option(help="Folder for the JSON file.")]
FOLDER = Path("var/bench")


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What a piece of work gives, and its seconds."""
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def percentiles(what: str, values: list[float], unit: str) -> dict[str, float]:
    """Median and tail of some values, as figures."""
    cuts = statistics.quantiles(values, n=100)
    return {f"{what}, p{cut}, {unit}": cuts[cut - 1] for cut in (50, 95, 99)}


@dataclass
class Figures:
    """Name of a figure -> its values, one a turn, in the order of the turns."""

    benchmark: str
    values: dict[str, list[float]] = field(default_factory=dict)
    ratios: dict[str, list[float]] = field(default_factory=dict)
    to_reach: dict[str, float] = field(default_factory=dict)

    def add(self, figures: Mapping[str, float]) -> None:
        """The figures of one turn."""
        for name, value in figures.items():
            self.values.setdefault(name, []).append(value)

    def compare(self, name: str, figure: str, beside: str, *, to_reach: float | None = None) -> None:
        """One figure as a share of another one of the same turn: what a machine that wanders cannot move."""
        pairs = zip(self.values[figure], self.values[beside], strict=True)
        self.ratios[name] = [value / other for value, other in pairs]
        if to_reach is not None:
            self.to_reach[name] = to_reach

    def show(self, folder: Path) -> None:
        """Print the table, and write `<benchmark>.json` into a folder."""
        table = Table("figure", "min", "median", "max", "to reach", title=self.benchmark, title_justify="left")
        for rows, digits in ((self.values, 1), (self.ratios, 2)):
            for name, values in rows.items():
                numbers = (min(values), statistics.median(values), max(values))
                goal = f"{self.to_reach[name]:g}" if name in self.to_reach else ""
                table.add_row(name, *(f"{number:,.{digits}f}" for number in numbers), goal)
        console.print(table)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{self.benchmark}.json"
        told = {
            "benchmark": self.benchmark,
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "cores": len(os.sched_getaffinity(0)),
            "machine": platform.machine(),
            "python": platform.python_version(),
            "figures": self.values,
            "ratios": self.ratios,
            "to_reach": self.to_reach,
        }
        file.write_text(json.dumps(told, indent=1) + "\n")
        console.print(f"written to {file}")
