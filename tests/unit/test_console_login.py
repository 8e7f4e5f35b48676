"""Who gets into the console, and where to."""

import pytest

from member_analyzer.console.login import Door, own_address, signing_key
from member_analyzer.settings import ConsoleSettings

SETTINGS = {
    "CONSOLE_VIEWER_PASSWORD": "may look",
    "CONSOLE_OPERATOR_PASSWORD": "may do",
    "CONSOLE_SESSION_SECRET": "secret",
}


def settings(**changed: str) -> ConsoleSettings:
    return ConsoleSettings.of(SETTINGS | changed)


@pytest.mark.parametrize("target", ["/", "/?table=city", "/graphs/2026-11-21/age_distribution.png"])
def test_a_login_leads_back_to_a_page_of_the_console(target: str) -> None:
    assert own_address(target) == target


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "evil", "", "/a\nb", "http:/x", "/\t/evil", "//[x"],
)
def test_a_login_leads_to_no_other_site(target: str) -> None:
    assert own_address(target) == "/"


def test_each_login_has_its_own_password() -> None:
    door = Door(settings())
    assert (door.open("viewer", "may look", "::1") or {})["login"] == "viewer"
    assert (door.open("operator", "may do", "::1") or {})["login"] == "operator"
    for login, password in (
        ("viewer", "may do"),
        ("operator", ""),
        ("admin", "may do"),
        ("", ""),
        ("viewer", "\udce9"),
    ):
        assert door.open(login, password, "::1") is None


def test_who_fails_five_times_has_to_wait_and_nobody_else_has() -> None:
    door = Door(settings())
    for _ in range(5):
        assert door.seconds_to_wait("10.0.0.1") == 0
        door.open("viewer", "guess", "10.0.0.1")
    assert 50 < door.seconds_to_wait("10.0.0.1") <= 61
    assert door.seconds_to_wait("10.0.0.2") == 0


def test_a_changed_password_ends_the_sessions_of_the_old_one() -> None:
    assert signing_key(settings()) == signing_key(settings())
    assert signing_key(settings()) != signing_key(settings(CONSOLE_VIEWER_PASSWORD="another"))
