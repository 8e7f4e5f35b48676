"""The parts of the collector that need no server."""

import gzip
import json
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers

from member_analyzer.analysis.counts import TABLE_NAMES, Distribution
from member_analyzer.collector.analysis import Table, read_day, write_analysis
from member_analyzer.collector.batch import Outcome, answer, judge, with_id
from member_analyzer.collector.body import LARGEST_BYTES, MOST_RECORDS, decompress, parse_records
from member_analyzer.collector.document import FLAT_SCHEMA
from member_analyzer.collector.trace import request_id_of
from member_analyzer.http.problem import ProblemError
from member_analyzer.landing.api_keys import ApiKey, Right, is_secret_of, split_key
from member_analyzer.records.codec import to_json
from member_analyzer.streams.members.record import MEMBER
from member_samples import MOMENT, make_member, make_user

FLAT = to_json(MEMBER, make_member())


def status_of(error: pytest.ExceptionInfo[ProblemError]) -> int:
    return error.value.status.value


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 300))
def test_what_was_compressed_comes_back_in_parts_too(content: bytes, cut: int) -> None:
    assert decompress(gzip.compress(content[:cut]) + gzip.compress(content[cut:])) == content


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_any_bytes_are_decompressed_or_a_problem(content: bytes) -> None:
    for body in (content, gzip.compress(b"content") + content):
        try:
            decompress(body)
        except ProblemError as problem:
            assert problem.status.value in (400, 413)  # noqa: PT017


@pytest.mark.parametrize("too_large", [bytes(LARGEST_BYTES + 1), bytes(100 * LARGEST_BYTES)])
def test_what_is_too_large_when_it_is_decompressed_is_not_decompressed(too_large: bytes) -> None:
    with pytest.raises(ProblemError) as refused:
        decompress(gzip.compress(too_large))
    assert status_of(refused) == 413
    assert len(decompress(gzip.compress(too_large[:LARGEST_BYTES]))) == LARGEST_BYTES


@settings(deadline=None)
@given(st.binary(max_size=100) | st.text(max_size=50).map(str.encode))
def test_any_bytes_are_records_or_a_problem(content: bytes) -> None:
    try:
        records = parse_records(content)
    except ProblemError as problem:
        assert problem.status.value in (400, 422)  # noqa: PT017
    else:
        assert 1 <= len(records) <= MOST_RECORDS


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


nearly_members = st.dictionaries(st.sampled_from(MEMBER.names), json_values, max_size=2).map(lambda some: FLAT | some)


@settings(deadline=None)
@given(st.lists(json_values | nearly_members, min_size=1, max_size=5))
def test_any_record_is_judged_and_can_be_kept_and_told_of(records: list[Any]) -> None:
    batch = [judge(record, MOMENT) for record in records]
    for one in batch:
        assert (one.member is None) != (one.refused is None)
        if one.refused is not None:
            json.loads(one.refused.original)
    told = answer(batch, {one.id for one in batch if one.id}, set())
    json.dumps(told, ensure_ascii=False).encode()
    assert [record["index"] for record in told["records"]] == list(range(len(records)))
    assert sum(count for name, count in told.items() if name != "records") == len(records)


def test_passwords_are_not_kept_however_deep_they_are() -> None:
    (refused,) = [judge(make_user(gender="?", more=[{"password": "hunter2"}]), MOMENT).refused]
    assert refused is not None
    assert b"hunter2" not in refused.original
    assert b"mpegs" not in refused.original


def test_a_record_that_is_nested_deeper_than_can_be_written_is_kept_as_far_as_it_goes() -> None:
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    refused = judge(FLAT | {"city": deep}, MOMENT).refused
    assert refused is not None
    assert json.loads(refused.original)["city"]


def test_of_a_repeated_id_the_first_record_is_the_accepted_one() -> None:
    batch = [judge(record, MOMENT) for record in (FLAT, FLAT, FLAT | {"id": "erased"}, FLAT | {"gender": "?"})]
    told = answer(batch, {FLAT["id"]}, {"erased"})
    assert [record["status"] for record in told["records"]] == [
        Outcome.ACCEPTED,
        Outcome.DUPLICATE,
        Outcome.ERASED,
        Outcome.REJECTED,
    ]
    assert (told["accepted"], told["duplicate"], told["erased"], told["rejected"]) == (1, 1, 1, 1)


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
def test_the_whole_answer_of_a_user_api_is_a_batch_and_a_byte_order_mark_is_skipped(body: Any, records: Any) -> None:
    written = json.dumps(body).encode()
    assert parse_records(written) == parse_records(b"\xef\xbb\xbf" + written) == records


def test_an_answer_without_users_is_a_problem() -> None:
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
def test_whatever_else_it_is_stays_as_it_is(record: object) -> None:
    assert with_id(record) == record


def test_the_largest_buckets_come_first_with_their_percentages() -> None:
    buckets = {("Norway", "Skre"): 1, ("Spain", "Ronda"): 2, ("Chile", "Talca"): 1}
    told = write_analysis("city", date(2026, 11, 21), Distribution(buckets, 3), limit=2)
    assert told == {
        "date": "2026-11-21",
        "table": "city",
        "total": 3,
        "buckets": [
            {"country": "Spain", "city": "Ronda", "members": 2, "percent": 66.6667},
            {"country": "Chile", "city": "Talca", "members": 1, "percent": 33.3333},
        ],
    }


def test_a_day_with_nobody_has_no_percentages_to_divide() -> None:
    told = write_analysis("age", date(2026, 11, 21), Distribution({("0-15",): 0}, 0), limit=10)
    assert told["buckets"] == [{"age_group": "0-15", "members": 0, "percent": 0.0}]


@pytest.mark.parametrize("text", ["", "1", "20261121", "2026-02-30", "0504-01-25", "2026-11-21\n", "2026-11-21T00:00"])
def test_no_other_text_is_a_day(text: str) -> None:
    with pytest.raises(ValueError, match=r"form|day|range"):
        read_day(text)


def test_the_tables_that_can_be_read_are_those_that_there_are() -> None:
    assert tuple(Table) == TABLE_NAMES


def test_the_document_tells_of_every_field_of_the_record() -> None:
    assert set(FLAT_SCHEMA["properties"]) == set(MEMBER.names)


@pytest.mark.parametrize(
    "text", ["", "ma_", "ma_a_b", "ma_A_" + "x" * 43, "ma_a_" + "x" * 42, "ma_a_" + "x" * 43 + "\n"]
)
def test_what_has_not_the_form_of_a_key_is_none(text: str) -> None:
    assert split_key(text) is None


def test_nobody_gets_in_with_the_hash_of_nothing() -> None:
    secret = "x" * 43
    assert split_key(f"ma_a-shop-1_{secret}") == ("a-shop-1", secret)
    assert not is_secret_of(None, secret)
    revoked = ApiKey("a", bytes(32), frozenset(Right), MOMENT, MOMENT)
    assert not is_secret_of(revoked, secret)


@pytest.mark.parametrize("given_id", ["", "a b", "x" * 65, "<script>", "a\n"])
def test_a_request_id_that_is_none_is_replaced(given_id: str) -> None:
    assert request_id_of(Headers({"X-Request-ID": given_id})) != given_id
    assert request_id_of(Headers({"X-Request-ID": "a-1._B"})) == "a-1._B"
