"""Which names of fields say that their value is a secret."""

import pytest

from member_analyzer.landing.acceptance import reject
from member_analyzer.records.rejection import Reason, Rejection
from member_analyzer.records.secret_names import is_secret
from member_analyzer.streams.members.definition import MEMBERS
from member_analyzer.streams.members.record import MEMBER

SECRET = (
    *("password", "Password", "PASSWORD", "password2", "pass_word", "user.password", "userPassword", "passwordHash"),
    *("Ｐassword", "passwd", "Passwd", "pwd", "PWD", "passphrase", "pin", "PIN", "pin_code", "pinCode", "otp"),
    *("api_key", "apiKey", "API-KEY", "APIKey", "apikey", "X-Api-Key", "secret", "secret_key", "clientSecret"),
    *("client_secret", "token", "authToken", "auth_token", "authtoken", "access_token", "accessToken", "refresh-token"),
    *("idToken", "jwt", "Authorization", "credit_card", "creditCard", "card_number", "cardNumber", "cvv", "CVV2"),
    *("ssn", "SSN", "salt", "md5", "sha1", "sha256", "SHA256", "privateKey", "session_id"),
)
HARMLESS = (
    *("pinterest", "passport", "compass", "spinning", "pancake", "company", "instance", "shape", "keyword", "key"),
    *("timezone", "secretary", "tokenized", "cardinal", "name", "first", "last", "street", "number", "location"),
    *("state", "login", "uuid", "dob", "date", "large", "nat", "registered"),
)


@pytest.mark.parametrize("name", SECRET)
def test_a_secret_is_known_by_its_name_in_any_case_and_with_any_separators(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", [*HARMLESS, *MEMBER.names])
def test_a_name_that_only_looks_alike_is_no_secret(name: str) -> None:
    assert not is_secret(name)


@pytest.mark.parametrize("name", ["Password", "apiKey", "pwd"])
def test_a_rejected_user_is_kept_without_secrets_at_any_depth(name: str) -> None:
    user = {name: "s3cret", "kept": [[{"a": {"b": [{name: {"deep": "s3cret"}, "city": "Oslo"}]}}]]}
    rejected = reject(MEMBERS, user, Rejection(Reason.MISSING_FIELD, ""))
    assert b"s3cret" not in rejected.original
    assert b"Oslo" in rejected.original
