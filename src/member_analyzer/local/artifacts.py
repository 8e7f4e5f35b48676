"""The Java artifacts that the platform runs: named and hashed in java.lock, downloaded once and verified."""

import contextlib
import hashlib
import json
import tomllib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from member_analyzer.local.failure import LocalError

LOCK = Path(__file__).with_name("java.lock")
DOWNLOADS_AT_ONCE = 6


@dataclass(frozen=True, order=True)
class Artifact:
    """One file of a Maven repository; its form as text is `group:artifact:version[:classifier]:packaging`."""

    group: str
    name: str
    version: str
    classifier: str
    packaging: str
    sha256: str

    @classmethod
    def parse(cls, coordinate: str, sha256: str) -> "Artifact":
        """Read the form that the lock keeps."""
        group, name, version, *classifier, packaging = coordinate.split(":")
        return cls(group, name, version, "".join(classifier), packaging, sha256)

    def __str__(self) -> str:
        """The form that the lock keeps."""
        return ":".join(part for part in (self.group, self.name, self.version, self.classifier, self.packaging) if part)

    def path(self, repository: Path) -> Path:
        """Where the file lies in a Maven repository."""
        suffix = f"-{self.classifier}" if self.classifier else ""
        folder = repository.joinpath(*self.group.split("."), self.name, self.version)
        return folder / f"{self.name}-{self.version}{suffix}.{self.packaging}"


def read_lock(path: Path = LOCK) -> dict[str, list[Artifact]]:
    """The locked artifacts, group by group, in the order of a class path."""
    groups = tomllib.loads(path.read_text())
    return {name: [Artifact.parse(*entry) for entry in group.items()] for name, group in groups.items()}


def locate(group: str, repository: Path) -> list[Path]:
    """The files of one group of the lock, in the order of a class path."""
    return [artifact.path(repository) for artifact in read_lock()[group]]


def class_path(group: str, repository: Path) -> str:
    """The files of one group of the lock as Java's class path."""
    return ":".join(str(path) for path in locate(group, repository))


def spark_jars(repository: Path) -> list[Path]:
    """The jars that the Spark jobs need beside those that PySpark ships."""
    return locate("spark", repository)


def fetch_artifacts(groups: Iterable[str], repository: Path, console: Console) -> None:
    """Bring the artifacts of `groups` into `repository`; those that were verified before only cost a look."""
    lock = read_lock()
    marker = repository / "verified.json"
    verified: dict[str, list[object]] = {}
    # A marker that is cut off, by a full disk for one, only costs that everything is verified again.
    with contextlib.suppress(FileNotFoundError, ValueError):
        verified = json.loads(marker.read_text())
    wanted = {artifact for group in groups for artifact in lock[group]}
    missing = sorted(artifact for artifact in wanted if verified.get(str(artifact)) != stamp(artifact, repository))
    if not missing:
        return
    if not console.is_terminal:
        console.print(f"downloading {len(missing)} Java artifacts into {repository}")
    with (
        Progress(
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=console
        ) as progress,
        ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool,
    ):
        whole = progress.add_task(f"{len(missing)} Java artifacts", total=None)
        total = 0

        @contextlib.contextmanager
        def follow(filename: str, size: int) -> Iterator[Callable[[int], None]]:
            nonlocal total
            total += size
            progress.update(whole, total=total)
            task = progress.add_task(filename, total=size)

            def advance(count: int) -> None:
                progress.advance(task, count)
                progress.advance(whole, count)

            try:
                yield advance
            finally:
                progress.remove_task(task)

        futures = [pool.submit(fetch, artifact, repository, follow) for artifact in missing]
        try:
            for artifact, future in zip(missing, futures, strict=True):
                future.result()
                verified[str(artifact)] = stamp(artifact, repository)
        finally:
            for future in futures:
                future.cancel()
            repository.mkdir(parents=True, exist_ok=True)
            marker.write_text(json.dumps(verified, indent=1))


def stamp(artifact: Artifact, repository: Path) -> list[object]:
    """What a file looked like when its hash was found right."""
    try:
        found = artifact.path(repository).stat()
    except FileNotFoundError:
        return []
    return [artifact.sha256, found.st_size, found.st_mtime_ns]


Follow = Callable[[str, int], contextlib.AbstractContextManager[Callable[[int], None]]]


def fetch(artifact: Artifact, repository: Path, follow: Follow | None = None) -> None:
    """Download one artifact unless the right file is there; a wrong one is fetched again once, then refused."""
    path = artifact.path(repository)
    for _ in range(2):
        if not path.exists():
            download(artifact, repository, follow)
        found = hash_file(path)
        if found == artifact.sha256:
            return
        path.unlink()
    raise LocalError(
        f"{artifact} was refused: its SHA-256 is {found} and not {artifact.sha256} as in java.lock, twice;"
        " see what stands between this machine and the Maven repository, then try again"
    )


def download(artifact: Artifact, repository: Path, follow: Follow | None = None) -> Path:
    """Download one artifact into `repository`."""
    # Only a download needs it, and it takes a while to import.
    from jgo.maven import MavenContext, PythonResolver

    context = MavenContext(
        repo_cache=repository, local_repos=[], resolver=PythonResolver(progress_callback=follow), timeout=60
    )
    component = context.project(artifact.group, artifact.name).at_version(artifact.version)
    unstable = Retrying(
        retry=retry_if_exception_type(requests.RequestException),
        stop=stop_after_attempt(3),
        wait=wait_exponential(max=5),
        before_sleep=lambda _: artifact.path(repository).unlink(missing_ok=True),
        reraise=True,
    )
    try:
        return unstable(component.artifact(artifact.classifier, artifact.packaging).resolve)
    except (requests.RequestException, RuntimeError) as error:
        artifact.path(repository).unlink(missing_ok=True)
        raise LocalError(
            f"{artifact} could not be downloaded ({type(error).__name__}); check the network and try again"
        ) from error
    except OSError as error:
        artifact.path(repository).unlink(missing_ok=True)
        raise LocalError(f"{artifact} could not be written into {repository}: {error.strerror}") from error


def hash_file(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
