"""The graphs that `generate_graphs` has drawn: the days of which there are some, and their files."""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

PICTURE = re.compile(r"[a-z]+(_[a-z]+)*\.png")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def list_days(directory: Path) -> list[dict[str, object]]:
    """Every day with its pictures, the newest first; none where nothing was drawn yet."""
    if not directory.is_dir():
        return []
    days = sorted((folder for folder in directory.iterdir() if is_day(folder.name) and folder.is_dir()), reverse=True)
    return [{"day": folder.name, "files": files} for folder in days if (files := sorted(_pictures(folder)))]


def find_picture(directory: Path, day: str, name: str) -> Path | None:
    """The file of a picture; none for whatever is no picture of a day in the directory."""
    if not is_day(day) or not PICTURE.fullmatch(name):
        return None
    path = (directory / day / name).resolve()
    return path if path.is_relative_to(directory.resolve()) and path.is_file() else None


def is_day(name: str) -> bool:
    """Whether a folder's name is a day."""
    if not DAY.fullmatch(name):
        return False
    try:
        date.fromisoformat(name)
    except ValueError:
        return False
    return True


def _pictures(folder: Path) -> Iterator[str]:
    return (path.name for path in folder.iterdir() if PICTURE.fullmatch(path.name) and path.is_file())
