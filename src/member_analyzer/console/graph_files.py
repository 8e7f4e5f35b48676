"""Files of the graphs that `generate_graphs` draws, one folder per day."""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

FILE_NAME = re.compile(r"[a-z]+(_[a-z]+)*\.png")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def list_days(directory: Path) -> list[dict[str, object]]:
    """All days with their files, newest first."""
    if not directory.is_dir():
        return []
    days = sorted((folder for folder in directory.iterdir() if is_day(folder.name) and folder.is_dir()), reverse=True)
    return [{"day": folder.name, "files": files} for folder in days if (files := sorted(_file_names(folder)))]


def find_graph(directory: Path, day: str, name: str) -> Path | None:
    """The path of a graph, None for anything else."""
    if not is_day(day) or not FILE_NAME.fullmatch(name):
        return None
    path = (directory / day / name).resolve()
    return path if path.is_relative_to(directory.resolve()) and path.is_file() else None


def is_day(name: str) -> bool:
    """Whether a folder is named after a day."""
    if not DAY.fullmatch(name):
        return False
    try:
        date.fromisoformat(name)
    except ValueError:
        return False
    return True


def _file_names(folder: Path) -> Iterator[str]:
    return (path.name for path in folder.iterdir() if FILE_NAME.fullmatch(path.name) and path.is_file())
