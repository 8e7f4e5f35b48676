"""Files of interactions are imported into Kafka by the DAG `interactions_import`."""

import gzip
import json
from typing import Any
from uuid import uuid4

import pytest

from interaction_records import Interactions
from member_analyzer.operations.airflow import AirflowError
from running_platform import Platform

ADDRESS = "203.0.113.7"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.fixture(scope="module")
def interactions(platform: Platform) -> Interactions:
    return Interactions(platform)


@pytest.fixture
def source(interactions: Interactions) -> str:
    """The name of a new source in Oslo."""
    name = f"log-{uuid4().hex[:8]}"
    interactions.create_source(name, time_zone="Europe/Oslo")
    return name


def line(number: int, path: str = "/shoes", status: int = 200) -> str:
    time = f"21/Nov/2026:10:{number // 60:02}:{number % 60:02} +0100"
    return f'{ADDRESS} - - [{time}] "GET {path} HTTP/1.1" {status} 512 "https://search.example/" "{AGENT}"\n'


def import_file(platform: Platform, file: str, source: str, **more: Any) -> dict[str, int]:
    """Run the DAG, and return what its task gives."""
    run = platform.run("interactions_import", file=file, source=source, **more)
    result: dict[str, int] = platform.airflow.task_result(run, "import_file")
    return result


def of(interactions: Interactions, source: str) -> list[dict[str, Any]]:
    return [one for one in interactions.read() if one["source"] == source]


def test_a_web_log_becomes_page_views_without_addresses(
    platform: Platform, interactions: Interactions, source: str
) -> None:
    lines = [line(number) for number in range(30)]
    lines += [line(30, "/style.css"), line(31, "/missing", 404), "no log line\n", line(32, "/shoes?q=red&token=x")]
    (platform.home.imports / f"{source}.log").write_text("".join(lines))
    progress = import_file(platform, f"{source}.log", source, site="https://shop.example")
    assert {name: progress[name] for name in ("accepted", "rejected", "skipped", "lines")} == {
        "accepted": 31,
        "rejected": 1,
        "skipped": 2,
        "lines": 34,
    }
    records = of(interactions, source)
    assert len(records) == len({one["message_id"] for one in records}) == 31
    assert {one["type"] for one in records} == {"page"}
    assert len({one["visitor"] for one in records}) == 1
    assert {(one["browser"], one["system"], one["referring_domain"]) for one in records} == {
        ("Firefox", "Linux", "search.example")
    }
    assert {one["url"] for one in records} == {"https://shop.example/shoes", "https://shop.example/shoes?q=red"}
    assert min(one["occurred_at"] for one in records).isoformat() == "2026-11-21T09:00:00+00:00"
    assert ADDRESS not in json.dumps(records, default=str)


def test_importing_a_file_again_adds_only_what_was_appended(
    platform: Platform, interactions: Interactions, source: str
) -> None:
    log = platform.home.imports / f"{source}.log"
    log.write_text("".join(line(number) for number in range(10)))
    assert import_file(platform, log.name, source)["accepted"] == 10
    assert import_file(platform, log.name, source)["accepted"] == 10
    with log.open("a") as appended:
        appended.write(line(10) + line(11))
    rotated = log.with_suffix(".log.1.gz")
    rotated.write_bytes(gzip.compress(log.read_bytes()))
    assert import_file(platform, rotated.name, source)["accepted"] == 12
    records = of(interactions, source)
    assert len(records) == len({one["message_id"] for one in records}) == 12


def test_ndjson_and_csv_are_imported_and_rejected_items_are_kept(
    platform: Platform, interactions: Interactions, source: str
) -> None:
    items = [{"type": "track", "event": "Sign In", "userId": f"m-{number}"} for number in range(3)]
    text = "".join(f"{json.dumps(one)}\n" for one in [*items, {"type": "track", "event": "Nobody"}])
    folder = platform.home.imports / source
    folder.mkdir()
    (folder / "events.ndjson").write_text(text + "no json\n")
    progress = import_file(platform, f"{source}/events.ndjson", source, format="ndjson")
    assert (progress["accepted"], progress["rejected"]) == (3, 2)
    assert [one.reason for one in interactions.read_rejected(source)] == ["missing_field"]
    (folder / "events.csv").write_text("type,event,user_id,properties.plan\ntrack,Upgrade,m-1,gold\n,,m-2,\n")
    assert import_file(platform, f"{source}/events.csv", source, format="csv")["accepted"] == 2
    records = of(interactions, source)
    assert sorted(one["name"] or one["type"] for one in records) == ["Sign In"] * 3 + ["Upgrade", "page"]


@pytest.mark.parametrize("file", ["missing.log", "../passwords.json", ""])
def test_a_file_that_is_not_in_the_directory_of_imports_is_refused(platform: Platform, source: str, file: str) -> None:
    run = platform.airflow.start_run("interactions_import", {"file": file, "source": source})
    with pytest.raises(AirflowError, match="failed"):
        platform.airflow.wait_for_run(run, seconds=300)


def test_a_source_that_does_not_exist_is_refused(platform: Platform) -> None:
    (platform.home.imports / "nobody.log").write_text(line(0))
    run = platform.airflow.start_run("interactions_import", {"file": "nobody.log", "source": "nobody"})
    with pytest.raises(AirflowError, match="failed"):
        platform.airflow.wait_for_run(run, seconds=300)
