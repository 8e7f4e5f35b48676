"""The audit over servers that are stood in for: what it calls a disagreement, and what not."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from member_analyzer.analysis.counts import Distribution
from member_analyzer.analysis.progress import Generation, Generations, Progress
from member_analyzer.deadletters.ledger import WINDOW, RejectedLedger
from member_analyzer.deadletters.rejected import REPLAYED_FROM, RejectedRecord
from member_analyzer.operations.audit import Examples, Report, Sources, take_audit
from member_analyzer.operations.id_spool import IdSpool, SpoolError
from member_analyzer.records.codec import to_avro, to_json
from member_analyzer.records.rejection import Reason
from member_analyzer.records.wire import ValueReader, ValueWriter
from member_analyzer.streams.definition import Topic
from member_analyzer.streams.members.definition import MEMBERS
from member_analyzer.streams.members.record import MEMBER, avro_schema
from member_samples import make_member

TODAY = date(2026, 3, 2)
WRITER = ValueWriter(1, avro_schema())


class Message:
    """A record of a topic."""

    def __init__(self, partition: int, offset: int, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        self._place, self._value, self._headers = (partition, offset), value, headers

    def partition(self) -> int:
        return self._place[0]

    def offset(self) -> int:
        return self._place[1]

    def key(self) -> bytes:
        return b""

    def timestamp(self) -> tuple[int, int]:
        return 1, 0

    def value(self) -> bytes:
        return self._value

    def headers(self) -> list[tuple[str, bytes]]:
        return self._headers


class Cursor:
    """What a query of the landing database gives."""

    itersize = 0

    def __init__(self, rows: dict[str, list[tuple[Any, ...]]]) -> None:
        self._rows = rows

    def execute(self, query: bytes) -> Iterator[tuple[Any, ...]]:
        return iter(next(rows for table, rows in self._rows.items() if table in query.decode().replace('"', "")))


class Platform:
    """Every server that the audit looks at, with one partition of the topic `users`."""

    def __init__(self, *, oldest: int = 0, begin: int = 0) -> None:
        self.landed: dict[str, bool] = {}
        self.replayed: list[str] = []
        self.stored: dict[str, int | None] = {}
        self.sent: dict[int, bytes] = {}
        self.rejected: list[tuple[int, Reason, bytes]] = []
        self.unpublished = self.unpublishable = 0
        self.counted: int | None = None
        self.definition = MEMBERS
        self._oldest, self._generation = oldest, Generation(begin={0: begin})

    def land(self, *names: str, erased: bool = False) -> None:
        self.landed |= dict.fromkeys(names, erased)

    def send(self, offset: int, name: str, kind: str = "created", **more: Any) -> None:
        self.sent[offset] = WRITER.write(to_avro(MEMBER, to_json(MEMBER, make_member(id=name, kind=kind, **more))))

    def store(self, name: str, offset: int | None) -> None:
        self.stored[name] = offset

    def audit(self) -> Report:
        sources: Any = Sources(self, self, self, ValueReader({1: avro_schema()}, avro_schema()))  # type: ignore[arg-type]
        return take_audit(sources)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        yield

    @contextmanager
    def cursor(self, name: str) -> Iterator[Cursor]:
        yield Cursor(
            {"landing.users": list(self.landed.items()), "landing.replayed": [(one,) for one in self.replayed]}
        )

    def execute(self, query: str, parameters: object = ()) -> Any:
        return self

    def fetchone(self) -> tuple[int, ...]:
        return self.unpublished, self.unpublished

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter({"users:accepted": len(self.landed), "unpublishable:unprocessable": self.unpublishable}.items())

    def read(self, topic: Topic) -> Iterable[Message]:
        if topic is MEMBERS.topic:
            return [Message(0, offset, value, []) for offset, value in sorted(self.sent.items())]
        return [
            Message(0, number, b"", [*earlier, *headers])
            for number, (offset, reason, replayed_from) in enumerate(self.rejected)
            for earlier in [[(REPLAYED_FROM, replayed_from)] if replayed_from else []]
            for headers in [
                [
                    ("rejected.reason", reason.value.encode()),
                    ("rejected.message", b""),
                    ("rejected.topic", b"users"),
                    ("rejected.partition", b"0"),
                    ("rejected.offset", str(offset).encode()),
                    ("rejected.at", b"2026-03-02T00:00:00.000Z"),
                ]
            ]
        ]

    def begin_offsets(self, topic: Topic) -> dict[int, int]:
        return {0: self._oldest}

    def read_generations(self) -> Generations:
        return Generations(self._generation, None)

    def read_progress(self) -> Progress:
        return Progress(TODAY)

    def read_rows(self) -> Iterator[dict[str, Any]]:
        for name, offset in self.stored.items():
            member = {column: make_member()[column] for column in ("date_of_birth", "gender", "country", "city")}
            yield {"id": name, "kafka_partition": 0, "kafka_offset": offset, **member}

    def read_distribution(self, table: str, day: date) -> Distribution:
        buckets = {"age": ("46-60",), "gender": ("female",), "country": ("Norway",), "city": ("Norway", "Skre")}
        counted = len(self.stored) if self.counted is None else self.counted
        return Distribution({buckets[table]: counted} if counted else {}, counted)


def disagreements(platform: Platform) -> list[str]:
    return [one.split(",")[0] for one in platform.audit().disagreements]


def a_platform_in_health(**options: int) -> Platform:
    platform = Platform(**options)
    platform.land("a", "b")
    for offset, name in enumerate(["a", "b"], start=max(options.values(), default=0)):
        platform.send(offset, name)
        platform.store(name, offset)
    return platform


def test_stations_that_hold_the_same_members_agree() -> None:
    report = a_platform_in_health().audit()
    assert report.disagreements == []
    assert [(one.name, one.records) for one in report.stations] == [
        *(("landing.users", 2), ("topic users", 2), ("created_users", 2)),
        *((table, 2) for table in ("age", "gender", "country", "city")),
        ("users_rejected", 0),
    ]


def test_a_member_that_bypassed_landing_is_no_disagreement_also_once_its_record_has_expired() -> None:
    platform = a_platform_in_health(oldest=10)
    platform.send(12, "bypassed")
    platform.store("bypassed", 12)
    platform.store("bypassed and expired", 9)
    assert disagreements(platform) == []


@pytest.mark.parametrize("offset", [10, 400, None])
def test_a_row_whose_record_the_topic_should_hold_but_does_not_is_one(offset: int | None) -> None:
    platform = a_platform_in_health(oldest=10)
    platform.store("of nowhere", offset)
    assert disagreements(platform) == [
        "1 members in created_users are in neither landing.users nor the topic",
    ]


def test_an_id_that_bypassed_landing_and_then_landed_with_other_values_is_no_disagreement() -> None:
    platform = a_platform_in_health()
    platform.land("twice")
    platform.send(2, "twice")
    platform.send(3, "twice")
    platform.store("twice", 2)
    assert disagreements(platform) == []


def test_a_member_that_cannot_be_published_is_a_disagreement_that_names_the_command() -> None:
    platform = a_platform_in_health()
    platform.unpublishable = 1
    assert platform.audit().disagreements == [
        "1 members in landing.users cannot be published: `member-analyzer rejected list` lists them."
    ]


def test_a_landed_member_without_a_row_is_missing() -> None:
    platform = a_platform_in_health()
    platform.land("c", "d", "e", "f")
    (message,) = platform.audit().disagreements
    assert message == "4 members in landing.users are missing from created_users, for example c, d, e."


def test_a_member_of_the_topic_without_a_row_is_missing() -> None:
    platform = a_platform_in_health()
    platform.send(2, "bypassed")
    assert disagreements(platform) == ["1 members in the topic are missing from created_users"]


def test_an_erased_member_has_no_row() -> None:
    platform = a_platform_in_health()
    platform.land("a", erased=True)
    platform.send(2, "a", kind="erased")
    assert disagreements(platform) == ["1 members in created_users are erased"]
    del platform.stored["a"]
    assert disagreements(platform) == []


def test_what_the_topic_held_before_the_generation_began_need_not_be_stored() -> None:
    platform = a_platform_in_health(begin=10)
    platform.send(5, "earlier")
    assert disagreements(platform) == []


def test_a_record_that_breaks_a_rule_has_to_be_rejected() -> None:
    platform = a_platform_in_health()
    platform.sent[2] = b"poison"
    (message,) = platform.audit().disagreements
    assert message.startswith("1 records in the topic break a current rule but are not in users_rejected")
    assert "users:0:2" in message
    platform.rejected = [(2, Reason.WRONG_MAGIC_BYTE, b"")]
    assert disagreements(platform) == []


def test_a_valid_record_must_not_be_rejected_unless_it_was_sent_again_or_its_schema_was_unknown() -> None:
    platform = a_platform_in_health()
    platform.send(2, "rejected")
    platform.rejected = [(2, Reason.BAD_DATE, b"")]
    assert disagreements(platform) == ["1 records in users_rejected break no current rule"]
    platform.replayed = ["users:0:2"]
    assert disagreements(platform) == []
    platform.replayed, platform.rejected = [], [(2, Reason.UNKNOWN_SCHEMA, b"")]
    assert disagreements(platform) == []


def test_the_rules_apply_to_the_normalized_record_as_in_the_stream() -> None:
    platform = a_platform_in_health()
    platform.send(2, "unseen", city="\u200b")
    assert [one.split(",")[0] for one in platform.audit().disagreements] == [
        "1 records in the topic break a current rule but are not in users_rejected"
    ]
    platform.rejected = [(2, Reason.MISSING_FIELD, b"")]
    assert disagreements(platform) == []


def test_a_table_that_differs_is_named() -> None:
    platform = a_platform_in_health()
    platform.counted = 3
    assert "The table city differs from created_users in 1 buckets: Norway / Skre." in platform.audit().disagreements


def test_rejections_are_counted_once_whatever_was_written_twice_or_replayed_twice() -> None:
    platform = a_platform_in_health()
    for offset in (2, 3, 4):
        platform.sent[offset] = b"poison"
    platform.replayed = ["users:0:2"]
    first = (2, Reason.WRONG_MAGIC_BYTE, b"")
    tried_twice = [(offset, Reason.WRONG_MAGIC_BYTE, b"users:0:2") for offset in (4, 3)]
    platform.rejected = [first, first, *tried_twice]
    station = platform.audit().stations[-1]
    assert (station.records, station.note) == (2, "wrong_magic_byte 2, 1 of them replayed")


def test_a_spool_gives_back_every_id_in_one_part_with_all_its_sources() -> None:
    names = [f"{'ö' * (number % 7)}{number}\n" for number in range(5000)]
    with IdSpool(2, parts=8, chunk_bytes=100) as spool:
        for name in names:
            spool.add(0, name)
        for name in reversed(names[::2]):
            spool.add(1, name)
        parts = list(spool.read_parts())
    assert len(parts) == 8
    assert sorted(name for first, _ in parts for name in first) == sorted(names)
    assert set().union(*(first & second for first, second in parts)) == set(names[::2])
    assert all(second <= first for first, second in parts)


def test_a_full_disk_is_an_error_that_says_what_to_do() -> None:
    with IdSpool(1, parts=1, chunk_bytes=1) as spool:
        spool._file.close()
        spool._file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
        with pytest.raises(SpoolError, match=r"No space left on device in .* set TMPDIR to a folder with more space"):
            spool.add(0, "a")


def test_examples_are_the_first_few_of_many() -> None:
    examples = Examples()
    for number in reversed(range(1000)):
        examples.add(f"{number:03}")
    assert (examples.count, examples.names) == (1000, ["000", "001", "002"])


def test_a_ledger_finds_a_rejection_wherever_it_is_asked_for() -> None:
    offsets = [0, WINDOW - 1, WINDOW, 5 * WINDOW + 7]
    records = [
        RejectedRecord(None, None, [], "bad_date", "", "users", partition, offset, "")
        for partition in (0, 1)
        for offset in offsets
    ]
    with RejectedLedger() as ledger:
        ledger.add(records)
        ledger.mark_replayed([f"users:1:{WINDOW}", "users:7:1"])
        for partition in (0, 1):
            for offset in [*offsets, *offsets]:
                found = ledger.find("users", partition, offset)
                assert found is not None
                assert found.is_replayed == ((partition, offset) == (1, WINDOW))
        assert ledger.find("users", 0, 1) is None
        assert ledger.find("other", 0, 0) is None
