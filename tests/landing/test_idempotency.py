"""Which records without an id are the same member, on a real PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import psycopg
import pytest

from member_analyzer.collector.batch import land, reuse_ids, validate
from member_analyzer.collector.idempotency import delete_expired
from member_analyzer.landing.connection import Connection, connect_landing
from member_analyzer.landing.counters import recount_landed
from member_analyzer.landing.erasure import erase_records
from member_analyzer.settings import LandingSettings
from member_analyzer.streams.members.definition import MEMBERS
from member_samples import make_user

DAY = timedelta(days=1)
ANNA: dict[str, Any] = {"gender": "female", "date_of_birth": "1990-05-17", "country": "Norway", "city": "Oslo"}
BERT = ANNA | {"gender": "male"}
NESTED = make_user(login={"username": "without-id"})
INVALID = ANNA | {"gender": "?"}


def post(connection: Connection, *records: object, api_key: str = "shop") -> dict[str, Any]:
    now = datetime.now(UTC)
    batch = [validate(MEMBERS, record, now) for record in records]
    with connection.transaction():
        identified = reuse_ids(connection, MEMBERS, list(records), batch, api_key=api_key, now=now, retention=DAY)
        return land(connection, MEMBERS, identified, f"collector key={api_key}")


def ids(response: dict[str, Any]) -> list[str]:
    return [one["id"] for one in response["records"]]


@pytest.mark.parametrize(
    ("first", "second", "members"),
    [
        pytest.param([ANNA], [ANNA], 1, id="the same record"),
        pytest.param([ANNA], [dict(reversed(ANNA.items()))], 1, id="the same record with its fields in another order"),
        pytest.param([NESTED], [NESTED], 1, id="the same record in randomuser.me's format"),
        pytest.param([ANNA], [ANNA | {"id": ""}], 2, id="the same record with an empty id"),
        pytest.param([ANNA], [BERT], 2, id="a different record"),
        pytest.param([ANNA, ANNA], [ANNA, ANNA], 2, id="a batch with equal records"),
        pytest.param([ANNA, BERT, ANNA], [ANNA], 3, id="a batch, then a part of it"),
        pytest.param([ANNA, BERT, ANNA], [BERT, ANNA, ANNA], 3, id="a batch, then the same batch in another order"),
        pytest.param([ANNA], [ANNA, BERT, ANNA], 3, id="a part of a batch, then all of it"),
        pytest.param([INVALID], [INVALID], 0, id="an invalid record"),
        pytest.param([7, None], [7, None], 0, id="values that are not objects"),
    ],
)
def test_a_record_without_an_id_that_is_sent_again_is_the_same_member(
    landing: Connection, first: list[object], second: list[object], members: int
) -> None:
    post(landing, *first)
    rejected = recount_landed(landing, MEMBERS).rejected
    post(landing, *second)
    assert recount_landed(landing, MEMBERS).accepted == members
    assert recount_landed(landing, MEMBERS).rejected == rejected


def test_a_retry_returns_the_ids_of_the_first_attempt(landing: Connection) -> None:
    first, second = (post(landing, ANNA, {"id": "own", **BERT}, ANNA, INVALID) for _ in range(2))
    assert ids(first) == ids(second)
    assert len(set(ids(first))) == 4
    assert (first["accepted"], second["accepted"], second["duplicate"]) == (3, 0, 3)


def test_a_record_that_was_rolled_back_is_accepted_once_by_the_retry(landing: Connection) -> None:
    with landing.transaction(force_rollback=True):
        lost = post(landing, ANNA)
    retried = post(landing, ANNA)
    assert retried["accepted"] == 1
    assert ids(retried) != ids(lost)
    assert recount_landed(landing, MEMBERS).accepted == 1


def test_equal_records_from_two_api_keys_are_two_members(landing: Connection) -> None:
    assert ids(post(landing, ANNA, api_key="shop")) != ids(post(landing, ANNA, api_key="app"))
    assert recount_landed(landing, MEMBERS).accepted == 2


def test_an_equal_record_after_the_retention_is_a_new_member(landing: Connection) -> None:
    post(landing, ANNA)
    landing.execute("UPDATE landing.given_ids SET given_at = given_at - interval '25 hours'")
    assert post(landing, ANNA)["accepted"] == 1
    assert post(landing, ANNA)["duplicate"] == 1


def test_a_retry_does_not_bring_an_erased_member_back(landing: Connection) -> None:
    [key] = ids(post(landing, ANNA))
    erase_records(landing, MEMBERS, [key])
    response = post(landing, ANNA)
    assert (ids(response), response["erased"]) == ([key], 1)


def test_assigned_ids_are_deleted_after_the_retention(landing: Connection) -> None:
    post(landing, ANNA, BERT)
    oldest = "id IN (SELECT min(id) FROM landing.given_ids)"
    landing.execute(f"UPDATE landing.given_ids SET given_at = given_at - interval '25 hours' WHERE {oldest}")
    delete_expired(landing, DAY)
    assert landing.execute("SELECT count(*) FROM landing.given_ids").fetchone() == (1,)


def test_concurrent_retries_at_several_collectors_are_one_member(settings: LandingSettings) -> None:
    together = Barrier(6)
    batches = [[ANNA, BERT, ANNA], [ANNA, ANNA, BERT]]

    def retry(number: int) -> dict[str, Any]:
        with connect_landing(settings) as connection:
            together.wait(30)
            return post(connection, *batches[number % 2])

    with ThreadPoolExecutor(6) as pool:
        responses = list(pool.map(retry, range(6)))
    assert sum(one["accepted"] for one in responses) == 3
    assert len({key for one in responses for key in ids(one)}) == 3


def test_a_retry_waits_for_an_uncommitted_attempt(settings: LandingSettings) -> None:
    with connect_landing(settings) as first, connect_landing(settings) as second, first.transaction():
        post(first, ANNA)
        second.execute("SET lock_timeout = '300ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            post(second, ANNA)
