"""Provides symbolic links with plain names for directories whose paths contain special characters.

Spaces, commas, quotes and non-ASCII letters have a special meaning in some of the servers' configuration files, command
lines and URLs, and not all of them support escaping. So the servers only ever see such a link.
"""

import hashlib
import os
import re
import stat
import tempfile
from pathlib import Path

from member_analyzer.local.failure import LocalError

PLAIN = re.compile(r"[A-Za-z0-9/._-]+")
# The path of a Unix socket has at most 108 bytes, and the supervisor's is in the home.
MAX_LENGTH = 72
# It survives a reboot, and is not cleaned while a platform runs.
LINKS = Path("/var/tmp")  # noqa: S108


def is_plain(path: Path) -> bool:
    """Whether a path can be used anywhere without escaping."""
    return PLAIN.fullmatch(str(path)) is not None and len(str(path)) <= MAX_LENGTH


def plain_path(path: Path) -> Path:
    """The path itself if it is plain, otherwise a link to it, always the same one; created if it is missing."""
    if is_plain(path):
        return path
    link = open_links() / hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    try:
        if link.readlink() == path:
            return link
    except OSError:
        # It does not exist, or is not a link.
        pass
    unfinished = link.with_name(f"{link.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    unfinished.symlink_to(path)
    unfinished.replace(link)
    return link


def program_folder(own: Path, name: str) -> Path:
    """The directory for a program that resolves its own path: `own` if it is plain, else one beside the links."""
    return own if is_plain(own.resolve()) else open_links() / name


def open_links(parent: Path | None = None) -> Path:
    """The user's directory of links, which only the user can write."""
    user = os.geteuid()
    parent = parent or (LINKS if os.access(LINKS, os.W_OK | os.X_OK) else Path(tempfile.gettempdir()))
    folder = parent / f"member-analyzer-{user}"
    try:
        folder.mkdir(exist_ok=True)
        found = folder.lstat()
        if found.st_uid != user or not stat.S_ISDIR(found.st_mode):
            raise LocalError(f"{folder} belongs to another user; delete it, or choose a LOCAL_HOME with a plain path")
        # PostgreSQL follows root's links as another user.
        folder.chmod(0o711 if user == 0 else 0o700)
    except OSError as error:
        raise LocalError(
            f"{folder} cannot be used: {error.strerror}; make {parent} writable,"
            " or choose a LOCAL_HOME with a plain path"
        ) from error
    return folder
