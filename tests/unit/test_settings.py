import pytest
from pydantic import ValidationError

from member_analyzer.settings import CassandraSettings, UserApiSettings, explain_settings

GIVEN = {"CASSANDRA_USERNAME": "reader", "CASSANDRA_PASSWORD": "secret", "CASSANDRA_PORT": "7"}


def test_settings_of_a_mapping_ignore_the_environment_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASSANDRA_KEYSPACE", "foreign")
    monkeypatch.setenv("KEYSPACE", "foreign")
    settings = CassandraSettings.of(GIVEN)
    assert settings.keyspace == "spark_streams"
    assert (settings.username, settings.port) == ("reader", 7)


def test_settings_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)
    assert CassandraSettings().port == 7


def test_a_missing_password_is_an_error() -> None:
    with pytest.raises(ValidationError, match="password"):
        CassandraSettings.of({"CASSANDRA_USERNAME": "reader"})


def test_errors_name_the_variable_and_not_its_value() -> None:
    with pytest.raises(ValidationError) as raised:
        CassandraSettings.of({"CASSANDRA_USERNAME": "reader", "CASSANDRA_PORT": "hidden"})
    message = explain_settings(raised.value)
    assert "CASSANDRA_PASSWORD is not set" in message
    assert "CASSANDRA_PORT: " in message
    assert "hidden" not in message


def test_passwords_are_not_in_the_representation() -> None:
    assert "secret" not in repr(CassandraSettings.of(GIVEN))


@pytest.mark.parametrize("url", ["https://user:pw@api.example/api/?key=k", "https://api.example/api/"])
def test_the_address_of_the_user_api_contains_no_secrets(url: str) -> None:
    assert UserApiSettings(url=url).address == "https://api.example/api/"
