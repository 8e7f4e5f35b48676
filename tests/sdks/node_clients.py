"""Programs that send events with the unmodified SDKs for Node.js."""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from missing import skip_or_fail
from patience import DEADLINE
from sent_events import SentEvent

PROGRAMS = Path(__file__).parent / "node"
INSTALLED = Path(__file__).parents[2] / "var" / "sdks"
PACKAGE_FILES = ("package.json", "package-lock.json", ".npmrc")
INSTALL_SECONDS = 900


@dataclass(frozen=True)
class NodeClient:
    """A program in `node/` that sends events with one SDK."""

    name: str
    program: str


NODE_CLIENTS = (
    NodeClient("segment-node", "segment_node.cjs"),
    NodeClient("rudder-node", "rudder_node.cjs"),
    NodeClient("jitsu-node", "jitsu_node.cjs"),
)


@dataclass(frozen=True)
class ClientRun:
    """A running client, which sends events until it is asked to finish."""

    process: subprocess.Popen[str]
    errors: IO[str]

    def finish(self) -> list[SentEvent]:
        """Let the client flush and end; everything that it sent."""
        output, _ = self.process.communicate(timeout=DEADLINE)
        self.errors.seek(0)
        assert self.process.returncode == 0, self.errors.read()
        return [SentEvent(**event) for event in json.loads(output)]


def find_program(name: str) -> str:
    """The path of node or npm; without it the test is skipped, or fails in CI."""
    path = shutil.which(name)
    if path is None:
        skip_or_fail(f"there is no {name}; on Debian install it with `apt-get install nodejs npm`")
    return path


def install_sdks() -> Path:
    """The folder `node_modules` with the locked SDKs, installed when the lock file has changed.

    It is renamed into place, so that an interrupted installation or another process leaves nothing incomplete.
    """
    npm = find_program("npm")
    digest = hashlib.sha256((PROGRAMS / "package-lock.json").read_bytes()).hexdigest()
    folder = INSTALLED / f"node-{digest[:16]}"
    if not folder.exists():
        INSTALLED.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=INSTALLED) as temporary:
            new = Path(temporary) / folder.name
            new.mkdir()
            for name in PACKAGE_FILES:
                shutil.copy(PROGRAMS / name, new)
            # Scripts of packages would run with the rights of the tests; no SDK needs its own.
            command = [npm, "ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"]
            done = subprocess.run(
                command, cwd=new, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
            )
            assert done.returncode == 0, f"the SDKs could not be installed:\n{done.stdout}\n{done.stderr}"
            # Another process can have been faster.
            with suppress(OSError):
                new.rename(folder)
    return folder / "node_modules"


@contextmanager
def start_client(
    client: NodeClient, node_modules: Path, url: str, write_key: str, run: str, count: int
) -> Iterator[ClientRun]:
    """Start a client that sends at least `count` events, and more until it is asked to finish."""
    with (
        # A full pipe would stop a client that reports every failed request.
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [find_program("node"), str(PROGRAMS / client.program), url, write_key, run, str(count)],
            env=os.environ | {"NODE_PATH": str(node_modules)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            yield ClientRun(process, errors)
        finally:
            process.kill()
