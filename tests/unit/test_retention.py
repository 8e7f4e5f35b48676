"""The retention of the tables of the interactions."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from member_analyzer.analysis.interactions.retention import list_retention, set_retention
from member_analyzer.analysis.keyspace import interaction_tables
from member_analyzer.settings import InteractionSettings

DAY = 86_400


class Session:
    """A session of a keyspace whose tables have this time to live."""

    def __init__(self, seconds: dict[str, int]) -> None:
        self._seconds = seconds
        self.altered: dict[str, int] = {}

    def execute(self, statement: str, values: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        if statement.startswith("SELECT"):
            assert values == ("k",)
            return [{"table_name": name, "default_time_to_live": one} for name, one in self._seconds.items()]
        words = statement.split()
        self.altered[words[2]] = int(words[-1])
        return []


def test_only_tables_whose_retention_differs_are_altered() -> None:
    settings = InteractionSettings.of({"INTERACTIONS_TIMELINE_DAYS": "30", "INTERACTIONS_COUNTS_DAYS": "1000"})
    seconds = {table: days * DAY for table, days in list_retention(InteractionSettings.of({})).items()}
    session: Any = Session(seconds)
    set_retention(session, "k", settings)
    assert session.altered == {
        "k.interaction_timeline": 30 * DAY,
        **{f"k.interaction_{name}": 1000 * DAY for name in ("days", "counts", "members")},
    }


def test_the_default_retention_is_that_of_the_created_tables() -> None:
    created = {}
    for statement in interaction_tables("k"):
        seconds = re.search(r"default_time_to_live = (\d+)", statement)
        created[statement.split()[5].removeprefix("k.")] = int(seconds[1]) if seconds else 0
    default = {table: days * DAY for table, days in list_retention(InteractionSettings.of({})).items()}
    assert {table: created[table] for table in default} == default


@pytest.mark.parametrize(
    ("name", "days"), [("TIMELINE", "0"), ("SESSIONS", "7301"), ("MINUTES", "x"), ("COUNTS", "-1")]
)
def test_an_impossible_retention_is_refused(name: str, days: str) -> None:
    with pytest.raises(ValidationError):
        InteractionSettings.of({f"INTERACTIONS_{name}_DAYS": days})
