"""Passwords, rate limits and redirects of the console's login."""

import pytest

from member_analyzer.console.login import Authenticator, safe_redirect_target, signing_key
from member_analyzer.settings import ConsoleSettings

SETTINGS = {
    "CONSOLE_VIEWER_PASSWORD": "read",
    "CONSOLE_OPERATOR_PASSWORD": "write",
    "CONSOLE_SESSION_SECRET": "secret",
}


def settings(**changed: str) -> ConsoleSettings:
    return ConsoleSettings.of(SETTINGS | changed)


@pytest.mark.parametrize("target", ["/", "/?table=city", "/graphs/2026-11-21/age_distribution.png"])
def test_a_login_redirects_to_a_path_of_the_console(target: str) -> None:
    assert safe_redirect_target(target) == target


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "evil", "", "/a\nb", "http:/x", "/\t/evil", "//[x"],
)
def test_a_login_does_not_redirect_to_another_site(target: str) -> None:
    assert safe_redirect_target(target) == "/"


def test_each_login_has_its_own_password() -> None:
    authenticator = Authenticator(settings())
    assert (authenticator.authenticate("viewer", "read", "::1") or {})["login"] == "viewer"
    assert (authenticator.authenticate("operator", "write", "::1") or {})["login"] == "operator"
    for login, password in (
        ("viewer", "write"),
        ("operator", ""),
        ("admin", "write"),
        ("", ""),
        ("viewer", "\udce9"),
    ):
        assert authenticator.authenticate(login, password, "::1") is None


def test_failed_logins_are_limited_per_address() -> None:
    authenticator = Authenticator(settings())
    for _ in range(5):
        assert authenticator.retry_after("10.0.0.1") == 0
        authenticator.authenticate("viewer", "guess", "10.0.0.1")
    assert 50 < authenticator.retry_after("10.0.0.1") <= 61
    assert authenticator.retry_after("10.0.0.2") == 0


def test_a_changed_password_invalidates_all_sessions() -> None:
    assert signing_key(settings()) == signing_key(settings())
    assert signing_key(settings()) != signing_key(settings(CONSOLE_VIEWER_PASSWORD="another"))
