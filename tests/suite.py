"""Runs all tests in two concurrent pytest runs, because the tests of the platform spend most of their time waiting.

    make test

The tests that need a platform run in the foreground. The others run in the background with low priority; their output
is shown at the end. The last line adds up both runs, and a failure of either fails the command.
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
# In this order: a test of a new platform, tests that send members, tests that inject faults.
WITH_PLATFORM = ("tests/platform", "tests/console", "tests/sdks", "tests/faults")
WITHOUT_PLATFORM = ("tests/landing", "tests/unit", "tests/charts")
# The timeouts are generous: with a broken platform the tests would fail one by one for hours.
MAX_FAILURES = 5
LOW_PRIORITY = ("nice", "-n", "10")


def pytest_command(report: Path, *arguments: str) -> list[str]:
    """A pytest run that also writes a report."""
    report.unlink(missing_ok=True)
    return [sys.executable, "-m", "pytest", f"--junit-xml={report}", "--durations=25", *arguments]


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


def main() -> int:
    """Run all tests; return the exit status."""
    began = time.monotonic()
    FOLDER.mkdir(parents=True, exist_ok=True)
    log, reports = FOLDER / "without-platform.log", (FOLDER / "platform.xml", FOLDER / "without-platform.xml")
    with_platform = pytest_command(reports[0], f"--maxfail={MAX_FAILURES}", *WITH_PLATFORM)
    without_platform = pytest_command(reports[1], "-p", "no:cacheprovider", *WITHOUT_PLATFORM)
    print(f"{' and '.join(WITHOUT_PLATFORM)} run in the background; their output goes to {log}", flush=True)
    with (
        log.open("wb") as output,
        subprocess.Popen([*LOW_PRIORITY, *without_platform], stdout=output, stderr=subprocess.STDOUT) as background,
    ):
        try:
            status = subprocess.run(with_platform, check=False).returncode
            background.wait()
        except BaseException:
            background.terminate()
            raise
    print(f"\n{' and '.join(WITHOUT_PLATFORM)}:\n{log.read_text(errors='replace')}")
    runs = dict(zip(reports, (status, background.returncode), strict=True))
    print(format_summary(runs, time.monotonic() - began), flush=True)
    return status or background.returncode


if __name__ == "__main__":
    sys.exit(main())
