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


@pytest.mark.parametrize("failing", [None, *(run.name for run in suite.RUNS)])
def test_the_command_fails_if_any_run_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failing: str | None
) -> None:
    """With programs that exit with these statuses instead of pytest."""
    monkeypatch.setattr(suite, "FOLDER", tmp_path)
    monkeypatch.setattr(suite, "download_servers", lambda: None)
    monkeypatch.setattr(
        suite, "pytest_command", lambda run: ["sh", "-c", f"echo output; exit {3 if run.name == failing else 0}"]
    )
    assert suite.main() == (0 if failing is None else 3)


def test_each_run_has_its_own_platform() -> None:
    assert len({run.environment["TEST_HOME"] for run in suite.RUNS}) == len(suite.RUNS)


def test_the_runs_cover_all_tests() -> None:
    folders = {path.parent.relative_to(suite.CHECKOUT).parts[1] for path in suite.CHECKOUT.glob("tests/*/test_*.py")}
    run = [Path(folder).name for one in suite.RUNS for folder in one.folders]
    # These need a cluster, and have their own make target.
    assert sorted(run) == sorted(folders - {"cluster"})
