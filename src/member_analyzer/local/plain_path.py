"""Gives a folder whose path holds unusual characters a second path that every program of the platform can read.

A space, a comma, a quote or a letter with an accent has a meaning of its own in one or the other of the servers'
configuration files, command lines and URLs, and not all of them can escape it. So no server ever sees such a path: it
gets a symbolic link to it.
"""

import hashlib
import os
import re
import stat
import tempfile
from pathlib import Path

from member_analyzer.local.failure import LocalError

PLAIN = re.compile(r"[A-Za-z0-9/._-]+")
# A Unix socket's path has 108 bytes at most, and the supervisor's lies in the home.
LONGEST = 72
# It outlives a restart of the machine, and is not emptied behind a platform that runs.
LINKS = Path("/var/tmp")  # noqa: S108


def is_plain(path: Path) -> bool:
    """Whether every program can read a path wherever it stands."""
    return PLAIN.fullmatch(str(path)) is not None and len(str(path)) <= LONGEST


def plain_path(path: Path) -> Path:
    """The path itself where it is plain, otherwise a link to it, made where it is missing. The same at every call."""
    if is_plain(path):
        return path
    link = open_links() / hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    try:
        if link.readlink() == path:
            return link
    except OSError:
        # There is none yet, or something that is no link.
        pass
    unfinished = link.with_name(f"{link.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    unfinished.symlink_to(path)
    unfinished.replace(link)
    return link


def program_folder(own: Path, name: str) -> Path:
    """Where to unpack a program that looks for itself by its real path: its own folder, or one beside the links."""
    return own if is_plain(own.resolve()) else open_links() / name


def open_links(parent: Path | None = None) -> Path:
    """This user's folder of links, which nobody else may write."""
    user = os.geteuid()
    parent = parent or (LINKS if os.access(LINKS, os.W_OK | os.X_OK) else Path(tempfile.gettempdir()))
    folder = parent / f"member-analyzer-{user}"
    try:
        folder.mkdir(exist_ok=True)
        found = folder.lstat()
        if found.st_uid != user or not stat.S_ISDIR(found.st_mode):
            raise LocalError(f"{folder} belongs to another user; delete it, or choose a LOCAL_HOME with a plain path")
        # PostgreSQL, which does not run as root, follows root's links.
        folder.chmod(0o711 if user == 0 else 0o700)
    except OSError as error:
        raise LocalError(
            f"{folder} cannot be used: {error.strerror}; make {parent} writable,"
            " or choose a LOCAL_HOME with a plain path"
        ) from error
    return folder
