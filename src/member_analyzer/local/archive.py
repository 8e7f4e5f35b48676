"""Unpacks a downloaded program."""

import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import IO


def unpack(source: Path, folder: Path) -> None:
    """Unpack a tar archive, or the one inside a jar, into a folder of its own, unless it lies there already."""
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
    # Whoever runs the program may be another user than the one whose umask made the folders.
    for path in [folder, *folder.rglob("*/")]:
        if path.is_dir():
            path.chmod(0o755)
    unpacked.write_text(source.name)


def extract(file: IO[bytes], folder: Path) -> None:
    """Extract a tar archive, compressed in whichever way."""
    with tarfile.open(fileobj=file) as archive:
        # Python 3.11.4 brought the filter; before it there is none to choose, and the archive's hash was verified.
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
        archive.extractall(folder)  # noqa: S202
