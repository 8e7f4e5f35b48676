from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from member_analyzer.analysis.counts import Distribution
from member_analyzer.analysis.findings import Audit, Difference
from member_analyzer.cli.run import RunResult, check_paused, check_user_api, make_table
from member_analyzer.landing.counters import LandingCounts
from member_analyzer.local.failure import LocalError
from member_analyzer.local.home import Home
from member_analyzer.settings import LocalSettings, UserApiSettings

DAY = date(2026, 11, 21)
MOMENT = datetime(2026, 11, 21, 12, tzinfo=UTC)
DIFFERENCE = Difference("gender", ("female",), 3, 2)


def make_result(**changes: Any) -> RunResult:
    counts = {
        "landed": LandingCounts(accepted=3, unpublished=0, rejected=1, erased=0),
        "day": DAY,
        "tables": {
            "gender": Distribution({("female",): 2, ("male",): 1}, 3),
            "country": Distribution({("Norway",): 3}, 3),
        },
        "audits": [Audit(DAY, MOMENT, "gender", 3, 3, 2, []), Audit(DAY, MOMENT, "country", 3, 3, 1, [])],
        "graphs": [],
    }
    return RunResult(**(counts | changes))


def test_equal_counts_are_consistent() -> None:
    assert make_result().is_consistent


@pytest.mark.parametrize(
    "changes",
    [
        {"landed": LandingCounts(accepted=4, unpublished=0, rejected=0, erased=0)},
        {"landed": LandingCounts(accepted=3, unpublished=1, rejected=0, erased=0)},
        {"tables": {"gender": Distribution({("female",): 2}, 3)}},
        {"tables": {"gender": Distribution({("female",): 3}, 2)}},
        {"tables": {}},
        {"audits": []},
        {"audits": [Audit(DAY, MOMENT, "gender", 3, 2, 2, [])]},
        {"audits": [Audit(DAY, MOMENT, "gender", 3, 3, 2, [DIFFERENCE])]},
    ],
)
def test_any_different_count_is_inconsistent(changes: dict[str, Any]) -> None:
    assert not make_result(**changes).is_consistent


def test_a_long_table_shows_its_largest_buckets_and_sums_up_the_others() -> None:
    buckets = {(f"Country {n:02}",): n for n in range(1, 31)}
    console = Console(width=100, record=True, quiet=False)
    console.print(make_table("country", DAY, Distribution(buckets, sum(buckets.values()))))
    printed = console.export_text()
    assert "Country 30" in printed
    assert "Country 10" not in printed
    assert "10 more with 55 members" in printed


def test_an_unavailable_user_api_is_reported_with_its_url_and_the_setting() -> None:
    settings = UserApiSettings(url="http://127.0.0.1:9/api/", max_wait=0.1)
    with pytest.raises(LocalError, match=r"http://127\.0\.0\.1:9/api/.*USER_API_URL"):
        check_user_api(settings)


def test_a_paused_dag_is_reported_with_how_to_unpause_it(tmp_path: Path) -> None:
    home = Home(LocalSettings(home=tmp_path), tmp_path)
    check_paused([], "http://127.0.0.1:18080", home)
    with pytest.raises(LocalError, match=r"user_create is paused.*Unpause.*http://127\.0\.0\.1:18080/dags/user_create"):
        check_paused(["user_create"], "http://127.0.0.1:18080/", home)


def test_control_characters_in_a_city_are_escaped() -> None:
    console = Console(width=100, record=True)
    console.print(make_table("city", DAY, Distribution({("Germany", "U\x1b[2Jlm\u202e\x9b"): 1}, 1)))
    assert r"U\x1b[2Jlm\u202e\x9b" in console.export_text()


def test_markup_in_a_city_is_printed_literally() -> None:
    console = Console(width=100, record=True)
    console.print(make_table("city", DAY, Distribution({("Germany", "Ulm [/b] [red]"): 1}, 1)))
    assert "Ulm [/b] [red]" in console.export_text()
