"""What the tests on the whole platform measured, kept as JSON and told at the end."""

import json
from typing import Any

from tools import CHECKOUT

FILE = CHECKOUT / "var" / "cluster-figures.json"


def note(name: str, value: Any) -> None:
    """Keep a figure, in place of an older one of its name."""
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(read() | {name: value}, indent=2) + "\n")


def read() -> dict[str, Any]:
    """All figures that are kept."""
    figures: dict[str, Any] = json.loads(FILE.read_text()) if FILE.exists() else {}
    return figures
