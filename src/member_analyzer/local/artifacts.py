"""The Java artifacts that the platform runs: pinned in java.lock, downloaded once and verified."""

import contextlib
import fcntl
import hashlib
import json
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from member_analyzer.local.failure import LocalError

LOCK = Path(__file__).with_name("java.lock")
VERIFIED = "verified.json"
MAX_CONCURRENT_DOWNLOADS = 6


@dataclass(frozen=True, order=True)
class Artifact:
    """One file of a Maven repository; its coordinate is `group:artifact:version[:classifier]:packaging`."""

    group: str
    name: str
    version: str
    classifier: str
    packaging: str
    sha256: str

    @classmethod
    def parse(cls, coordinate: str, sha256: str) -> "Artifact":
        """Parse a coordinate."""
        group, name, version, *classifier, packaging = coordinate.split(":")
        return cls(group, name, version, "".join(classifier), packaging, sha256)

    def __str__(self) -> str:
        return ":".join(part for part in (self.group, self.name, self.version, self.classifier, self.packaging) if part)

    def path(self, repository: Path) -> Path:
        """The file's path in a Maven repository."""
        suffix = f"-{self.classifier}" if self.classifier else ""
        folder = repository.joinpath(*self.group.split("."), self.name, self.version)
        return folder / f"{self.name}-{self.version}{suffix}.{self.packaging}"


def read_lock(path: Path = LOCK) -> dict[str, list[Artifact]]:
    """The locked artifacts by group, in class path order."""
    groups = tomllib.loads(path.read_text())
    return {name: [Artifact.parse(*entry) for entry in group.items()] for name, group in groups.items()}


def locate(group: str, repository: Path) -> list[Path]:
    """The files of a group, in class path order."""
    return [artifact.path(repository) for artifact in read_lock()[group]]


def class_path(group: str, repository: Path) -> str:
    """The class path of a group."""
    return ":".join(str(path) for path in locate(group, repository))


def spark_jars(repository: Path) -> list[Path]:
    """The jars that the Spark jobs need in addition to those that PySpark ships."""
    return locate("spark", repository)


def fetch_artifacts(groups: Iterable[str], repository: Path, console: Console) -> None:
    """Download and verify the artifacts of `groups`, except those that were verified before and have not changed.

    Waits while another process downloads into the same repository.
    """
    lock = read_lock()
    required = {artifact for group in groups for artifact in lock[group]}
    # Without the lock, because the repository may be read-only.
    if find_missing(required, read_verified(repository), repository):
        with locked(repository):
            fetch_missing(required, repository, console)


@contextlib.contextmanager
def locked(repository: Path) -> Iterator[None]:
    """Wait for a lock that other processes respect and that ends with the process."""
    repository.mkdir(parents=True, exist_ok=True)
    with (repository / "download.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def read_verified(repository: Path) -> dict[str, list[object]]:
    """The state in which each artifact was verified. If the file is truncated, everything is verified again."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        verified: dict[str, list[object]] = json.loads((repository / VERIFIED).read_text())
        return verified
    return {}


def find_missing(
    required: Iterable[Artifact], verified: Mapping[str, list[object]], repository: Path
) -> list[Artifact]:
    """The artifacts that have changed or were not verified."""
    return sorted(artifact for artifact in required if verified.get(str(artifact)) != stamp(artifact, repository))


def fetch_missing(required: Iterable[Artifact], repository: Path, console: Console) -> None:
    """Download and verify what is missing of the artifacts."""
    verified = read_verified(repository)
    missing = find_missing(required, verified, repository)
    if not missing:
        return
    if not console.is_terminal:
        console.print(f"downloading {len(missing)} Java artifacts into {repository}")
    with (
        Progress(
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=console
        ) as progress,
        ThreadPoolExecutor(MAX_CONCURRENT_DOWNLOADS) as pool,
    ):
        overall = progress.add_task(f"{len(missing)} Java artifacts", total=None)
        total = 0

        @contextlib.contextmanager
        def follow(filename: str, size: int) -> Iterator[Callable[[int], None]]:
            nonlocal total
            total += size
            progress.update(overall, total=total)
            task = progress.add_task(filename, total=size)

            def advance(count: int) -> None:
                progress.advance(task, count)
                progress.advance(overall, count)

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
            (repository / VERIFIED).write_text(json.dumps(verified, indent=1))


def stamp(artifact: Artifact, repository: Path) -> list[object]:
    """The state of a file whose hash was verified."""
    try:
        found = artifact.path(repository).stat()
    except FileNotFoundError:
        return []
    return [artifact.sha256, found.st_size, found.st_mtime_ns]


Follow = Callable[[str, int], contextlib.AbstractContextManager[Callable[[int], None]]]


def fetch(artifact: Artifact, repository: Path, follow: Follow | None = None) -> None:
    """Download an artifact unless a valid file exists; an invalid file is downloaded once more, then an error."""
    path = artifact.path(repository)
    for _ in range(2):
        if not path.exists():
            download(artifact, repository, follow)
        found = hash_file(path)
        if found == artifact.sha256:
            return
        path.unlink()
    raise LocalError(
        f"{artifact} has the wrong hash: its SHA-256 is {found}, not {artifact.sha256} as in java.lock, after two"
        " downloads; check the connection to the Maven repository, including proxies and mirrors, then try again"
    )


def download(artifact: Artifact, repository: Path, follow: Follow | None = None) -> Path:
    """Download one artifact into `repository`."""
    # Imported here because it is slow to import and only needed for downloads.
    from jgo.maven import MavenContext, PythonResolver

    context = MavenContext(
        repo_cache=repository, local_repos=[], resolver=PythonResolver(progress_callback=follow), timeout=60
    )
    component = context.project(artifact.group, artifact.name).at_version(artifact.version)
    retrying = Retrying(
        retry=retry_if_exception_type(requests.RequestException),
        stop=stop_after_attempt(3),
        wait=wait_exponential(max=5),
        before_sleep=lambda _: artifact.path(repository).unlink(missing_ok=True),
        reraise=True,
    )
    try:
        return retrying(component.artifact(artifact.classifier, artifact.packaging).resolve)
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
