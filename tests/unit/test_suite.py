"""The summary of the two runs of `make test`."""

from pathlib import Path

import pytest

import suite


def write_report(path: Path, **counts: int) -> Path:
    numbers = {"tests": 0, "failures": 0, "skipped": 0, "errors": 0} | counts
    attributes = " ".join(f'{name}="{number}"' for name, number in numbers.items())
    path.write_text(f"<testsuites><testsuite {attributes}></testsuite></testsuites>")
    return path


def test_the_summary_adds_up_both_runs(tmp_path: Path) -> None:
    one = write_report(tmp_path / "one.xml", tests=10, failures=1, skipped=2)
    other = write_report(tmp_path / "other.xml", tests=5, errors=1)
    summary = suite.format_summary({one: 1, other: 1}, 3661)
    assert summary.strip("= ") == "1 failed, 11 passed, 2 skipped, 1 error in 3661.00s (1:01:01)"


@pytest.mark.parametrize("text", [None, "", "<testsuites>"])
def test_a_run_without_a_report_is_an_error(tmp_path: Path, text: str | None) -> None:
    broken = tmp_path / "broken.xml"
    if text is not None:
        broken.write_text(text)
    assert "1 error" in suite.format_summary({write_report(tmp_path / "one.xml", tests=1): 0, broken: 0}, 1)


def test_a_run_that_failed_without_a_failed_test_is_an_error(tmp_path: Path) -> None:
    summary = suite.format_summary({write_report(tmp_path / "one.xml", tests=3): 4}, 1)
    assert "3 passed, 1 error" in summary


@pytest.mark.parametrize(("platform", "without_platform"), [(0, 0), (1, 0), (0, 1)])
def test_the_command_fails_if_either_run_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: int, without_platform: int
) -> None:
    """With programs that exit with these statuses instead of pytest."""
    monkeypatch.setattr(suite, "FOLDER", tmp_path)
    statuses = {"platform.xml": platform, "without-platform.xml": without_platform}
    monkeypatch.setattr(
        suite, "pytest_command", lambda report, *_: ["sh", "-c", f"echo output; exit {statuses[report.name]}"]
    )
    assert suite.main() == (platform or without_platform)


def test_the_two_runs_cover_all_tests() -> None:
    folders = {path.parent.relative_to(suite.CHECKOUT).parts[1] for path in suite.CHECKOUT.glob("tests/*/test_*.py")}
    run = {Path(folder).name for folder in (*suite.WITH_PLATFORM, *suite.WITHOUT_PLATFORM)}
    # These need a cluster, and have their own make target.
    assert run == folders - {"cluster"}
