import pytest

from member_analyzer.landing.intake import describe_rejected_page
from member_analyzer.settings import UserApiSettings
from member_analyzer.sources.user_api import Page


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("", ""),
        ("?nat=no", ""),
        ("?inc=gender,name", " (the parameter inc of USER_API_URL omits fields: remove it)"),
        ("?nat=no&exc=login", " (the parameter exc of USER_API_URL omits fields: remove it)"),
    ],
)
def test_a_rejected_page_is_reported_with_the_first_reason_and_its_cause(query: str, hint: str) -> None:
    api = UserApiSettings(url=f"https://api.example/{query}")
    message = describe_rejected_page(api, Page(2, "s", [{}, {}]), "The field id is missing or empty.")
    assert message == (
        f"returned no valid user on page 2: the first of 2 is rejected because: The field id is missing or empty{hint}"
    )
