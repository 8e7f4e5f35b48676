"""Runs all tests in two processes, because those of the platform wait most of the time.

    make test

The tests that start a platform run here, one after the other. Beside them, with low priority, run those that need none;
their output is kept in a file and shown at the end. The last line sums up both, and a failure of either is one of all.
"""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

CHECKOUT = Path(__file__).parents[1]
FOLDER = CHECKOUT / "var" / "tests"
# In this order: a test of a new platform, then those that send members, then what breaks it.
WITH_PLATFORM = ("tests/platform", "tests/console", "tests/faults")
WITHOUT_PLATFORM = ("tests/landing", "tests/unit", "tests/charts")
# Every wait is generous: a platform that is broken would fail test by test for hours.
MOST_FAILURES = 5
LOW_PRIORITY = ("nice", "-n", "10")


def pytest_command(report: Path, *arguments: str) -> list[str]:
    """One run of pytest that also writes its numbers into a file."""
    report.unlink(missing_ok=True)
    return [sys.executable, "-m", "pytest", f"--junit-xml={report}", "--durations=25", *arguments]


def read_counts(report: Path, status: int) -> Counter[str]:
    """How many tests of a run passed, failed, were skipped, and had errors.

    A run that failed although none of its tests did is an error: it did not come to all of them.
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


def closing_line(runs: Mapping[Path, int], seconds: float) -> str:
    """The last line, as pytest writes it after one run; `runs` is the report and the status of each."""
    counts: Counter[str] = sum((read_counts(report, status) for report, status in runs.items()), Counter())
    told = ", ".join(f"{counts[name]} {name}" for name in ("failed", "passed", "skipped", "error") if counts[name])
    minutes, rest = divmod(round(seconds), 60)
    return f" {told or 'no tests ran'} in {seconds:.2f}s ({minutes // 60}:{minutes % 60:02}:{rest:02}) ".center(80, "=")


def main() -> int:
    """Run both, and give the status that the command ends with."""
    began = time.monotonic()
    FOLDER.mkdir(parents=True, exist_ok=True)
    log, reports = FOLDER / "without-platform.log", (FOLDER / "platform.xml", FOLDER / "without-platform.xml")
    with_platform = pytest_command(reports[0], f"--maxfail={MOST_FAILURES}", *WITH_PLATFORM)
    without_platform = pytest_command(reports[1], "-p", "no:cacheprovider", *WITHOUT_PLATFORM)
    print(f"{' and '.join(WITHOUT_PLATFORM)} run beside the platform's tests, into {log}", flush=True)
    with (
        log.open("wb") as output,
        subprocess.Popen([*LOW_PRIORITY, *without_platform], stdout=output, stderr=subprocess.STDOUT) as beside,
    ):
        try:
            status = subprocess.run(with_platform, check=False).returncode
            beside.wait()
        except BaseException:
            beside.terminate()
            raise
    print(f"\n{' and '.join(WITHOUT_PLATFORM)}:\n{log.read_text(errors='replace')}")
    runs = dict(zip(reports, (status, beside.returncode), strict=True))
    print(closing_line(runs, time.monotonic() - began), flush=True)
    return status or beside.returncode


if __name__ == "__main__":
    sys.exit(main())
