"""The country of a time zone."""

from importlib.resources import files

import pytest

from member_analyzer.streams.interactions.zones import country_of_zone
from member_analyzer.streams.members.countries import country_names, find_country


@pytest.mark.parametrize(
    ("zone", "country"),
    [
        ("Europe/Oslo", "Norway"),
        ("America/New_York", "United States"),
        ("Africa/Abidjan", "Côte d'Ivoire"),
        # Former names, which browsers still report, and which are links to zones of other countries by now.
        ("Asia/Calcutta", "India"),
        ("Europe/Kiev", "Ukraine"),
        ("Asia/Saigon", "Vietnam"),
        ("Asia/Rangoon", "Myanmar"),
        ("America/Coral_Harbour", "Canada"),
        ("Africa/Timbuktu", "Mali"),
        ("Pacific/Truk", "Micronesia"),
        ("US/Pacific", "United States"),
    ],
)
def test_a_zone_is_in_its_country(zone: str, country: str) -> None:
    assert country_of_zone(zone) == country


@pytest.mark.parametrize("zone", ["UTC", "Etc/UTC", "Etc/GMT+1", "GMT", "EST", "CET", "", "Mars/Phobos", "europe/oslo"])
def test_a_zone_of_no_single_country_has_none(zone: str) -> None:
    assert country_of_zone(zone) is None


def test_every_zone_of_the_tz_database_has_its_country() -> None:
    lines = files("tzdata").joinpath("zoneinfo", "zone.tab").read_text(encoding="utf-8").splitlines()
    zones = {zone: code for code, _, zone in (line.split("\t")[:3] for line in lines if not line.startswith("#"))}
    assert len(zones) > 400
    assert {zone: country_of_zone(zone) for zone in zones} == {zone: find_country(code) for zone, code in zones.items()}


def test_a_country_is_named_as_members_name_it() -> None:
    assert country_of_zone("Europe/Oslo") in country_names()
