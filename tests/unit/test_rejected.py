"""What is made of the records of `users_rejected`, whoever wrote them and whatever producers sent."""

from typing import Any, cast

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_NOT_AVAILABLE, Message

from member_analyzer.cli.rejected import describe_rejected
from member_analyzer.console.decoding import MAX_ELEMENTS, format_headers
from member_analyzer.console.rejected_index import RejectedIndex
from member_analyzer.deadletters.rejected import FOREIGN, REPLAYED_FROM, RejectedRecord, mark_duplicates, read_message
from member_analyzer.records.rejection import REJECTION_HEADERS, rejection_header
from member_analyzer.records.wire import ValueReader
from member_analyzer.streams.members.definition import MEMBERS
from member_analyzer.streams.members.record import avro_schema

Headers = list[tuple[str, bytes | None]]

OURS: dict[str, bytes | None] = {
    "reason": b"bad_date",
    "message": b"It is no day.",
    "topic": b"users",
    "partition": b"3",
    "offset": b"1042",
    "at": b"2026-11-21T12:00:00.000Z",
}
VALUES = ValueReader({7: avro_schema()}, avro_schema())


class KafkaMessage:
    """A message as Kafka's client gives it; `headers` may be what that raises."""

    def __init__(
        self, headers: Headers | Exception | None, key: bytes | None = b"k", value: bytes | None = b"v"
    ) -> None:
        self._headers, self._key, self._value = headers, key, value
        self._times_asked = 0

    def headers(self) -> Headers | None:
        self._times_asked += 1
        # The second answer of the real client holds null pointers.
        assert self._times_asked == 1, "headers are asked for twice"
        if isinstance(self._headers, Exception):
            raise self._headers
        return self._headers

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def partition(self) -> int:
        return 1

    def offset(self) -> int:
        return 17

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_CREATE_TIME, 1_795_000_000_000


def added(**changes: bytes | None) -> Headers:
    """The headers that the stream appends, with some changed."""
    values = OURS | changes
    return [(rejection_header(name), values[name]) for name in REJECTION_HEADERS]


def read(headers: Headers | Exception | None, **more: Any) -> RejectedRecord:
    return read_message(cast(Message, KafkaMessage(headers, **more)), MEMBERS)


ANY_HEADERS: dict[str, Headers] = {
    "none": [],
    "not UTF-8": [(REPLAYED_FROM, b"\xff")],
    "a null": [(REPLAYED_FROM, None), ("", None)],
    "an empty one": [(REPLAYED_FROM, b"")],
    "an origin that is none": [(REPLAYED_FROM, "users:٣:١".encode())],
    "an origin that is none of the topic": [(REPLAYED_FROM, b"users:0:1\0")],
    "duplicates": [("a", b"1"), ("a", b"2"), ("a", None)],
    "a thousand": [(f"h{number}", b"x") for number in range(1000)],
    "a large one": [("large", b"\xfe" * 2**20)],
    "a large name": [("n" * 2**16, b"1")],
    "ours, set by a producer": added(reason=b"\xff", offset=b"no"),
    "one of ours, set by a producer": [("rejected.reason", b"forged"), ("rejected.offset", b"-1")],
    "control characters": [("\x1b[2J\u202e", b"\x1b]0;title\x07")],
}


class TestRecordsOfTheStream:
    @pytest.mark.parametrize("headers", ANY_HEADERS.values(), ids=ANY_HEADERS)
    @pytest.mark.parametrize("content", [None, b"", b"\xff\x00", b"\0\0\0\0\7\x80\xd0\xac\xf3\x0ex"])
    def test_whatever_a_producer_sent_it_is_read_listed_and_described(
        self, headers: Headers, content: bytes | None
    ) -> None:
        record = read([*headers, *added()], key=content, value=content)
        assert (record.origin, record.reason, record.headers) == ("users:3:1042", "bad_date", headers)
        assert not record.is_foreign
        assert record.replayed_from is None
        index = RejectedIndex()
        index.add([(record, 0, 0)])
        assert index.count() == {"bad_date": (1, 0)}
        assert dict(describe_rejected(record, VALUES))["record"] == "users:3:1042"
        assert len(format_headers(record.headers, masked=False)) == min(len(headers), MAX_ELEMENTS + 1)

    def test_a_reason_that_is_not_known_yet_is_a_reason(self) -> None:
        assert read(added(reason=b"unprocessable")).reason == "unprocessable"

    def test_a_record_that_an_earlier_version_wrote_is_read_as_well(self) -> None:
        names = {"rejected.message": "rejected.sentence"}
        record = read([(names.get(name, name), value) for name, value in added()])
        assert (record.reason, record.message, record.is_foreign) == ("bad_date", "It is no day.", False)


FOREIGN_HEADERS: dict[str, Headers | Exception | None] = {
    "none": None,
    "empty": [],
    "some": [("trace", b"1")],
    "a name that is not UTF-8": UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    "a name that is not UTF-8, by another way of calling": SystemError("returned a result with an exception set"),
    "one less": added()[:-1],
    "another order": added()[::-1],
    "something after ours": [*added(), ("trace", b"1")],
    "another name": [*added()[:-1], ("rejected.When", b"2026-11-21T12:00:00Z")],
    **{
        f"{name} {value!r:.30}": added(**{name: value})
        for name, value in [
            ("reason", b"\xff"),
            ("reason", b"r" * 101),
            ("message", b"\xc3\x28"),
            ("message", b"s" * 2001),
            ("topic", b"elsewhere"),
            ("topic", None),
            ("partition", b"-1"),
            ("partition", b"2147483648"),
            ("partition", "٣".encode()),
            ("offset", b"9223372036854775808"),
            ("offset", b"9" * 10_000),
            ("offset", b"1.5"),
            ("offset", None),
            ("at", b"yesterday"),
            ("at", b"2026-13-45T99:99:99Z"),
            ("at", None),
        ]
    },
}


class TestRecordsThatTheStreamDidNotWrite:
    @pytest.mark.parametrize("headers", FOREIGN_HEADERS.values(), ids=FOREIGN_HEADERS)
    def test_it_is_foreign_and_known_by_its_own_place(self, headers: Headers | Exception | None) -> None:
        record = read(headers)
        assert record.is_foreign
        assert (record.origin, record.reason) == ("users_rejected:1:17", FOREIGN)
        assert record.at == "2026-11-18T11:06:40.000Z"
        assert dict(describe_rejected(record, VALUES))["reason"] == FOREIGN

    def test_it_may_have_no_moment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(KafkaMessage, "timestamp", lambda _: (TIMESTAMP_NOT_AVAILABLE, 0))
        assert read([]).at == ""


def make_record(offset: int, *, value: bytes = b"v", source: bytes | None = b"users:0:1") -> RejectedRecord:
    headers: Headers = [("trace", b"1"), *([(REPLAYED_FROM, source)] if source else [])]
    return read([*headers, *added(partition=b"0", offset=b"%d" % offset)], value=value)


REPLAYS = {
    "two attempts at one replay": ([make_record(5), make_record(6)], {"users:0:1"}, {6}),
    "one of a record that nobody sent again": ([make_record(5), make_record(6)], set[str](), set[int]()),
    "one that holds something else": ([make_record(5), make_record(6, value=b"other")], {"users:0:1"}, set[int]()),
    "one that names another record": (
        [make_record(5), make_record(6, source=b"users:0:2")],
        {"users:0:1", "users:0:2"},
        set[int](),
    ),
    "one that names itself": ([make_record(5, source=b"users:0:5")], {"users:0:5"}, set[int]()),
    "records that are no replay": (
        [make_record(5, source=None), make_record(6, source=None)],
        {"users:0:1"},
        set[int](),
    ),
}


@pytest.mark.parametrize(("records", "replayed", "hidden"), REPLAYS.values(), ids=REPLAYS)
def test_only_a_repeated_attempt_at_a_real_replay_is_hidden(
    records: list[RejectedRecord], replayed: set[str], hidden: set[int]
) -> None:
    assert {one.offset for one in mark_duplicates(records, replayed) if one.is_duplicate} == hidden
    index = RejectedIndex()
    index.add((record, 0, record.offset) for record in records)
    index.mark_replayed(replayed)
    shown = {one.stored_offset for one in index.list("all", None, 10)[1]}
    assert shown == {one.offset for one in records} - hidden


def test_where_a_record_is_replayed_from_is_only_said_by_its_last_header() -> None:
    headers: Headers = [(REPLAYED_FROM, b"users:0:7"), ("trace", b"1"), *added()]
    assert read(headers).replayed_from is None
