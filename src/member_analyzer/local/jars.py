"""Brings jars of java.lock into one folder: `python -m member_analyzer.local.jars FOLDER GROUP...`."""

import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from member_analyzer.local.artifacts import fetch_artifacts, locate, read_lock
from member_analyzer.local.failure import LocalError


def collect_jars(groups: Iterable[str], folder: Path, console: Console) -> None:
    """Download the jars of `groups`, verify them, and lay them side by side into `folder`."""
    wanted = list(groups)
    if unknown := sorted(set(wanted) - set(read_lock())):
        raise LocalError(f"java.lock has no group {', '.join(unknown)}; it has {', '.join(read_lock())}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as repository:
        fetch_artifacts(wanted, Path(repository), console)
        for group in wanted:
            for jar in locate(group, Path(repository)):
                shutil.copyfile(jar, folder / jar.name)


if __name__ == "__main__":
    try:
        collect_jars(sys.argv[2:], Path(sys.argv[1]), Console())
    except LocalError as error:
        sys.exit(f"error: {error}")
