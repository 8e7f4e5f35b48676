"""Unit tests of the collector."""

import gzip
import json
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers

from member_analyzer.analysis.counts import Distribution
from member_analyzer.collector.access_log import choose_request_id
from member_analyzer.collector.analysis import Table, build_analysis, parse_day
from member_analyzer.collector.batch import Outcome, build_response, validate, with_id
from member_analyzer.collector.body import MAX_BODY_BYTES, MAX_RECORDS, decompress, parse_records
from member_analyzer.collector.openapi import FLAT_SCHEMA
from member_analyzer.http.problem import ProblemError
from member_analyzer.landing.api_keys import ApiKey, Right, is_secret_of, split_key
from member_analyzer.records.codec import to_json
from member_analyzer.streams.members.definition import MEMBERS
from member_analyzer.streams.members.record import MEMBER
from member_samples import MOMENT, make_member, make_user

FLAT = to_json(MEMBER, make_member())


def status_of(error: pytest.ExceptionInfo[ProblemError]) -> int:
    return error.value.status.value


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 300))
def test_concatenated_gzip_members_are_decompressed(content: bytes, cut: int) -> None:
    assert decompress(gzip.compress(content[:cut]) + gzip.compress(content[cut:])) == content


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_decompressed_or_rejected(content: bytes) -> None:
    for body in (content, gzip.compress(b"content") + content):
        try:
            decompress(body)
        except ProblemError as problem:
            assert problem.status.value in (400, 413)  # noqa: PT017


@pytest.mark.parametrize("too_large", [bytes(MAX_BODY_BYTES + 1), bytes(100 * MAX_BODY_BYTES)])
def test_a_body_that_decompresses_to_too_many_bytes_is_rejected(too_large: bytes) -> None:
    with pytest.raises(ProblemError) as raised:
        decompress(gzip.compress(too_large))
    assert status_of(raised) == 413
    assert len(decompress(gzip.compress(too_large[:MAX_BODY_BYTES]))) == MAX_BODY_BYTES


@settings(deadline=None)
@given(st.binary(max_size=100) | st.text(max_size=50).map(str.encode))
def test_arbitrary_bytes_are_parsed_or_rejected(content: bytes) -> None:
    try:
        records = parse_records(content)
    except ProblemError as problem:
        assert problem.status.value in (400, 422)  # noqa: PT017
    else:
        assert 1 <= len(records) <= MAX_RECORDS


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


nearly_members = st.dictionaries(st.sampled_from(MEMBER.names), json_values, max_size=2).map(lambda some: FLAT | some)


@settings(deadline=None)
@given(st.lists(json_values | nearly_members, min_size=1, max_size=5))
def test_arbitrary_records_are_validated_stored_and_answered(records: list[Any]) -> None:
    batch = [validate(MEMBERS, record, MOMENT) for record in records]
    for one in batch:
        assert (one.record is None) != (one.rejected is None)
        if one.rejected is not None:
            json.loads(one.rejected.original)
    response = build_response(batch, {one.id for one in batch if one.id}, set())
    json.dumps(response, ensure_ascii=False).encode()
    assert [record["index"] for record in response["records"]] == list(range(len(records)))
    assert sum(count for name, count in response.items() if name != "records") == len(records)


def test_passwords_are_removed_from_rejected_records_at_any_depth() -> None:
    rejected = validate(MEMBERS, make_user(gender="?", more=[{"password": "hunter2"}]), MOMENT).rejected
    assert rejected is not None
    assert b"hunter2" not in rejected.original
    assert b"mpegs" not in rejected.original


def test_a_rejected_record_that_is_nested_too_deeply_is_truncated() -> None:
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    rejected = validate(MEMBERS, FLAT | {"city": deep}, MOMENT).rejected
    assert rejected is not None
    assert json.loads(rejected.original)["city"]


def test_of_records_with_the_same_id_the_first_is_accepted() -> None:
    batch = [
        validate(MEMBERS, record, MOMENT) for record in (FLAT, FLAT, FLAT | {"id": "erased"}, FLAT | {"gender": "?"})
    ]
    response = build_response(batch, {FLAT["id"]}, {"erased"})
    assert [record["status"] for record in response["records"]] == [
        Outcome.ACCEPTED,
        Outcome.DUPLICATE,
        Outcome.ERASED,
        Outcome.REJECTED,
    ]
    assert (response["accepted"], response["duplicate"], response["erased"], response["rejected"]) == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("body", "records"),
    [
        ({"results": [make_user(), {}], "info": {"page": 1}}, [make_user(), {}]),
        ({"results": [3]}, [3]),
        ({"id": "a", "results": [1, 2]}, [{"id": "a", "results": [1, 2]}]),
        (make_user(results=[1]), [make_user(results=[1])]),
        ({"results": "none"}, [{"results": "none"}]),
        ([{"results": []}], [{"results": []}]),
    ],
)
def test_a_user_api_response_is_a_batch_and_a_byte_order_mark_is_skipped(body: Any, records: Any) -> None:
    content = json.dumps(body).encode()
    assert parse_records(content) == parse_records(b"\xef\xbb\xbf" + content) == records


def test_a_user_api_response_without_users_is_rejected() -> None:
    with pytest.raises(ProblemError, match="0 records"):
        parse_records(b'{"results": [], "info": {}}')


@pytest.mark.parametrize("record", [{}, {"id": None}, {"id": ""}])
def test_a_flat_record_without_an_id_gets_one(record: dict[str, Any]) -> None:
    given_id = with_id(record)
    assert isinstance(given_id, dict)
    assert UUID(given_id["id"]).version == 4


@pytest.mark.parametrize("login", [None, {}, {"uuid": None}, {"uuid": ""}])
def test_a_user_without_an_id_gets_one(login: object) -> None:
    given_id = with_id(make_user(login=login))
    assert isinstance(given_id, dict)
    assert UUID(given_id["login"]["uuid"]).version == 4


@pytest.mark.parametrize("record", [17, None, [], {"id": "a"}, {"id": 0}, make_user(), make_user(login=3)])
def test_a_record_with_an_id_or_that_is_not_an_object_is_unchanged(record: object) -> None:
    assert with_id(record) == record


def test_the_largest_buckets_come_first_with_their_percentages() -> None:
    buckets = {("Norway", "Skre"): 1, ("Spain", "Ronda"): 2, ("Chile", "Talca"): 1}
    response = build_analysis(MEMBERS.dimension_of("city"), date(2026, 11, 21), Distribution(buckets, 3), limit=2)
    assert response == {
        "date": "2026-11-21",
        "table": "city",
        "total": 3,
        "buckets": [
            {"country": "Spain", "city": "Ronda", "members": 2, "percent": 66.6667},
            {"country": "Chile", "city": "Talca", "members": 1, "percent": 33.3333},
        ],
    }


def test_percentages_of_an_empty_day_are_zero() -> None:
    response = build_analysis(
        MEMBERS.dimension_of("age"), date(2026, 11, 21), Distribution({("0-15",): 0}, 0), limit=10
    )
    assert response["buckets"] == [{"age_group": "0-15", "members": 0, "percent": 0.0}]


@pytest.mark.parametrize("text", ["", "1", "20261121", "2026-02-30", "0504-01-25", "2026-11-21\n", "2026-11-21T00:00"])
def test_an_invalid_day_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"format|day|range"):
        parse_day(text)


def test_every_analysis_table_can_be_read() -> None:
    assert tuple(Table) == tuple(MEMBERS.tables)


def test_the_openapi_schema_has_every_field_of_a_member() -> None:
    assert set(FLAT_SCHEMA["properties"]) == set(MEMBER.names)


@pytest.mark.parametrize(
    "text", ["", "ma_", "ma_a_b", "ma_A_" + "x" * 43, "ma_a_" + "x" * 42, "ma_a_" + "x" * 43 + "\n"]
)
def test_a_malformed_api_key_is_not_split(text: str) -> None:
    assert split_key(text) is None


def test_a_secret_matches_neither_a_missing_nor_a_revoked_key() -> None:
    secret = "x" * 43
    assert split_key(f"ma_a-shop-1_{secret}") == ("a-shop-1", secret)
    assert not is_secret_of(None, secret)
    revoked = ApiKey("a", bytes(32), frozenset(Right), MOMENT, MOMENT)
    assert not is_secret_of(revoked, secret)


@pytest.mark.parametrize("given_id", ["", "a b", "x" * 65, "<script>", "a\n"])
def test_an_invalid_request_id_is_replaced(given_id: str) -> None:
    assert choose_request_id(Headers({"X-Request-ID": given_id})) != given_id
    assert choose_request_id(Headers({"X-Request-ID": "a-1._B"})) == "a-1._B"
