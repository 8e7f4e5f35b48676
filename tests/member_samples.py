"""Handwritten valid records for the tests."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

RECORDED_RESPONSE = Path(__file__).parents[1].parent / "shared" / "data" / "randomuser-recorded.json"
MOMENT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def make_member(**changes: Any) -> dict[str, Any]:
    member = {
        "id": "7f26ab6a-fab7-4986-acb1-ecec12fa8471",
        "kind": "created",
        "occurred_at": MOMENT,
        "gender": "female",
        "date_of_birth": date(1976, 3, 2),
        "country": "Norway",
        "city": "Skre",
        "first_name": "Siren",
    }
    return member | changes


def make_user(**changes: Any) -> dict[str, Any]:
    """A user in randomuser.me's format."""
    user = {
        "gender": "female",
        "name": {"title": "Ms", "first": "Siren", "last": "Vestvik"},
        "location": {
            "street": {"number": 6036, "name": "Nybyggerveien"},
            "city": "Skre",
            "state": "Trøndelag",
            "country": "Norway",
            "postcode": "3181",
        },
        "email": "siren.vestvik@example.com",
        "login": {"uuid": "def099bd-9448-4f77-9e97-db88fdf7e9d3", "username": "lazysnake750", "password": "mpegs"},
        "dob": {"date": "1976-03-02T02:20:42.654Z", "age": 48},
        "registered": {"date": "2012-09-10T22:42:18.625Z", "age": 11},
        "phone": "89485828",
        "picture": {"large": "https://example.com/93.jpg"},
        "nat": "NO",
    }
    return user | changes


def recorded_users() -> list[dict[str, Any]]:
    """The users in a recorded response of the real user API; skips the test if there is none."""
    if not RECORDED_RESPONSE.is_file():
        pytest.skip("there is no recorded response of the real user API")
    users: list[dict[str, Any]] = json.loads(RECORDED_RESPONSE.read_text(encoding="utf-8"))["results"]
    return users
