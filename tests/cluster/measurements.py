"""Figures measured by the tests of the whole platform, stored as JSON and printed at the end."""

import json
from typing import Any

from tools import CHECKOUT

FILE = CHECKOUT / "var" / "cluster-figures.json"


def note(name: str, value: Any) -> None:
    """Store a figure, replacing an older one with the same name."""
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(read() | {name: value}, indent=2) + "\n")


def read() -> dict[str, Any]:
    """All stored figures."""
    figures: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}
    return figures
