"""Downloads jars of java.lock into one directory: `python -m member_analyzer.local.jars DIRECTORY GROUP...`."""

import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from member_analyzer.local.artifacts import fetch_artifacts, locate, read_lock
from member_analyzer.local.failure import LocalError


def collect_jars(groups: Iterable[str], folder: Path, console: Console) -> None:
    """Download and verify the jars of `groups`, and copy them into `folder`."""
    names = list(groups)
    if unknown := sorted(set(names) - set(read_lock())):
        raise LocalError(f"java.lock has no group {', '.join(unknown)}; it has {', '.join(read_lock())}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as repository:
        fetch_artifacts(names, Path(repository), console)
        for group in names:
            for jar in locate(group, Path(repository)):
                shutil.copyfile(jar, folder / jar.name)


if __name__ == "__main__":
    try:
        collect_jars(sys.argv[2:], Path(sys.argv[1]), Console())
    except LocalError as error:
        sys.exit(f"error: {error}")
