import json
from importlib.resources import files

import pycountry
import pytest

from member_analyzer.streams.members.countries import country_names, find_country


@pytest.mark.parametrize(
    ("name", "spellings"),
    [
        ("Germany", ["Germany", "germany", "GERMANY", "DE", "de", "DEU", "276", "Federal Republic of Germany"]),
        ("Turkey", ["Turkey", "Türkiye", "TÜRKİYE", "turkiye", "TR", "Republic of Türkiye"]),
        ("United States", ["USA", "US", "U.S.", "U.S.A.", "usa", "United States of America", "The United States"]),
        ("United Kingdom", ["UK", "GB", "GBR", "Great Britain", "England"]),
        ("South Korea", ["Korea, Republic of", "Republic of Korea", "KR", "south korea"]),
        ("North Korea", ["Korea, Democratic People's Republic of", "DPRK"]),
        ("Russia", ["Russian Federation", "RU", "russia"]),
        ("Czechia", ["Czech Republic", "CZ", "czechia"]),
        ("Côte d'Ivoire", ["Ivory Coast", "Cote d'Ivoire", "Côte d’Ivoire", "CI"]),
        ("Iran", ["Iran, Islamic Republic of", "Islamic Republic of Iran", "IR"]),
        ("Netherlands", ["The Netherlands", "Holland", "NL"]),
        ("Democratic Republic of the Congo", ["Congo, The Democratic Republic of the", "DR Congo", "COD"]),
        ("Republic of the Congo", ["Congo", "Republic of Congo", "Congo-Brazzaville"]),
        ("Bosnia and Herzegovina", ["Bosnia & Herzegovina", "Bosnia-Herzegovina"]),
        ("Saint Lucia", ["St. Lucia", "St Lucia"]),
        ("Vietnam", ["Viet Nam", "VN"]),
        ("Kosovo", ["XK", "kosovo"]),
    ],
)
def test_a_country_has_one_name(name: str, spellings: list[str]) -> None:
    assert {find_country(spelling) for spelling in [name, *spellings]} == {name}


@pytest.mark.parametrize("text", ["Atlantis", "n.a.", "N/A", "XX", "Virgin Islands", "", "-", "日本国?"])
def test_what_names_no_country_stays_as_it_is(text: str) -> None:
    assert find_country(text) == text


def test_each_name_and_code_of_iso_3166_means_its_own_country() -> None:
    names = [find_country(one.alpha_2) for one in pycountry.countries]
    assert len(set(names)) == len(names)
    for one, name in zip(pycountry.countries, names, strict=True):
        codes = (one.alpha_2, one.alpha_3, one.numeric, one.alpha_3.lower())
        written = {*codes, one.name, getattr(one, "official_name", name), getattr(one, "common_name", name)}
        assert {find_country(text) for text in written} == {name}


def test_the_names_that_are_kept_stay_as_they_are() -> None:
    assert {find_country(name) for name in country_names()} == country_names()


def test_the_countries_of_the_bundled_user_api_keep_their_names() -> None:
    folder = files("member_analyzer.fake_users") / "nationalities"
    names = {json.loads(one.read_text(encoding="utf-8"))["country"] for one in folder.iterdir()}
    assert names <= country_names()
