"""Runs the commands in the documentation that install and delete the platform on Kubernetes."""

import re
import subprocess
from pathlib import Path

from namespace import Namespace
from rendering import OPERATORS, PLATFORM, has_dependencies
from tools import CHECKOUT

SECONDS = 1200


def install_lines() -> list[str]:
    """The commands in the README: the operators, the platform, and the test of the release."""
    return _read_lines("README.md", "On Kubernetes")


def deletion_lines() -> list[str]:
    """The commands that delete the platform with all members."""
    return _read_lines("docs/kubernetes.md", "Deleting all data")


def _read_lines(document: str, heading: str) -> list[str]:
    """The first indented lines below a heading, without comments."""
    section = (CHECKOUT / document).read_text().split(f"\n## {heading}\n")[1]
    block = re.match(r"\n+((?:    .*(?:\n|$))+)", section)
    assert block, f"{document} has no lines below {heading}"
    return [line.partition(" #")[0].strip() for line in block[1].splitlines()]


def run_line(cluster: Namespace, line: str) -> str:
    """The output of a command. Dependencies of charts that are already downloaded are not downloaded again."""
    for chart in (OPERATORS, PLATFORM):
        if has_dependencies(chart):
            line = line.replace(f"helm dependency update charts/{chart} && ", "")
    return run_shell(cluster, line, CHECKOUT)


def run_shell(cluster: Namespace, line: str, folder: Path) -> str:
    """The output of a shell command in a folder."""
    programs = f"{cluster.helm_program.parent}:{cluster.kubectl_program.parent}"
    environment = cluster.environment | {"PATH": f"{programs}:{cluster.environment['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}"
    return done.stdout
