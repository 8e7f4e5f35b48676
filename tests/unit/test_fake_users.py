import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import unicodedata
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from member_analyzer.fake_users.nationality import CODES, load_nationality
from member_analyzer.fake_users.page import make_page, make_users
from member_analyzer.fake_users.person import FIELDS, age_on
from member_analyzer.fake_users.query import InvalidQueryError, Query, parse_query
from member_analyzer.fake_users.transliteration import transliterate
from patience import DEADLINE

TODAY = date(2026, 11, 21)
RECORDED = Path(__file__).parents[3] / "shared" / "data" / "randomuser-recorded.json"


def users_of(**parameters: Any) -> list[dict[str, Any]]:
    """The users of a request, without HTTP."""
    query = parse_query({name: str(value) for name, value in parameters.items()})
    return list(make_users(query, TODAY))


def ids_of(users: list[dict[str, Any]]) -> list[str]:
    return [user["login"]["uuid"] for user in users]


def take_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running_server(**environment: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = take_free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "member_analyzer.fake_users", "--port", str(port)], env=os.environ | environment
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + DEADLINE
        while not responds(url + "/healthz"):
            assert process.poll() is None, f"the server ended with status {process.returncode}"
            assert time.monotonic() < deadline, "the server does not respond"
        yield process, url
    finally:
        process.kill()
        process.wait()


def responds(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_server() as (_, url):
        yield url


def ask(server: str, path: str = "/api/", **parameters: Any) -> dict[str, Any]:
    response = requests.get(server + path, params=parameters, timeout=DEADLINE)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    answer: dict[str, Any] = response.json()
    return answer


# --- Format of the response


def shapes_of(value: Any, path: str = "") -> set[tuple[str, str]]:
    if isinstance(value, dict):
        return {(path, "object")}.union(*(shapes_of(value[key], f"{path}.{key}") for key in value))
    return {(path, type(value).__name__)}


def test_users_have_the_fields_and_types_of_a_recorded_response(server: str) -> None:
    if not RECORDED.exists():
        pytest.skip(f"no recorded response of randomuser.me at {RECORDED}")
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    ours = ask(server, results=2000, seed="form")

    recorded_shapes = set().union(*map(shapes_of, recorded["results"]))
    assert {(".location.postcode", "int"), (".location.postcode", "str"), (".id.value", "NoneType")} <= recorded_shapes
    assert set().union(*map(shapes_of, ours["results"])) == recorded_shapes
    assert {tuple(user) for user in ours["results"]} == {tuple(user) for user in recorded["results"]}
    assert shapes_of(ours["info"]) == shapes_of(recorded["info"])
    assert ours["info"]["version"] == recorded["info"]["version"]


def test_postcodes_and_ids_have_the_types_of_the_recorded_country() -> None:
    if not RECORDED.exists():
        pytest.skip(f"no recorded response of randomuser.me at {RECORDED}")
    for recorded in json.loads(RECORDED.read_text(encoding="utf-8"))["results"]:
        (ours,) = users_of(nat=recorded["nat"], seed="kind")
        assert ours["location"]["country"] == recorded["location"]["country"]
        assert type(ours["location"]["postcode"]) is type(recorded["location"]["postcode"])
        assert ours["id"]["name"] == recorded["id"]["name"]
        assert type(ours["id"]["value"]) is type(recorded["id"]["value"])


def test_postcodes_are_strings_in_some_countries_and_numbers_in_others() -> None:
    strings = {user["nat"] for user in users_of(results=3000) if isinstance(user["location"]["postcode"], str)}
    assert strings == {"CA", "GB", "NL", "NO"}


def test_an_id_without_a_name_has_no_value() -> None:
    users = users_of(results=3000)
    assert {user["nat"] for user in users if user["id"]["value"] is None} == {"IR", "NZ", "TR", "UA"}
    assert all((user["id"]["name"] == "") == (user["id"]["value"] is None) for user in users)


def test_a_norwegian_id_contains_the_date_of_birth() -> None:
    for user in users_of(results=50, nat="NO"):
        year, month, day = user["dob"]["date"][:10].split("-")
        assert re.fullmatch(rf"{day}{month}{year[2:]}\d{{5}}", user["id"]["value"])


def test_hashes_are_of_the_password_and_the_salt() -> None:
    for user in users_of(results=20):
        login = user["login"]
        salted = (login["password"] + login["salt"]).encode()
        assert login["md5"] == hashlib.md5(salted).hexdigest()
        assert login["sha1"] == hashlib.sha1(salted).hexdigest()
        assert login["sha256"] == hashlib.sha256(salted).hexdigest()


def test_every_id_is_a_canonical_version_4_uuid() -> None:
    for identity in ids_of(users_of(results=100)):
        assert uuid.UUID(identity).version == 4
        assert str(uuid.UUID(identity)) == identity


def test_email_addresses_are_ascii_in_every_country() -> None:
    for user in users_of(results=5000, seed="mail"):
        assert re.fullmatch(r"[a-z]+\.[a-z]+@example\.com", user["email"]), user["email"]


def test_names_and_cities_use_the_script_of_the_country() -> None:
    scripts = {"IR": "ARABIC", "RS": "CYRILLIC", "UA": "CYRILLIC", "IN": "LATIN", "TR": "LATIN"}
    for code, script in scripts.items():
        for user in users_of(results=50, nat=code):
            letters = user["name"]["first"] + user["name"]["last"] + user["location"]["city"]
            assert all(unicodedata.name(letter).startswith(script) for letter in letters if letter.isalpha())


def test_coordinates_are_valid_strings() -> None:
    for user in users_of(results=1000):
        coordinates = user["location"]["coordinates"]
        assert re.fullmatch(r"-?\d{1,2}\.\d{4}", coordinates["latitude"])
        assert re.fullmatch(r"-?\d{1,3}\.\d{4}", coordinates["longitude"])
        assert abs(float(coordinates["latitude"])) <= 90
        assert abs(float(coordinates["longitude"])) <= 180


def test_the_picture_matches_the_gender() -> None:
    for user in users_of(results=50):
        folder = {"female": "women", "male": "men"}[user["gender"]]
        assert re.fullmatch(rf"https://randomuser\.me/api/portraits/{folder}/\d+\.jpg", user["picture"]["large"])


# --- Ages


def test_ages_are_full_years() -> None:
    for user in users_of(results=500):
        for field in ("dob", "registered"):
            moment = datetime.fromisoformat(user[field]["date"])
            assert user[field]["age"] == age_on(moment, TODAY)
            assert user[field]["date"] == moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        assert user["dob"]["date"] <= user["registered"]["date"] < "2025"


@pytest.mark.parametrize(
    ("born", "today", "age"),
    [
        (date(2000, 6, 15), date(2016, 6, 14), 15),
        (date(2000, 6, 15), date(2016, 6, 15), 16),
        (date(2000, 2, 29), date(2001, 2, 28), 0),
        (date(2000, 2, 29), date(2001, 3, 1), 1),
    ],
)
def test_an_age_changes_on_the_birthday(born: date, today: date, age: int) -> None:
    assert age_on(born, today) == age


def test_a_user_ages_and_keeps_the_date_of_birth() -> None:
    query = Query("old", results=50)
    for now, later in zip(make_users(query, TODAY), make_users(query, TODAY.replace(year=2036)), strict=True):
        assert later["dob"] == {"date": now["dob"]["date"], "age": now["dob"]["age"] + 10}  # type: ignore[index]


def test_every_age_group_has_users() -> None:
    ages = [user["dob"]["age"] for user in users_of(results=5000)]
    for youngest, oldest in ((0, 15), (16, 30), (31, 45), (46, 60), (61, 120)):
        assert sum(youngest <= age <= oldest for age in ages) > 200


# --- Determinism


def test_a_page_of_a_seed_is_always_the_same(server: str) -> None:
    parameters: dict[str, Any] = {"results": 500, "seed": "same", "page": 7, "nat": "rs,gb", "gender": "female"}
    assert ask(server, **parameters) == ask(server, **parameters)


def test_every_process_gives_the_same_response(server: str) -> None:
    with running_server(PYTHONHASHSEED="1") as (_, other):
        assert ask(server, results=500, seed="process") == ask(other, results=500, seed="process")


def test_the_users_of_a_seed_never_change() -> None:
    page = make_page(Query("always", results=200), TODAY)
    digest = hashlib.sha256(json.dumps(page).encode()).hexdigest()
    # Depends only on the data and the generator, not on the platform, the process or the Python version.
    assert digest == "395808f578601e48a50a81cc711eaded7dc186108b20a97e460475e3f590e38f"


@settings(deadline=None, max_examples=25)
@given(seed=st.text(max_size=20), page=st.integers(1, 10**6), fewer=st.integers(1, 30), more=st.integers(1, 30))
def test_fewer_results_are_a_prefix_of_more(seed: str, page: int, fewer: int, more: int) -> None:
    fewer, more = sorted((fewer, more))
    first = list(make_users(Query(seed, page, fewer), TODAY))
    assert first == list(make_users(Query(seed, page, more), TODAY))[:fewer]


def test_ids_are_unique_across_pages_and_seeds() -> None:
    asked = [
        {"seed": seed, "page": page, "nat": nat, "gender": gender}
        for seed in ("a", "1", "1 1", "ä")
        for page in (1, 2, 11)
        for nat in ("", "us", "us,gb")
        for gender in ("", "male")
    ]
    ids = [identity for request in asked for identity in ids_of(users_of(results=100, **request))]
    assert len(set(ids)) == len(ids) == 100 * len(asked)


def test_the_order_of_nationalities_does_not_matter() -> None:
    assert users_of(seed="s", nat="gb,us", results=20) == users_of(seed="s", nat="US, GB, us", results=20)


def test_without_a_seed_a_random_one_is_returned(server: str) -> None:
    answer = ask(server, results=5)
    assert re.fullmatch(r"[0-9a-f]{16}", answer["info"]["seed"])
    assert ask(server, results=5, seed=answer["info"]["seed"]) == answer
    assert ask(server, results=5) != answer


# --- Parameters


def test_the_info_repeats_the_parameters(server: str) -> None:
    answer = ask(server, results=3, seed="Ünï code", page=4)
    assert answer["info"] == {"seed": "Ünï code", "results": 3, "page": 4, "version": "1.4"}
    assert len(answer["results"]) == 3


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/1.4", "/api/1.4/"])
def test_every_path_of_the_real_api_is_served(server: str, path: str) -> None:
    assert ask(server, path, seed="path") == ask(server, seed="path")


def test_a_page_of_5000_users_is_served(server: str) -> None:
    users = ask(server, results=5000, seed="many")["results"]
    assert len(set(ids_of(users))) == 5000
    assert {user["nat"] for user in users} == set(CODES)
    assert {user["gender"] for user in users} == {"female", "male"}


@pytest.mark.parametrize("results", ["0", "5001", "-1", "many", "2.5", "", "9" * 5000])
def test_an_invalid_number_of_results_gives_one(results: str) -> None:
    assert len(users_of(results=results)) == 1


def test_filter_by_nationality() -> None:
    assert {user["nat"] for user in users_of(results=200, nat="gb,us")} == {"GB", "US"}


def test_filter_by_gender() -> None:
    assert {user["gender"] for user in users_of(results=50, gender="female")} == {"female"}


def test_include_fields() -> None:
    (user,) = users_of(inc="nat,name,unknown")
    assert tuple(user) == ("name", "nat")


def test_exclude_fields() -> None:
    (user,) = users_of(exc="login,picture,unknown")
    assert tuple(user) == tuple(field for field in FIELDS if field not in ("login", "picture"))


def test_exclusion_wins_over_inclusion() -> None:
    (user,) = users_of(inc="name,email", exc="email")
    assert tuple(user) == ("name",)


def test_the_selected_fields_do_not_affect_the_users() -> None:
    assert users_of(seed="s", inc="email") == [{"email": user["email"]} for user in users_of(seed="s")]


def test_without_info(server: str) -> None:
    assert set(ask(server, noinfo="")) == {"results"}


def test_pretty_printed_response(server: str) -> None:
    pretty = requests.get(server + "/api/?seed=s&format=pretty", timeout=DEADLINE)
    assert "\n  " in pretty.text
    assert pretty.json() == ask(server, seed="s")


# --- Errors


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"nat": "xx"}, "nat"),
        ({"nat": "gb,xx"}, "XX"),
        ({"gender": "other"}, "gender"),
        ({"page": "0"}, "page"),
        ({"page": "two"}, "page"),
        ({"page": "9" * 5000}, "page"),
        ({"format": "xml"}, "format"),
    ],
)
def test_an_invalid_parameter_is_an_error(server: str, parameters: dict[str, str], word: str) -> None:
    response = requests.get(server + "/api/", params=parameters, timeout=DEADLINE)
    assert response.status_code == 400
    assert set(response.json()) == {"error"}
    assert word in response.json()["error"]
    with pytest.raises(InvalidQueryError):
        parse_query(parameters)


def test_an_unknown_path_is_an_error(server: str) -> None:
    response = requests.get(server + "/api/0.9/", timeout=DEADLINE)
    assert (response.status_code, response.json()) == (404, {"error": "Not Found"})


def test_a_method_other_than_get_is_an_error(server: str) -> None:
    response = requests.post(server + "/api/", timeout=DEADLINE)
    assert (response.status_code, response.json()) == (405, {"error": "Method Not Allowed"})


# --- Data


@pytest.mark.parametrize("code", CODES)
def test_every_nationality_has_enough_names_and_places(code: str) -> None:
    nationality = load_nationality(code)
    assert min(map(len, nationality.first_names.values())) >= 20
    assert len(nationality.last_names) >= 25
    assert len(nationality.streets) >= 20
    assert len(set(nationality.cities)) == len(nationality.cities) >= 30


def test_some_cities_in_different_countries_and_states_share_a_name() -> None:
    users = users_of(results=5000)
    countries = {user["nat"] for user in users if user["location"]["city"] == "Richmond"}
    states = {user["location"]["state"] for user in users if user["location"]["city"] == "Springfield"}
    assert len(countries) > 1
    assert len(states) > 1


def test_a_city_belongs_to_its_state() -> None:
    for user in users_of(results=500):
        location = user["location"]
        assert (location["city"], location["state"]) in load_nationality(user["nat"]).cities


@pytest.mark.parametrize(
    ("name", "ascii_"),
    [
        ("Živadinović", "zivadinovic"),
        ("Ђорђевић", "djordjevic"),
        ("Щербак", "scerbak"),
        ("van der Meer", "vandermeer"),
        ("O'Connor", "oconnor"),
        ("Voß", "voss"),
        ("Åse", "ase"),
        ("İpek Işıl", "ipekisil"),
        ("پارسا", "parsa"),
    ],
)
def test_transliteration(name: str, ascii_: str) -> None:
    assert transliterate(name) == ascii_


# --- Server


def test_health_check(server: str) -> None:
    assert ask(server, "/healthz") == {"status": "ok"}


def test_ages_are_as_of_today(server: str) -> None:
    before = datetime.now(UTC).date()
    users = ask(server, results=100, seed="today")["results"]
    after = datetime.now(UTC).date()
    query = Query("today", results=100)
    assert users in (list(make_users(query, before)), list(make_users(query, after)))


def test_sigterm_finishes_the_current_response() -> None:
    with running_server() as (process, url):
        with requests.get(url + "/api/?results=5000", stream=True, timeout=DEADLINE) as answer:
            process.send_signal(signal.SIGTERM)
            assert len(answer.json()["results"]) == 5000
        process.wait(timeout=DEADLINE)
