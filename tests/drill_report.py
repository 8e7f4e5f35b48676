"""The drills' outcomes: a line each at the end of the tests, and docs/reliability.md where that is asked for."""

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
class Outcome:
    """What came of one drill: members at every station because of it, and how long the flow took to go on."""

    name: str
    counts: dict[str, int]
    seconds: float | None
    passed: bool

    @property
    def cells(self) -> list[str]:
        seconds = "-" if self.seconds is None else f"{self.seconds:.0f}"
        return [self.name, *(f"{n:,}" for n in self.counts.values()), seconds, "passed" if self.passed else "FAILED"]


LINES: list[Outcome] = []


def columns() -> list[str]:
    return ["fault", *LINES[0].counts, "seconds", ""]


def print_lines() -> list[str]:
    """The outcomes, as lines of a table."""
    rows = [columns(), *(line.cells for line in LINES)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def write_document() -> None:
    """Put the outcomes, the date and the machine into the document."""
    rows = [columns(), ["---"] * len(columns()), *(line.cells for line in LINES)]
    memory = psutil.virtual_memory().total / 2**30
    made = (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores of {cpu_name()}, {memory:.0f} GB of memory, "
        f"{platform.freedesktop_os_release()['PRETTY_NAME']}, Python {platform.python_version()}."
    )
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    text = DOCUMENT.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    DOCUMENT.write_text(pattern.sub(lambda _: f"{BEGIN}\n{made}\n\n{table}\n{END}", text), encoding="utf-8")


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine())
