"""Drills 9 and 14: the checkpoint, Cassandra's data or the topic is lost or outdated, and the tables are rebuilt."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from counted_interactions import CountedInteractions
from drill import Drill
from interaction_records import Interactions
from member_analyzer.analysis.counts import Distribution
from member_analyzer.kafka.client import client_options
from member_analyzer.kafka.topics import TopicError, create_topics
from member_analyzer.landing.record_keys import stream_keys
from member_analyzer.local.supervision import start_process, stop_process
from member_analyzer.settings import KafkaSettings
from member_analyzer.streams.members.definition import MEMBERS
from member_count import Tables
from member_flow import flowing
from patience import holds
from running_platform import Platform
from topic_records import Records

HISTORY = Distribution({("female",): 3, ("male",): 4}, 7)


def read_tables(platform: Platform) -> tuple[Tables, set[str]]:
    return platform.actual(), set(platform.created_users())


def rebuild(platform: Platform) -> None:
    """Rebuild the tables from landing; members that bypassed landing are not counted afterwards."""
    result = platform.command("rebuild", check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    landed = {key for key, is_erased in stream_keys(platform.landing, MEMBERS) if not is_erased}
    platform.taken = {key: user for key, user in platform.taken.items() if key in landed}


@pytest.mark.long
@pytest.mark.drill("9a. checkpoint lost: refusal to start, rebuild")
def test_a_rebuild_after_a_lost_checkpoint_gives_the_same_tables(
    platform: Platform, drill: Drill, records: Records
) -> None:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    platform.tables.write_distribution("gender", yesterday, HISTORY)
    log = platform.home.logs / "stream.log"
    with flowing(platform, "drill-checkpoint") as flow:
        flow.wait_until_in_flow(3000)
        size = log.stat().st_size
        os.kill(drill.pid("stream"), signal.SIGKILL)
        shutil.rmtree(platform.home.checkpoint)
        refusal = "There are counted records in Cassandra but no checkpoint"
        assert holds(lambda: refusal in log.read_text(errors="replace")[size:]), "the stream did not refuse"
        assert "member-analyzer rebuild" in log.read_text(errors="replace")[size:]
        # The stream does not read this before the rebuild, which starts after it.
        records.send(b"poison", key="drill-checkpoint")
    rebuild(platform)
    drill.check()
    before = read_tables(platform)
    rebuild(platform)
    assert read_tables(platform) == before
    (rejected,) = records.wait_for_rejected(lambda one: one.key == b"drill-checkpoint", 1)
    assert rejected.value == b"poison"
    assert platform.tables.read_distribution("gender", yesterday) == HISTORY, "a rebuild deleted the previous day"


@pytest.mark.long
@pytest.mark.drill("9b. Cassandra tables lost: refusal to start, rebuild")
def test_a_rebuild_after_lost_tables_gives_the_same_tables(platform: Platform, drill: Drill) -> None:
    platform.wait_until_counted()
    log = platform.home.logs / "stream.log"
    tables = [
        row["table_name"]
        for row in platform.session.execute(
            "SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'spark_streams'"
        )
    ]
    with flowing(platform, "drill-tables") as flow:
        flow.wait_until_in_flow(3000)
        size = log.stat().st_size
        os.kill(drill.pid("stream"), signal.SIGKILL)
        for table in tables:
            platform.session.execute(f"TRUNCATE spark_streams.{table}", timeout=60)
        refusal = "has read records that Cassandra does not hold"
        assert holds(lambda: refusal in log.read_text(errors="replace")[size:]), "the stream did not refuse"
    rebuild(platform)
    drill.check()


@pytest.mark.long
@pytest.mark.drill("9d. checkpoint of both streams lost: refusal to start, both rebuilt")
def test_a_rebuild_of_each_stream_after_a_lost_checkpoint_gives_the_same_tables(
    platform: Platform, drill: Drill
) -> None:
    interactions = Interactions(platform)
    counted = CountedInteractions(platform, interactions)
    source = f"drill-{uuid4().hex[:12]}"
    key = interactions.create_source(source)
    items = [{"type": "page", "anonymousId": f"device-{n % 50}", "messageId": f"{source}-{n}"} for n in range(1000)]
    with running_collector(platform):
        interactions.send(key, {"batch": items})
    counted.wait_for(source, len(items))
    platform.wait_until_counted()
    expected = counted.recount(source)
    assert counted.read(source) == expected
    size = (platform.home.logs / "stream.log").stat().st_size
    os.kill(drill.pid("stream"), signal.SIGKILL)
    shutil.rmtree(platform.home.checkpoint)
    assert holds(lambda: refusing(read_stream_log(platform, size)) == {"members", "interactions"}), "it did not refuse"
    with flowing(platform, "drill-both"):
        pass
    rebuild(platform)
    assert counted.read(source) == expected, "the rebuild of the members changed the interactions"
    platform.command("rebuild", "--stream", "interactions")
    assert counted.read(source) == expected
    drill.check()


@contextmanager
def running_collector(platform: Platform) -> Iterator[None]:
    """Run the collector within the block; the drills stop it."""
    start_process(platform.home, "collector")
    try:
        yield
    finally:
        stop_process(platform.home, "collector")


def refusing(text: str) -> set[str]:
    """The streams whose refusal is in a log."""
    entries = [json.loads(line) for line in text.splitlines() if '"stream.refused"' in line]
    return {entry["stream"] for entry in entries}


def read_stream_log(platform: Platform, since: int) -> str:
    return (platform.home.logs / "stream.log").read_text(errors="replace")[since:]


def recreate_topic(settings: KafkaSettings) -> bool:
    """Create the topic; False while Kafka is still deleting the old one."""
    try:
        return MEMBERS.topic.name in create_topics(settings, [MEMBERS.topic])
    except TopicError:
        return False


@pytest.mark.long
@pytest.mark.drill("9c. topic deleted and recreated: refusal to start, rebuild")
def test_a_rebuild_after_a_topic_was_recreated_gives_the_same_tables(platform: Platform, drill: Drill) -> None:
    platform.wait_until_counted()
    size = (platform.home.logs / "stream.log").stat().st_size
    settings = KafkaSettings.of(platform.environment("admin"))
    admin = AdminClient(client_options(settings))
    stop_process(platform.home, "stream")
    admin.delete_topics([MEMBERS.topic.name])[MEMBERS.topic.name].result(30)
    assert holds(lambda: recreate_topic(settings)), "the topic could not be recreated"
    # Longer than the old topic, so that without the topic's id the stream would continue in the middle of it.
    producer = Producer(client_options(settings))
    for partition, offset in platform.tables.read_progress().written.items():
        for n in range(offset + 1000):
            producer.produce(MEMBERS.topic.name, value=b"poison", partition=partition)
            if n % 10_000 == 0:
                assert producer.flush(120) == 0
    assert producer.flush(120) == 0
    start_process(platform.home, "stream")
    assert holds(lambda: "was deleted and created again" in read_stream_log(platform, size)), (
        "the stream did not refuse"
    )
    with flowing(platform, "drill-topic"):
        pass
    rebuild(platform)
    drill.check()


@contextmanager
def stopped_cassandra(platform: Platform, drill: Drill) -> Iterator[None]:
    """Stop Cassandra and the stream within the block."""
    for server in ("stream", "cassandra"):
        stop_process(platform.home, server)
    try:
        yield
    finally:
        start_process(platform.home, "cassandra")
        drill.wait_until_back("cassandra", 0)
        start_process(platform.home, "stream")
        platform.connect()


@pytest.mark.long
@pytest.mark.drill("14. Cassandra restored from an older backup: refusal to start, rebuild")
def test_a_rebuild_after_cassandra_was_restored_from_an_older_backup_gives_the_same_tables(
    platform: Platform, drill: Drill, tmp_path: Path
) -> None:
    platform.wait_until_counted()
    data, backup = platform.home.root / "cassandra", tmp_path / "cassandra"
    size = (platform.home.logs / "stream.log").stat().st_size
    with stopped_cassandra(platform, drill):
        shutil.copytree(data, backup)
    with flowing(platform, "drill-restored"):
        pass
    platform.wait_until_counted()
    with stopped_cassandra(platform, drill):
        shutil.rmtree(data)
        shutil.copytree(backup, data)
    refusal = "restored from an older backup"
    assert holds(lambda: refusal in read_stream_log(platform, size)), "the stream did not refuse"
    rebuild(platform)
    drill.check()
