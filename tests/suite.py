"""Runs all tests in concurrent pytest runs, because the tests of a platform spend most of their time waiting.

    make test

Two runs have a platform each; the first is in the foreground. The tests without a platform run with low priority. The
output of the background runs is shown at the end. The last line adds up all runs, and a failure of any fails the
command.
"""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console

from member_analyzer.local.home import open_home
from member_analyzer.local.platform import install

CHECKOUT = Path(__file__).parents[1]
FOLDER = CHECKOUT / "var" / "tests"
# The timeouts are generous: with a broken platform the tests would fail one by one for hours.
MAX_FAILURES = 5
LOW_PRIORITY = ("nice", "-n", "10")


@dataclass(frozen=True)
class Run:
    """One pytest run: its name, the folders of its tests in their order, and its options."""

    name: str
    folders: tuple[str, ...]
    options: tuple[str, ...] = (f"--maxfail={MAX_FAILURES}",)
    prefix: tuple[str, ...] = ()

    @property
    def report(self) -> Path:
        """The JUnit report."""
        return FOLDER / f"{self.name}.xml"

    @property
    def log(self) -> Path:
        """The output of a run in the background."""
        return FOLDER / f"{self.name}.log"

    @property
    def environment(self) -> dict[str, str]:
        """The variables of the run, with a home for its own platform."""
        return dict(os.environ) | {"TEST_HOME": f"var/test-{self.name}"}


FOREGROUND = Run("platform", ("tests/platform",))
BACKGROUND = (
    # Faults last, because they need the platform as the console's tests leave it, and not the reverse.
    Run("faults", ("tests/console", "tests/faults"), (f"--maxfail={MAX_FAILURES}", "-p", "no:cacheprovider")),
    Run("without-platform", ("tests/landing", "tests/unit", "tests/charts"), ("-p", "no:cacheprovider"), LOW_PRIORITY),
)
RUNS = (FOREGROUND, *BACKGROUND)


def pytest_command(run: Run) -> list[str]:
    """The command of a run, which also writes its report."""
    run.report.unlink(missing_ok=True)
    pytest = [sys.executable, "-m", "pytest", f"--junit-xml={run.report}", "--durations=25"]
    return [*run.prefix, *pytest, *run.options, *run.folders]


def read_counts(report: Path, status: int) -> Counter[str]:
    """The number of tests in a report that passed, failed, were skipped and had errors.

    A run that fails although none of its tests failed counts as an error: it did not run all of them.
    """
    counts: Counter[str] = Counter()
    try:
        suites = list(ElementTree.parse(report).getroot().iter("testsuite"))
    except (OSError, ElementTree.ParseError):
        return Counter({"error": 1})
    for suite in suites:
        failed, skipped, errors = (int(suite.attrib[name]) for name in ("failures", "skipped", "errors"))
        passed = int(suite.attrib["tests"]) - failed - skipped - errors
        counts += Counter({"failed": failed, "passed": passed, "skipped": skipped, "error": errors})
    if status != 0 and not counts["failed"] + counts["error"]:
        counts["error"] = 1
    return counts


def format_summary(runs: Mapping[Path, int], seconds: float) -> str:
    """The last line, like pytest's own; `runs` maps the report of each run to its exit status."""
    counts: Counter[str] = sum((read_counts(report, status) for report, status in runs.items()), Counter())
    summary = ", ".join(f"{counts[name]} {name}" for name in ("failed", "passed", "skipped", "error") if counts[name])
    minutes, rest = divmod(round(seconds), 60)
    return f" {summary or 'no tests ran'} in {seconds:.2f}s ({minutes // 60}:{minutes % 60:02}:{rest:02}) ".center(
        80, "="
    )


def download_servers() -> None:
    """Download the servers once, before two platforms would do so at the same time."""
    install(open_home(), Console())


def main() -> int:
    """Run all tests; return the exit status."""
    began = time.monotonic()
    FOLDER.mkdir(parents=True, exist_ok=True)
    download_servers()
    with ExitStack() as stack:
        processes = []
        for run in BACKGROUND:
            print(f"{' and '.join(run.folders)} run in the background; their output goes to {run.log}", flush=True)
            output = stack.enter_context(run.log.open("wb"))
            process = subprocess.Popen(
                pytest_command(run), env=run.environment, stdout=output, stderr=subprocess.STDOUT
            )
            stack.callback(process.wait)
            processes.append(process)
        try:
            foreground = subprocess.run(pytest_command(FOREGROUND), env=FOREGROUND.environment, check=False)
            statuses = [foreground.returncode, *(process.wait() for process in processes)]
        except BaseException:
            for process in processes:
                process.terminate()
            raise
    for run in BACKGROUND:
        print(f"\n{' and '.join(run.folders)}:\n{run.log.read_text(errors='replace')}")
    reports = dict(zip((run.report for run in RUNS), statuses, strict=True))
    print(format_summary(reports, time.monotonic() - began), flush=True)
    return max(statuses, key=abs)


if __name__ == "__main__":
    sys.exit(main())
