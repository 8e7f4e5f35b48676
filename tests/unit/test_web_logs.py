"""Web server logs as page views."""

import bz2
import gzip
import json
import tracemalloc
from collections import Counter
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from member_analyzer.records.rejection import Reason
from member_analyzer.sources.lines import BEGINNING, LONGEST_LINE_BYTES, Position, RejectedLine
from member_analyzer.sources.web_logs import Skipped, identify_web_log, read_web_log

WEB_LOG = Path(__file__).parents[3] / "shared" / "data" / "weblog.ndjson"

SECRET = b"a secret of the tests"
OSLO = ZoneInfo("Europe/Oslo")
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0"

Outcome = dict[str, Any] | RejectedLine | Skipped


def log_line(
    request: str = "GET /shoes HTTP/1.1",
    *,
    host: str = "203.0.113.7",
    user: str = "-",
    time: str = "17/May/2026:10:05:03 +0000",
    status: int | str = 200,
    size: int | str = 5120,
    referrer: str = "-",
    user_agent: str = BROWSER,
) -> str:
    return f'{host} - {user} [{time}] "{request}" {status} {size} "{referrer}" "{user_agent}"'


def write_log(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")
    return path


def read_all(path: Path, **options: Any) -> list[tuple[Position, Outcome]]:
    return list(read_web_log(path, **{"secret": SECRET, "zone": OSLO} | options))


def outcomes_of(path: Path, **options: Any) -> list[Outcome]:
    return [outcome for _, outcome in read_all(path, **options)]


def items_of(path: Path, **options: Any) -> list[dict[str, Any]]:
    return [outcome for outcome in outcomes_of(path, **options) if isinstance(outcome, dict)]


def read_one(folder: Path, line: str, **options: Any) -> Outcome:
    (outcome,) = outcomes_of(write_log(folder / "access.log", line), **options)
    return outcome


def read_item(folder: Path, line: str, **options: Any) -> dict[str, Any]:
    item = read_one(folder, line, **options)
    assert isinstance(item, dict), item
    return item


def test_a_line_of_the_combined_format_is_a_page_view(tmp_path: Path) -> None:
    line = log_line("GET /shoes?size=42&utm_source=mail HTTP/1.1", referrer="https://search.example/?q=shoes")
    item = read_item(tmp_path, line, site="https://shop.example/")
    assert {name: item[name] for name in item.keys() - {"messageId", "anonymousId"}} == {
        "type": "page",
        "timestamp": "2026-05-17T10:05:03+00:00",
        "context": {
            "page": {
                "path": "/shoes",
                "search": "?size=42&utm_source=mail",
                "url": "https://shop.example/shoes?size=42&utm_source=mail",
                "referrer": "https://search.example/?q=shoes",
            },
            "userAgent": BROWSER,
        },
        "properties": {"method": "GET", "status": 200, "bytes": 5120},
    }


def test_a_line_of_the_common_format_has_no_referrer_and_no_user_agent(tmp_path: Path) -> None:
    line = '203.0.113.7 - - [17/May/2026:10:05:03 +0000] "GET / HTTP/1.0" 304 -'
    item = read_item(tmp_path, line)
    assert item["context"] == {"page": {"path": "/"}}
    assert item["properties"] == {"method": "GET", "status": 304}


@pytest.mark.parametrize(
    "line",
    [
        log_line(host="2001:db8::7"),
        log_line(host="client.example"),
        log_line(host="-"),
        log_line(user="siren"),
        log_line(user="Siren V. [admin]"),
        log_line(user="a [17/May/2026:10:05:03"),
        log_line(user='a [01/Jan/2020:00:00:00 +0000] \\"GET / HTTP/1.1\\" 200 5'),
        log_line(host="shop.example:443 203.0.113.7"),
        log_line(host="shop.example:443 2001:db8::7"),
        log_line() + ' "198.51.100.9"',
        log_line() + " 0.004 shop.example",
        log_line() + "\r",
        f"  {log_line()}  ",
        "\ufeff" + log_line(),
        "\0\0\0" + log_line(),
    ],
)
def test_the_variants_of_the_format_give_the_same_page_view(tmp_path: Path, line: str) -> None:
    item = read_item(tmp_path, line)
    plain = read_item(tmp_path, log_line())
    assert {name: item[name] for name in item.keys() - {"messageId", "anonymousId"}} == {
        name: plain[name] for name in plain.keys() - {"messageId", "anonymousId"}
    }


@pytest.mark.parametrize(
    ("asked", "path", "search"),
    [
        ("GET / HTTP/1.1", "/", None),
        ("GET /", "/", None),
        ("GET /index.html HTTP/2.0", "/index.html", None),
        ("GET /a?b?c HTTP/1.1", "/a", "?b?c"),
        ("GET /a? HTTP/1.1", "/a", None),
        ("GET https://other.example/a?b HTTP/1.1", "/a", "?b"),
        ("GET https://other.example HTTP/1.1", "/", None),
        ("GET /go?to=https://other.example/a HTTP/1.1", "/go", "?to=https://other.example/a"),
        ("GET a HTTP/1.1", "/a", None),
        ("GET /a b HTTP/1.1", "/a%20b", None),
        ("GET /v1.2 HTTP/1.1", "/v1.2", None),
        ("GET /style.css/ HTTP/1.1", "/style.css/", None),
        ("GET /caf%C3%A9 HTTP/1.1", "/caf%C3%A9", None),
        ("GET /café?q=é HTTP/1.1", "/caf%C3%A9", "?q=%C3%A9"),
        (r"GET /caf\xC3\xA9 HTTP/1.1", "/caf%C3%A9", None),
        (r"GET /caf\xe9 HTTP/1.1", "/caf%E9", None),
        (r"GET /\"a\" HTTP/1.1", "/%22a%22", None),
        (r"GET /\x22a\x22 HTTP/1.1", "/%22a%22", None),
        (r"GET /a\\b\x5Cc HTTP/1.1", "/a%5Cb%5Cc", None),
        (r"GET /a\nb\x00 HTTP/1.1", "/a%0Ab%00", None),
        (r"GET /a\q HTTP/1.1", "/a%5Cq", None),
    ],
)
def test_the_path_is_what_a_browser_reports(tmp_path: Path, asked: str, path: str, search: str | None) -> None:
    page = {"path": path} if search is None else {"path": path, "search": search}
    assert read_item(tmp_path, log_line(asked))["context"]["page"] == page


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        (r"Say \"hello\"", 'Say "hello"'),
        (r"Say \x22hello\x22", 'Say "hello"'),
        (r"C:\\Windows", "C:\\Windows"),
        (r"Caf\xc3\xa9", "Café"),
        ("Café", "Café"),
        (r"Caf\xe9", "Caf\ufffd"),
        ("日本", "日本"),
    ],
)
def test_the_user_agent_is_what_the_client_sent(tmp_path: Path, written: str, sent: str) -> None:
    assert read_item(tmp_path, log_line(user_agent=written))["context"]["userAgent"] == sent


def test_bytes_that_are_not_utf_8_are_kept_in_urls_and_replaced_in_user_agents(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(log_line("GET /café HTTP/1.1", referrer="http://a/é", user_agent="Ö").encode("latin-1") + b"\n")
    (item,) = items_of(path)
    assert item["context"] == {"page": {"path": "/caf%E9", "referrer": "http://a/%E9"}, "userAgent": "\ufffd"}


@pytest.mark.parametrize(
    ("time", "timestamp"),
    [
        ("17/May/2026:12:05:03 +0200", "2026-05-17T12:05:03+02:00"),
        ("17/May/2026:05:35:03 -0430", "2026-05-17T05:35:03-04:30"),
        ("31/Dec/2016:23:59:60 +0000", "2016-12-31T23:59:59+00:00"),
        ("29/Feb/2024:00:00:00 +0000", "2024-02-29T00:00:00+00:00"),
    ],
)
def test_the_time_keeps_its_offset(tmp_path: Path, time: str, timestamp: str) -> None:
    assert read_item(tmp_path, log_line(time=time))["timestamp"] == timestamp


@pytest.mark.parametrize(
    ("line", "skipped"),
    [
        (log_line("HEAD / HTTP/1.1"), Skipped.METHOD),
        (log_line("POST /cart HTTP/1.1"), Skipped.METHOD),
        (log_line("-", status=408), Skipped.METHOD),
        (log_line("", status=400), Skipped.METHOD),
        (log_line(r"\x16\x03\x01\x02", status=400), Skipped.METHOD),
        (log_line(status=404), Skipped.STATUS),
        (log_line(status=500), Skipped.STATUS),
        (log_line(status=301), Skipped.STATUS),
        (log_line(status=206), Skipped.STATUS),
        (log_line(status=204), Skipped.STATUS),
        (log_line(status="-"), Skipped.STATUS),
        (log_line("GET /static/style.css?v=3 HTTP/1.1"), Skipped.FILE),
        (log_line("GET /favicon.ico HTTP/1.1"), Skipped.FILE),
        (log_line("GET /robots.txt HTTP/1.1"), Skipped.FILE),
        (log_line("GET /IMG/LOGO.PNG HTTP/1.1"), Skipped.FILE),
        (log_line("GET /terms.pdf HTTP/1.1", status=304), Skipped.FILE),
        (log_line("GET /app-1.2.tar.gz HTTP/1.1"), Skipped.FILE),
    ],
)
def test_what_nobody_looked_at_is_skipped(tmp_path: Path, line: str, skipped: Skipped) -> None:
    assert read_one(tmp_path, line) is skipped


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("garbage", Reason.UNDECODABLE),
        ("#Fields: date time c-ip", Reason.UNDECODABLE),
        ('{"request": "GET /"}', Reason.UNDECODABLE),
        (log_line()[:60], Reason.UNDECODABLE),
        (log_line()[:-1], Reason.UNDECODABLE),
        (log_line(status="20"), Reason.UNDECODABLE),
        (log_line(size="9" * 30), Reason.UNDECODABLE),
        (log_line(user_agent='a "b" c'), Reason.UNDECODABLE),
        (log_line(time="2026-05-17T10:05:03Z"), Reason.UNDECODABLE),
        (log_line(time="30/Feb/2026:10:05:03 +0000"), Reason.BAD_DATE),
        (log_line(time="17/Mai/2026:10:05:03 +0000"), Reason.BAD_DATE),
        (log_line(time="17/May/2026:25:05:03 +0000"), Reason.BAD_DATE),
        (log_line(time="17/May/2026:10:05:61 +0000"), Reason.BAD_DATE),
        (log_line(time="17/May/2026:10:05:03 +9900"), Reason.BAD_DATE),
        (log_line(time="31/Dec/9999:23:59:59 -1200"), Reason.BAD_DATE),
        (log_line(time="17/May/0000:10:05:03 +0000"), Reason.BAD_DATE),
        (log_line(user_agent="x" * LONGEST_LINE_BYTES), Reason.TEXT_TOO_LONG),
        ("x" * (3 * 1024 * 1024), Reason.TEXT_TOO_LONG),
    ],
)
def test_a_malformed_line_is_rejected_and_the_next_one_is_read(tmp_path: Path, line: str, reason: Reason) -> None:
    log = write_log(tmp_path / "access.log", log_line(), line, "", log_line())
    first, rejected, last = outcomes_of(log)
    assert isinstance(first, dict)
    assert isinstance(last, dict)
    assert isinstance(rejected, RejectedLine)
    assert (rejected.number, rejected.rejection.reason) == (2, reason)


@given(
    st.lists(
        st.binary(max_size=80)
        | st.text(st.sampled_from('1.- [17/May2026:05+]"GET \\x\0\né'), max_size=120).map(str.encode)
        | st.integers(0, 150).map(lambda length: log_line().encode()[:length])
    )
)
def test_no_line_stops_the_import(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    log = tmp_path_factory.mktemp("log") / "access.log"
    valid = log_line().encode()
    log.write_bytes(b"\n".join([valid, *lines, b"", valid]))
    outcomes = outcomes_of(log)
    assert isinstance(outcomes[0], dict)
    assert isinstance(outcomes[-1], dict)


# Patterns that backtrack would take hours.
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "line",
    [
        "a - " + "[" * 32_000,
        "a - " + "[17/May/2026:10:05:03 +0000] " * 1000,
        'a - - [17/May/2026:10:05:03 +0000] "' + "\\" * 32_000,
        'a - - [17/May/2026:10:05:03 +0000] "GET' + " HTTP/1.1" * 3_000 + '" 200 5',
        "a:1 " * 8_000,
        log_line("GET " + "/." * 10_000),
    ],
)
def test_no_line_is_read_for_long(tmp_path: Path, line: str) -> None:
    log = write_log(tmp_path / "access.log", *[line] * 20)
    assert len(outcomes_of(log)) == 20


def test_a_file_imported_twice_gives_the_same_items(tmp_path: Path) -> None:
    log = write_log(tmp_path / "access.log", log_line(), log_line("GET /cart HTTP/1.1"))
    assert read_all(log) == read_all(log)


def test_identical_lines_are_different_page_views(tmp_path: Path) -> None:
    items = items_of(write_log(tmp_path / "access.log", *[log_line()] * 3))
    assert len({item["messageId"] for item in items}) == 3
    assert len({item["anonymousId"] for item in items}) == 1


def test_equal_lines_of_two_servers_are_different_page_views(tmp_path: Path) -> None:
    one = write_log(tmp_path / "one.log", log_line("GET /a HTTP/1.1"), log_line())
    other = write_log(tmp_path / "other.log", log_line("GET /b HTTP/1.1"), log_line())
    assert items_of(one)[1]["messageId"] != items_of(other)[1]["messageId"]


def test_a_renamed_extended_and_compressed_file_only_adds_its_new_lines(tmp_path: Path) -> None:
    lines = [log_line(f"GET /{number} HTTP/1.1") for number in range(50)]
    before = items_of(write_log(tmp_path / "access.log", *lines[:30]))
    rotated = write_log(tmp_path / "access.log.1", *lines)
    (zipped := tmp_path / "access.log.2.gz").write_bytes(gzip.compress(rotated.read_bytes()))
    (bzipped := tmp_path / "access.log.3").write_bytes(bz2.compress(rotated.read_bytes()))
    after = items_of(rotated)
    assert (len(before), len(after)) == (30, 50)
    assert after[:30] == before
    assert items_of(zipped) == items_of(bzipped) == after
    assert len({identify_web_log(path) for path in tmp_path.iterdir()}) == 1


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress])
def test_reading_goes_on_from_every_position(tmp_path: Path, compress: Any) -> None:
    text = write_log(
        tmp_path / "plain", log_line(), "garbage", "", log_line("GET /é HTTP/1.1") + "\r", "x" * 40_000, log_line()
    )
    log = tmp_path / "access.log"
    log.write_bytes(compress(text.read_bytes()))
    whole = read_all(log)
    assert len(whole) == 5
    for index, (position, _) in enumerate(whole):
        assert read_all(log, start=position) == whole[index + 1 :]
    assert whole[-1][0] == Position(offset=len(text.read_bytes()), line=6)


def test_a_position_of_another_file_is_an_error(tmp_path: Path) -> None:
    log = write_log(tmp_path / "access.log", log_line(), log_line())
    for offset in (10, len(log.read_bytes()) + 1):
        with pytest.raises(ValueError, match="not the file"):
            read_all(log, start=Position(offset, 1))


def test_a_last_line_without_a_line_break_is_read_unless_the_file_grows(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(f"{log_line()}\n{log_line('GET /cart HTTP/1.1')}", encoding="utf-8")
    assert len(items_of(log)) == 2
    ((position, _),) = read_all(log, is_complete=False)
    with log.open("a", encoding="utf-8") as file:
        file.write(' "-"\n')
    (item,) = items_of(log, start=position, is_complete=False)
    assert item["context"]["page"]["path"] == "/cart"


def test_the_end_of_a_file_without_a_line_break_is_a_position(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(log_line(), encoding="utf-8")
    ((position, _),) = read_all(log)
    assert read_all(log, start=position) == []


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: data[:-200] + b"\0" * 200])
@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
def test_what_precedes_the_damage_of_a_compressed_file_is_read(tmp_path: Path, compress: Any, damage: Any) -> None:
    # Bzip2 has blocks of 900 kB.
    lines = [log_line(f"GET /{number * 7919 % 10007} HTTP/1.1") for number in range(10_000)]
    (log := tmp_path / "access.log.gz").write_bytes(damage(compress("\n".join(lines).encode())))
    outcomes = outcomes_of(log)
    assert len(outcomes) > 1000
    assert all(isinstance(outcome, dict) for outcome in outcomes[:-1])
    last = outcomes[-1]
    assert isinstance(last, RejectedLine)
    assert (last.number, last.rejection.reason) == (len(outcomes), Reason.UNDECODABLE)


def test_an_empty_file_has_no_page_views(tmp_path: Path) -> None:
    assert outcomes_of(write_log(tmp_path / "access.log")) == []


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_all(tmp_path / "access.log")


def visitors_of(folder: Path, *lines: str, **options: Any) -> list[str]:
    return [item["anonymousId"] for item in items_of(write_log(folder / "access.log", *lines), **options)]


@pytest.mark.parametrize(
    ("line", "is_same"),
    [
        (log_line("GET /cart HTTP/1.1", time="17/May/2026:21:59:59 +0000", status=304, referrer="http://a/"), True),
        (log_line(host="203.0.113.8"), False),
        (log_line(user_agent="Mozilla/5.0 (another one)"), False),
        # Midnight in Oslo.
        (log_line(time="17/May/2026:22:00:00 +0000"), False),
        (log_line(time="17/May/2026:18:00:00 -0400"), False),
    ],
)
def test_a_visitor_is_an_address_and_a_user_agent_on_a_day_of_the_source(
    tmp_path: Path, line: str, is_same: bool
) -> None:
    first, second = visitors_of(tmp_path, log_line(), line)
    assert (first == second) is is_same


def test_visitors_of_another_secret_are_others_and_messages_are_the_same(tmp_path: Path) -> None:
    log = write_log(tmp_path / "access.log", log_line())
    (ours,), (theirs,) = items_of(log), items_of(log, secret=b"the secret of another source")
    assert ours["anonymousId"] != theirs["anonymousId"]
    assert ours["messageId"] == theirs["messageId"]


def test_a_short_secret_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        read_all(write_log(tmp_path / "access.log"), secret=b"short")


@pytest.mark.parametrize("host", ["203.0.113.7", "2001:db8::abcd", "client.example"])
def test_nothing_but_the_visitor_depends_on_the_address_and_the_user(tmp_path: Path, host: str) -> None:
    """A hash without the secret would be found by trying all addresses."""
    log = write_log(tmp_path / "access.log", log_line(host=host, user="siren"), "garbage " + host)
    other = write_log(tmp_path / "other.log", log_line(host="192.0.2.99", user="olav"), "garbage 192.0.2.99")
    assert host not in repr(read_all(log))
    assert "siren" not in repr(read_all(log))
    assert identify_web_log(log) == identify_web_log(other)
    (ours, _), (theirs, _) = outcomes_of(log), outcomes_of(other)
    assert isinstance(ours, dict)
    assert isinstance(theirs, dict)
    assert ours | {"anonymousId": None} == theirs | {"anonymousId": None}


@pytest.mark.parametrize("text", ["{} - - no time", log_line(host="{}"), log_line(host="[{}]")])
def test_the_identity_of_a_file_does_not_depend_on_the_address(tmp_path: Path, text: str) -> None:
    one = write_log(tmp_path / "one.log", text.format("2001:db8::1"))
    other = write_log(tmp_path / "other.log", text.format("2001:db8::2"))
    assert identify_web_log(one) == identify_web_log(other)
    assert identify_web_log(one) != identify_web_log(write_log(other, text.format("2001:db8::1") + "."))


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    log = tmp_path / "access.log.gz"
    with gzip.open(log, "wt", encoding="utf-8") as file:
        for number in range(20_000):
            file.write(log_line(f"GET /{number} HTTP/1.1") + "\n")
        file.writelines("x" * 1024 for _ in range(50_000))
    peaks = []
    for lines in (2_000, 20_001):
        tracemalloc.start()
        for _ in islice(read_web_log(log, secret=SECRET, zone=OSLO), lines):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 4 * 1024 * 1024


@pytest.fixture
def recorded_log(tmp_path: Path) -> Path:
    """A real web log in the Combined Log Format."""
    if not WEB_LOG.is_file():
        pytest.skip(f"no web log at {WEB_LOG}")
    log = tmp_path / "access.log"
    with log.open("w", encoding="utf-8") as file:
        for text in WEB_LOG.read_text(encoding="utf-8").splitlines():
            request = json.loads(text)
            number = int(request["visitor"].removeprefix("v"))
            quoted = {
                name: (request[name] or "-").replace("\\", "\\\\").replace('"', '\\"')
                for name in ("path", "referrer", "user_agent")
            }
            line = log_line(
                f"{request['method']} {quoted['path']} HTTP/1.1",
                host=f"10.0.{number // 256}.{number % 256}",
                time=datetime.fromisoformat(request["at"]).strftime("%d/%b/%Y:%H:%M:%S +0000"),
                status=request["status"],
                referrer=quoted["referrer"],
                user_agent=quoted["user_agent"],
            )
            file.write(line + "\n")
    return log


def test_a_real_log_is_read_whole(recorded_log: Path) -> None:
    outcomes = outcomes_of(recorded_log, site="https://shop.example")
    kinds = Counter(outcome if isinstance(outcome, Skipped) else type(outcome) for outcome in outcomes)
    assert sum(kinds.values()) == len(recorded_log.read_text(encoding="utf-8").splitlines())
    assert kinds[RejectedLine] == 0
    requests = [json.loads(text) for text in WEB_LOG.read_text(encoding="utf-8").splitlines()]
    assert kinds[Skipped.METHOD] == sum(request["method"] != "GET" for request in requests)
    viewed = [request for request in requests if request["method"] == "GET" and request["status"] in (200, 304)]
    assert kinds[dict] + kinds[Skipped.FILE] == len(viewed)
    items = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    assert len({item["messageId"] for item in items}) == len(items)
    views = Counter(request["path"].partition("?")[0] for request in viewed)
    for path in ("/", "/blog/tags/puppet", "/projects/xdotool/"):
        assert sum(item["context"]["page"]["path"] == path for item in items) == views[path]


def test_a_real_log_that_is_read_in_parts_gives_the_same_items(recorded_log: Path) -> None:
    whole = read_all(recorded_log)
    parts: list[tuple[Position, Outcome]] = []
    position = BEGINNING
    while part := list(islice(read_web_log(recorded_log, secret=SECRET, zone=OSLO, start=position), 1234)):
        parts += part
        position = part[-1][0]
    assert parts == whole
