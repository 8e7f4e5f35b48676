"""Measures how fast the stream processes a full topic, compared with the ceiling and the tutorial's stream.

    .venv/bin/python bench/stream.py [--members 500000] [--rounds 3]

Four measurements on the same members alternate, each in a new Spark session: the stream; the connector alone, writing
decoded and cached rows (the ceiling); reading and decoding alone; and the stream of tutorials (`bench/spark_work.py`).
The stream and the ceiling then run once more, with a warm JVM. It uses the home LOCAL_HOME, deletes the stream's counts
there in each run, and leaves the platform stopped. Use a separate home.
"""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import orjson
import typer
from cassandra.cluster import Session
from confluent_kafka import Producer
from figures import FOLDER, Figures, Output, console
from land import stopped
from members import counted, has_written, put_members, wait_until
from publish import delete_topic
from spark_work import FIELDS, make_analysis_tables

from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.analysis.keyspace import create_tables
from member_analyzer.analysis.progress import Generation
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.kafka.client import client_options
from member_analyzer.kafka.reader import TopicReader, open_topic_reader
from member_analyzer.kafka.topics import create_topics
from member_analyzer.landing.connection import Connection, connect_landing
from member_analyzer.local import platform
from member_analyzer.local.environment import base_environment, program_environment, spark_environment
from member_analyzer.local.home import Home, open_home
from member_analyzer.local.spark import write_configuration
from member_analyzer.local.supervision import LOW_PRIORITY, start_process, stop_process
from member_analyzer.logs import configure_logs
from member_analyzer.settings import CassandraSettings, KafkaSettings, LandingSettings
from member_analyzer.streams.definition import Topic
from member_analyzer.streams.members.definition import MEMBERS

TIMEOUT_SECONDS = 1800
KEYSPACE = "bench"
JSON_TOPIC = Topic("bench_json")

STREAM = "members_stream, cold, members per second"
WARM_STREAM = "members_stream, warm, members per second"
CEILING = "ceiling: the connector alone, cold, members per second"
WARM_CEILING = "ceiling: the connector alone, warm, members per second"
DECODE = "reading and decoding alone, members per second"
TUTORIAL = "tutorial with its analysis, members per second"
SCAN = "tutorial, daily analysis, s"


def put_json(landing: Connection, kafka: KafkaSettings) -> None:
    """Produce the same members as JSON, to a separate topic."""
    producer = Producer(client_options(kafka) | {"linger.ms": 20, "compression.type": "lz4"})
    fields = FIELDS.split(",")
    with landing.transaction(), landing.cursor("members") as rows:
        rows.itersize = 5000
        rows.execute("SELECT id, record::text FROM landing.users WHERE erased_at IS NULL")
        for key, record in rows:
            member = orjson.loads(record)
            value = orjson.dumps({name: member[name] for name in fields})
            while True:
                try:
                    producer.produce(JSON_TOPIC.name, key=key, value=value)
                    break
                except BufferError:
                    producer.poll(0.1)
    producer.flush()


def make_tables(session: Session, cassandra: CassandraSettings) -> None:
    """Create empty tables for the baselines."""
    create_tables(session, cassandra.model_copy(update={"keyspace": KEYSPACE}), [MEMBERS])
    session.execute(f"TRUNCATE {KEYSPACE}.created_users", timeout=120)
    session.execute(f"DROP TABLE IF EXISTS {KEYSPACE}.tutorial_users")
    columns = ", ".join(f"{name} text" for name in FIELDS.split(","))
    session.execute(f"CREATE TABLE {KEYSPACE}.tutorial_users ({columns}, PRIMARY KEY (id))")
    make_analysis_tables(session, KEYSPACE)


def delete_counts(session: Session, home: Home, keyspace: str) -> None:
    """Delete the stream's checkpoint and tables."""
    shutil.rmtree(home.checkpoint, ignore_errors=True)
    tables = ("created_users", "births", "age", "gender", "country", "city")
    for table in (
        *tables,
        "stream_progress",
        "stream_generations",
        "stream_refusals",
        "analysis_repairs",
        "erased_users",
    ):
        session.execute(f"TRUNCATE {keyspace}.{table}", timeout=120)


def measure_stream(home: Home, session: Session, keyspace: str, reader: TopicReader, count: int) -> list[float]:
    """The seconds from the start of the stream's queries until every table has all members, cold and warm."""
    delete_counts(session, home, keyspace)
    tables, ends = AnalysisTables(session, keyspace, MEMBERS), reader.end_offsets(MEMBERS.topic)
    begin = reader.begin_offsets(MEMBERS.topic)
    again = Generation("again", begin, begin)
    log = home.logs / "stream.log"
    log_size = log.stat().st_size if log.exists() else 0

    def drain() -> datetime:
        wait_until(lambda: has_written(tables, ends), TIMEOUT_SECONDS)
        ended = datetime.now(UTC)
        if counted(tables) != count:
            raise RuntimeError(f"The tables count {counted(tables)} members instead of {count}.")
        return ended

    start_process(home, "stream")
    try:
        ended = [drain()]
        tables.want_generation(again)
        wait_until(lambda: tables.read_generations().current.name == again.name, TIMEOUT_SECONDS)
        ended.append(drain())
    finally:
        stop_process(home, "stream")
    text = log.read_bytes()[log_size:].decode(errors="replace")
    lines = [json.loads(line) for line in text.splitlines() if line[:1] == "{"]
    began = [datetime.fromisoformat(line["timestamp"]) for line in lines if line.get("event") == "stream.starts"]
    return [(end - start).total_seconds() for start, end in zip(began, ended, strict=True)]


def run_spark(home: Home, *arguments: str) -> dict[str, float]:
    """The seconds of a command of `spark_work.py`."""
    ran = subprocess.run(
        # With the stream's niceness, for a fair comparison.
        [*LOW_PRIORITY, sys.executable, str(Path(__file__).with_name("spark_work.py")), *arguments],
        env=base_environment(home) | program_environment("admin", home) | spark_environment(home, "stream"),
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )
    if ran.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed:\n{ran.stderr[-3000:]}")
    seconds: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return seconds


def main(
    members: Annotated[int, typer.Option(min=1, help="Distinct members on the topic.")] = 500_000,
    rounds: Annotated[int, typer.Option(min=1, help="Number of measurements of each kind.")] = 3,
    output: Output = FOLDER,
) -> None:
    """Measure the stream."""
    configure_logs()
    home, figures = open_home(), Figures("stream")
    environment = program_environment("admin", home)
    kafka, cassandra = KafkaSettings.of(environment), CassandraSettings.of(environment)
    try:
        platform.up(home, console)
        with (
            stopped(home, "stream", "collector"),
            connect_cassandra(cassandra) as session,
            connect_landing(LandingSettings.of(environment)) as landing,
            open_topic_reader(kafka) as reader,
        ):
            write_configuration(home)
            put_members(home, members)
            create_topics(kafka, [JSON_TOPIC])
            put_json(landing, kafka)
            (count,) = landing.execute("SELECT count(*) FROM landing.users WHERE erased_at IS NULL").fetchone() or (0,)
            for number in range(rounds):
                make_tables(session, cassandra)
                streamed = measure_stream(home, session, cassandra.keyspace, reader, count)
                ceiling = run_spark(home, "ceiling", MEMBERS.topic.name, KEYSPACE)
                rates = {
                    STREAM: count / streamed[0],
                    WARM_STREAM: count / streamed[1],
                    CEILING: count / ceiling["first"],
                    WARM_CEILING: count / ceiling["again"],
                }
                rates[DECODE] = count / run_spark(home, "decode", MEMBERS.topic.name)["decode"]
                checkpoint = home.folder("spark", "temporary") / f"tutorial-{number}"
                tutorial = run_spark(home, "tutorial", JSON_TOPIC.name, KEYSPACE, str(checkpoint))
                rates[TUTORIAL] = count / (tutorial["stream"] + tutorial["analysis"])
                rates[SCAN] = tutorial["analysis"]
                figures.add(rates)
            delete_topic(kafka, JSON_TOPIC)
    finally:
        platform.down(home, console)
    figures.compare("stream / ceiling, cold", STREAM, CEILING, target=0.8)
    figures.compare("stream / ceiling, warm", WARM_STREAM, WARM_CEILING, target=0.8)
    figures.compare("stream / decoding alone, cold", STREAM, DECODE)
    figures.compare("stream / tutorial, cold", STREAM, TUTORIAL, target=3)
    figures.show(output)


if __name__ == "__main__":
    typer.run(main)
