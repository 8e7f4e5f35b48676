"""NDJSON and CSV files as items of the tracking API."""

import gzip
import json
import tracemalloc
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from member_analyzer.records.rejection import Reason
from member_analyzer.sources.event_files import (
    MOST_LINES_OF_ROW,
    CsvHeaderError,
    Items,
    identify_csv,
    identify_ndjson,
    read_csv,
    read_ndjson,
)
from member_analyzer.sources.lines import LONGEST_LINE_BYTES, Position, RejectedLine

TRACK = {"type": "track", "event": "Signed In", "userId": "m1", "messageId": "own", "timestamp": "2026-05-17T10:05:03Z"}
HEADER = "type,event,user_id,anonymous_id,timestamp,message_id,url,referrer,user_agent,properties.price"

Reader = Callable[..., Items]


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)
    return path


def outcomes_of(read: Reader, path: Path, **options: Any) -> list[dict[str, Any] | RejectedLine]:
    return [outcome for _, outcome in read(path, **options)]


def rejections_of(outcomes: list[dict[str, Any] | RejectedLine]) -> list[tuple[int, Reason]]:
    return [(one.number, one.rejection.reason) for one in outcomes if isinstance(one, RejectedLine)]


def rows_of(folder: Path, *rows: str, header: str = HEADER) -> list[dict[str, Any] | RejectedLine]:
    return outcomes_of(read_csv, write(folder / "events.csv", "\n".join([header, *rows, ""])))


def test_each_line_of_ndjson_is_an_item(tmp_path: Path) -> None:
    path = write(tmp_path / "events.ndjson", f"{json.dumps(TRACK)}\r\n\n  {json.dumps(TRACK | {'userId': 7})}")
    assert outcomes_of(read_ndjson, path) == [TRACK, TRACK | {"userId": 7}]


@pytest.mark.parametrize("missing", [{}, {"messageId": None}, {"messageId": ""}])
def test_an_item_without_a_message_id_gets_one_that_lasts(tmp_path: Path, missing: dict[str, None]) -> None:
    line = json.dumps({"type": "track", "event": "A"} | missing)
    path = write(tmp_path / "events.ndjson", f"{line}\n{line}\n")
    first, second = outcomes_of(read_ndjson, path)
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert first["messageId"] != second["messageId"]
    renamed = path.rename(tmp_path / "events.ndjson.1")
    write(extended := tmp_path / "events.gz", gzip.compress(renamed.read_bytes() + b'{"type": "page"}\n'))
    assert outcomes_of(read_ndjson, extended)[:2] == [first, second]
    assert identify_ndjson(extended) == identify_ndjson(renamed)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", Reason.UNDECODABLE),
        ("{'type': 'page'}", Reason.UNDECODABLE),
        ('{"a": NaN}', Reason.UNDECODABLE),
        ('{"a": ' + "9" * 5000 + "}", Reason.UNDECODABLE),
        ('{"a": ' + "[" * 10_000, Reason.UNDECODABLE),
        ('{"a": ' + "[" * 10_000 + "]" * 10_000 + "}", Reason.UNDECODABLE),
        ("[1]", Reason.NOT_AN_OBJECT),
        ('"page"', Reason.NOT_AN_OBJECT),
        ("null", Reason.NOT_AN_OBJECT),
        (b'{"type": "caf\xe9"}', Reason.UNREADABLE_TEXT),
        (json.dumps({"a": "x" * LONGEST_LINE_BYTES}), Reason.TEXT_TOO_LONG),
    ],
)
def test_a_malformed_line_is_rejected_and_the_next_one_is_read(
    tmp_path: Path, line: str | bytes, reason: Reason
) -> None:
    text = line if isinstance(line, bytes) else line.encode()
    path = write(tmp_path / "events.ndjson", b"\n".join([json.dumps(TRACK).encode(), text, json.dumps(TRACK).encode()]))
    outcomes = outcomes_of(read_ndjson, path)
    assert rejections_of(outcomes) == [(2, reason)]
    assert [outcomes[0], outcomes[-1]] == [TRACK, TRACK]


def test_lone_surrogates_are_left_to_the_rules_of_the_item(tmp_path: Path) -> None:
    path = write(tmp_path / "events.ndjson", '{"event": "\\ud800", "messageId": "1"}')
    assert outcomes_of(read_ndjson, path) == [{"event": "\ud800", "messageId": "1"}]


def test_a_row_of_csv_is_an_item(tmp_path: Path) -> None:
    (item,) = rows_of(
        tmp_path,
        "track,Bought,m1,a1,2026-05-17T10:05:03+02:00,id1,https://shop.example/a?b=1,https://search.example/,Firefox,9.90",
    )
    assert item == {
        "type": "track",
        "event": "Bought",
        "userId": "m1",
        "anonymousId": "a1",
        "timestamp": "2026-05-17T10:05:03+02:00",
        "messageId": "id1",
        "context": {
            "page": {
                "url": "https://shop.example/a?b=1",
                "path": "/a",
                "search": "?b=1",
                "referrer": "https://search.example/",
            },
            "userAgent": "Firefox",
        },
        "properties": {"price": "9.90"},
    }


@pytest.mark.parametrize(
    ("header", "row", "item"),
    [
        ("message_id,url", "1,http://a.b", {"type": "page", "context": {"page": {"url": "http://a.b", "path": "/"}}}),
        ("message_id,event", "1,Bought", {"type": "track", "event": "Bought"}),
        ("event,message_id", ",1", {"type": "page"}),
        ("type,message_id", "identify,1", {"type": "identify"}),
        ("message_id,properties.a.b", "1,2", {"type": "page", "properties": {"a.b": "2"}}),
        ("message_id,url", "1,http://[", {"type": "page", "context": {"page": {"url": "http://["}}}),
        ("message_id , event", "1,Bought", {"type": "track", "event": "Bought"}),
        ("\ufeffmessage_id,event", "1,Bought", {"type": "track", "event": "Bought"}),
        ("message_id,event\r", "1,Bought\r", {"type": "track", "event": "Bought"}),
        ("message_id,event", '1,"Bought, ""now"""', {"type": "track", "event": 'Bought, "now"'}),
        ("message_id,event", '1,"Bought\n\nnow"', {"type": "track", "event": "Bought\n\nnow"}),
        ("message_id,event", "1,a\0b", {"type": "track", "event": "a\0b"}),
    ],
)
def test_empty_cells_are_missing_values(tmp_path: Path, header: str, row: str, item: dict[str, Any]) -> None:
    assert rows_of(tmp_path, row, header=header) == [{"messageId": "1"} | item]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("type;event;user_id", "Unknown columns 'type;event;user_id'"),
        ("type,userId", "Unknown columns 'userId'"),
        ("type,", "Unknown columns ''"),
        ("type,properties.", "Unknown columns 'properties.'"),
        ("type,event,type", "type occur more than once"),
        ('type,"event', "not CSV"),
        (b"type,caf\xe9", "not CSV"),
        ('{"type": "page"}', "Unknown columns"),
    ],
)
def test_a_file_with_other_columns_is_refused(tmp_path: Path, header: str | bytes, message: str) -> None:
    path = write(tmp_path / "events.csv", header)
    with pytest.raises(CsvHeaderError, match=message):
        list(read_csv(path))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1", Reason.UNDECODABLE),
        ("1,A,2", Reason.UNDECODABLE),
        ('1,"A', Reason.UNDECODABLE),
        ('1,"A"B', Reason.UNDECODABLE),
        ("1,A\rB", Reason.UNDECODABLE),
        (b"1,caf\xe9", Reason.UNREADABLE_TEXT),
        ("1," + "x" * LONGEST_LINE_BYTES, Reason.TEXT_TOO_LONG),
    ],
)
def test_a_malformed_row_is_rejected_and_the_next_one_is_read(tmp_path: Path, row: str | bytes, reason: Reason) -> None:
    text = row if isinstance(row, bytes) else row.encode()
    path = write(tmp_path / "events.csv", b"message_id,event\n0,A\n" + text + b"\n2,B\n3,C\n")
    outcomes = outcomes_of(read_csv, path)
    assert rejections_of(outcomes) == [(3, reason)]
    assert [one["event"] for one in outcomes if isinstance(one, dict)] == ["A", "B", "C"]


def test_an_open_quotation_mark_of_a_growing_file_may_be_closed_later(tmp_path: Path) -> None:
    path = write(tmp_path / "events.csv", 'message_id,event\n0,A\n1,"B"C\n2,"D\nE\n')
    outcomes = outcomes_of(read_csv, path, is_complete=False)
    assert rejections_of(outcomes) == [(3, Reason.UNDECODABLE)]
    assert [one["messageId"] for one in outcomes if isinstance(one, dict)] == ["0"]
    outcomes = outcomes_of(read_csv, write(path, path.read_bytes() + b'F"\n'), is_complete=False)
    assert [one["event"] for one in outcomes if isinstance(one, dict)] == ["A", "D\nE\nF"]


@pytest.mark.parametrize(
    "after",
    [
        ["1,A"] * 3 * MOST_LINES_OF_ROW,
        ["1," + "x" * (LONGEST_LINE_BYTES // 3)] * 9,
    ],
)
def test_a_missing_quotation_mark_costs_one_line(tmp_path: Path, after: list[str]) -> None:
    outcomes = rows_of(tmp_path, '0,"A', *after, header="message_id,event")
    assert rejections_of(outcomes) == [(2, Reason.TEXT_TOO_LONG)]
    assert len(outcomes) == 1 + len(after)


def test_a_row_without_a_message_id_gets_one_that_lasts(tmp_path: Path) -> None:
    text = 'event\n"A\nB"\nC\nC\n'
    path = write(tmp_path / "events.csv", text)
    ids = [item["messageId"] for item in outcomes_of(read_csv, path) if isinstance(item, dict)]
    assert len(set(ids)) == 3
    longer = write(tmp_path / "events.gz", gzip.compress(f"{text}D\n".encode()))
    assert [item["messageId"] for item in outcomes_of(read_csv, longer)[:3] if isinstance(item, dict)] == ids
    assert identify_csv(longer) == identify_csv(path)


def test_files_with_equal_columns_have_different_identities(tmp_path: Path) -> None:
    one = write(tmp_path / "one.csv", "event\nA\n")
    assert identify_csv(one) != identify_csv(write(tmp_path / "other.csv", "event\nB\n"))


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_csv, '\nmessage_id,event\n1,A\n\n2,"B\nC"\n3\n4,D\n5,"E\n6,F\n'),
        (read_ndjson, '{"messageId": "1"}\n\n{\n{"messageId": "2"}\r\n[]\n{"type": "page"}\n'),
    ],
)
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_reading_goes_on_from_every_position(tmp_path: Path, read: Reader, text: str, compress: Any) -> None:
    path = write(tmp_path / "events", compress(text.encode()))
    whole = list(read(path))
    assert len(whole) >= 5
    for index, (position, _) in enumerate(whole):
        assert list(read(path, start=position)) == whole[index + 1 :]
    assert whole[-1][0].offset == len(text)


@pytest.mark.parametrize(
    ("read", "whole", "rest"),
    [
        (read_ndjson, '{"messageId": "1"}\n', '{"messageId": "2"}\n'),
        (read_csv, "message_id\n1\n", "2\n"),
        (read_csv, "message_id,event\n1,A\n", '2,"B\nC"\n'),
        (read_csv, "", "message_id\n2\n"),
    ],
)
def test_what_a_growing_file_has_not_whole_is_left_for_the_next_time(
    tmp_path: Path, read: Reader, whole: str, rest: str
) -> None:
    for length in range(len(rest)):
        path = write(tmp_path / "events", whole + rest[:length])
        first = list(read(path, is_complete=False))
        assert [one["messageId"] for _, one in first if isinstance(one, dict)] == (["1"] if whole else [])
        position = first[-1][0] if first else Position(0, 0)
        write(path, whole + rest)
        (item,) = outcomes_of(read, path, start=position, is_complete=False)
        assert isinstance(item, dict)
        assert item["messageId"] == "2"


@pytest.mark.parametrize(("read", "line"), [(read_ndjson, '{"messageId": "%d"}\n'), (read_csv, "%d\n")])
def test_what_precedes_the_damage_of_a_compressed_file_is_read(tmp_path: Path, read: Reader, line: str) -> None:
    header = "" if read is read_ndjson else "message_id\n"
    text = header + "".join(line % (number * 7919 % 100_003) for number in range(20_000))
    outcomes = outcomes_of(read, write(tmp_path / "events", gzip.compress(text.encode())[:-100]))
    assert len(outcomes) > 10_000
    assert rejections_of(outcomes) == [(len(outcomes) + header.count("\n"), Reason.UNDECODABLE)]


@pytest.mark.parametrize("read", [read_ndjson, read_csv])
@pytest.mark.parametrize("data", [b"", b"\n\n", gzip.compress(b"")])
def test_an_empty_file_has_no_items(tmp_path: Path, read: Reader, data: bytes) -> None:
    assert list(read(write(tmp_path / "events", data))) == []


@pytest.mark.parametrize("read", [read_ndjson, read_csv])
def test_a_file_that_is_damaged_from_the_beginning_is_one_rejection(tmp_path: Path, read: Reader) -> None:
    path = write(tmp_path / "events", b"\x1f\x8b not gzip")
    assert rejections_of(outcomes_of(read, path)) == [(1, Reason.UNDECODABLE)]


@pytest.mark.parametrize("read", [read_ndjson, read_csv])
def test_a_missing_file_is_an_error(tmp_path: Path, read: Reader) -> None:
    with pytest.raises(FileNotFoundError):
        list(read(tmp_path / "events"))


@given(st.lists(st.binary(max_size=40) | st.text(st.sampled_from('a1",\n\r\\{}[]:é\0'), max_size=60).map(str.encode)))
def test_no_line_stops_the_import(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("events")
    ndjson = write(folder / "events.ndjson", b"\n".join([b'{"type": "page"}', *lines, b'{"messageId": "last"}']))
    assert outcomes_of(read_ndjson, ndjson)[-1] == {"messageId": "last"}
    rows = write(folder / "events.csv", b"\n".join([b"message_id,event", *lines, b"last,A"]))
    for outcome in outcomes_of(read_csv, rows):
        assert isinstance(outcome, dict | RejectedLine)


@pytest.mark.parametrize(("read", "line"), [(read_ndjson, '{"type": "page"}\n'), (read_csv, '"A\n')])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, read: Reader, line: str) -> None:
    path = tmp_path / "events.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("event\n" if read is read_csv else "")
        file.writelines(line for _ in range(5_000))
        file.writelines("x" * 1024 for _ in range(50_000))
    peaks = []
    for count in (500, 5_001):
        tracemalloc.start()
        for _ in islice(read(path), count):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 4 * 1024 * 1024
