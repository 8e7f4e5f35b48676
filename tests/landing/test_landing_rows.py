"""The retention of rows in the landing tables, and rows that cannot be read."""

from datetime import timedelta

import pytest

from landed_members import land_users
from member_analyzer.landing.connection import Connection
from member_analyzer.landing.counters import recount_landed
from member_analyzer.landing.dead_letters import ROWS_FORGOTTEN_AT_ONCE, forget_rejected, mark_replayed
from member_analyzer.landing.erasure import erase_records
from member_analyzer.landing.outbox import claim_unpublished, requeue_unpublishable, set_aside
from member_analyzer.publishing.publisher import explain_unencodable
from member_analyzer.records.rejection import Reason, Rejection
from member_analyzer.streams.members.definition import MEMBERS
from member_samples import make_user

MONTH = timedelta(days=30)
BROKEN = Rejection(Reason.UNPROCESSABLE, "It cannot be encoded.")


def test_rejected_users_are_deleted_after_their_retention_and_not_before(landing: Connection) -> None:
    land_users(landing, [make_user(gender="?"), make_user(gender="!")], source="test")
    oldest = "fingerprint = (SELECT min(fingerprint) FROM landing.rejected)"
    landing.execute(f"UPDATE landing.rejected SET rejected_at = rejected_at - interval '31 days' WHERE {oldest}")
    assert forget_rejected(landing, [MEMBERS], MONTH) == 1
    assert recount_landed(landing, MEMBERS).rejected == 1


def test_rejected_users_are_deleted_in_several_batches(landing: Connection) -> None:
    landing.execute(
        "INSERT INTO landing.rejected (fingerprint, original, reason, message, source, rejected_at) "
        "SELECT n::text, '{}', 'bad_date', '', 'test', now() - interval '31 days' FROM generate_series(1, %s) AS n",
        (2 * ROWS_FORGOTTEN_AT_ONCE + 5,),
    )
    assert forget_rejected(landing, [MEMBERS], MONTH) == 2 * ROWS_FORGOTTEN_AT_ONCE + 5
    assert recount_landed(landing, MEMBERS).rejected == 0


def test_the_mark_of_a_replayed_record_outlives_the_record(landing: Connection) -> None:
    for days in (33, 40):
        mark_replayed(landing, [f"users:0:{days}"])
        landing.execute(
            "UPDATE landing.replayed SET replayed_at = replayed_at - make_interval(days => %s) WHERE origin = %s",
            (days, f"users:0:{days}"),
        )
    forget_rejected(landing, [MEMBERS], MONTH)
    assert mark_replayed(landing, ["users:0:33"]) == set()
    assert mark_replayed(landing, ["users:0:40"]) == {"users:0:40"}


def test_unpublishable_members_are_queued_again_by_reason(landing: Connection) -> None:
    land_users(landing, [make_user(login={"uuid": key}) for key in "ab"], source="test")
    with landing.transaction():
        claim_unpublished(landing, MEMBERS, 10)
        set_aside(landing, MEMBERS, {"a": BROKEN, "b": Rejection(Reason.BAD_DATE, "")})
    assert requeue_unpublishable(landing, MEMBERS, "unprocessable") == 1
    assert [one.key for one in claim_unpublished(landing, MEMBERS, 10)] == ["a"]
    assert recount_landed(landing, MEMBERS).unpublishable == 1


@pytest.mark.parametrize("row", ["[1]", "7", "null", "{}", '{"city": "\\ud800"}', '{"occurred_at": "never"}'])
def test_a_member_whose_row_cannot_be_read_can_be_erased(landing: Connection, row: str) -> None:
    landing.execute("INSERT INTO landing.users (id, record, source) VALUES ('broken', %s, 'test')", (row,))
    set_aside(landing, MEMBERS, {"broken": BROKEN})
    assert erase_records(landing, MEMBERS, ["broken"]).erased == ["broken"]
    assert landing.execute("SELECT record FROM landing.users").fetchone() == (None,)
    assert recount_landed(landing, MEMBERS).unpublishable == 0


@pytest.mark.parametrize(
    ("row", "cause"),
    [
        ('{"city": "Skre"}', "The field id is missing or empty"),
        ('{"date_of_birth": "17 May, Skre"}', "The field date_of_birth is not a date"),
        ("[1]", "it is not a record"),
        ('{"city": "Skre \\ud800"}', "it is not a record"),
    ],
)
def test_the_reason_why_a_row_cannot_be_encoded_does_not_contain_its_values(
    landing: Connection, row: str, cause: str
) -> None:
    landing.execute("INSERT INTO landing.users (id, record, source) VALUES ('broken', %s, 'test')", (row,))
    landing.execute("INSERT INTO landing.unpublished (id) VALUES ('broken')")
    [claimed] = claim_unpublished(landing, MEMBERS, 1)
    rejection = explain_unencodable(MEMBERS, claimed, ValueError(row))
    assert rejection.reason == Reason.UNPROCESSABLE
    assert cause in rejection.message
    assert "Skre" not in rejection.message
