"""The results of the drills, as a table at the end of the tests and in docs/reliability.md."""

import os
import platform
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

DOCUMENT = Path(__file__).parents[1] / "docs" / "reliability.md"
BEGIN, END = "<!-- drills -->", "<!-- end of drills -->"


@dataclass(frozen=True)
class DrillResult:
    """The result of a drill: the members it added at every station, and the seconds until recovery."""

    name: str
    counts: dict[str, int]
    seconds: float | None
    passed: bool

    @property
    def cells(self) -> list[str]:
        seconds = "-" if self.seconds is None else f"{self.seconds:.0f}"
        return [self.name, *(f"{n:,}" for n in self.counts.values()), seconds, "passed" if self.passed else "FAILED"]


RESULTS: list[DrillResult] = []


def columns() -> list[str]:
    return ["fault", *RESULTS[0].counts, "seconds", ""]


def format_table() -> list[str]:
    """The results as lines of a plain text table."""
    rows = [columns(), *(result.cells for result in RESULTS)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def update_document() -> None:
    """Write the results, the date and the machine into the document."""
    rows = [columns(), ["---"] * len(columns()), *(result.cells for result in RESULTS)]
    memory = psutil.virtual_memory().total / 2**30
    environment = (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores of {cpu_name()}, {memory:.0f} GB of memory, "
        f"{platform.freedesktop_os_release()['PRETTY_NAME']}, Python {platform.python_version()}."
    )
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    text = DOCUMENT.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    DOCUMENT.write_text(pattern.sub(lambda _: f"{BEGIN}\n{environment}\n\n{table}\n{END}", text), encoding="utf-8")


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine())
