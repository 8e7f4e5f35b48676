"""Measures publishing: from landing until the broker has acknowledged, beside Kafka's own measure of a producer.

    .venv/bin/python bench/publish.py [--rounds 5] [--count 100000]

Three take turns: the platform's publisher, in this one process; `org.apache.kafka.tools.ProducerPerformance` with
records of the same size, the same acknowledgements and compression; and what tutorials do, a SerializingProducer that
is flushed after each member. The platform of the home that LOCAL_HOME names has to be up. The members stay in it; they
are published again in each turn, and count once. Its stream and its collector rest meanwhile.
"""

import os
import re
import subprocess
import tempfile
import time
from typing import Annotated

import orjson
import typer
from confluent_kafka import SerializingProducer
from confluent_kafka.admin import AdminClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import StringSerializer
from figures import FOLDER, Figures, Output, console, timed
from land import resting
from members import put_members

from member_analyzer.kafka.client import client_options
from member_analyzer.kafka.registry import find_schema_id, registry_client
from member_analyzer.kafka.topics import create_topics
from member_analyzer.landing.connection import Connection, connect_landing
from member_analyzer.local.artifacts import class_path, fetch_artifacts
from member_analyzer.local.environment import program_environment
from member_analyzer.local.home import Home, open_home
from member_analyzer.local.java import choose_java
from member_analyzer.logs import configure_logs
from member_analyzer.publishing.publisher import EventProducer, publish_unpublished
from member_analyzer.records.codec import to_avro
from member_analyzer.records.wire import ValueWriter
from member_analyzer.settings import KafkaSettings, LandingSettings, RegistrySettings
from member_analyzer.streams.definition import Topic
from member_analyzer.streams.members.definition import MEMBERS
from member_analyzer.streams.members.record import MEMBER, avro_schema

OURS = "landing to acknowledged, members a second"
JAVA = "ProducerPerformance, records a second"
ONE_BY_ONE = "flushed after each, members a second"
MEASURED = Topic("bench_producer")
SECONDS_ONE_BY_ONE = 5


def size_of_records(connection: Connection, kafka_schema: ValueWriter, sample: int = 1000) -> int:
    """Bytes of a value as it is published, in the mean of some members."""
    rows = connection.execute("SELECT record::text FROM landing.users WHERE record IS NOT NULL LIMIT %s", (sample,))
    sizes = [len(kafka_schema.write(to_avro(MEMBER, orjson.loads(row[0])))) for row in rows]
    return round(sum(sizes) / len(sizes))


def queue(connection: Connection, source: str) -> int:
    """Let every member of a source be published again; gives how many there are."""
    return connection.execute(
        "INSERT INTO landing.unpublished (id) SELECT id FROM landing.users WHERE source LIKE %s", (source,)
    ).rowcount


def delete_topic(kafka: KafkaSettings, topic: Topic) -> None:
    """Delete a topic of a benchmark."""
    # Kept by its name: a client that is gone answers no more.
    admin = AdminClient(client_options(kafka))
    for future in admin.delete_topics([topic.name]).values():
        future.result()


def measure_java(home: Home, kafka: KafkaSettings, count: int, size: int) -> float:
    """Records a second of ProducerPerformance, as it tells."""
    login = (
        "org.apache.kafka.common.security.scram.ScramLoginModule required "
        f'username="{kafka.username}" password="{kafka.password.get_secret_value()}";'
    )
    options = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "security.protocol": kafka.security_protocol,
        "sasl.mechanism": kafka.sasl_mechanism,
        "sasl.jaas.config": login,
        "acks": "all",
        "enable.idempotence": "true",
        "compression.type": "lz4",
        "linger.ms": "20",
    }
    with tempfile.NamedTemporaryFile("w") as file:
        file.writelines(f"{name}={value}\n" for name, value in options.items())
        file.flush()
        ran = subprocess.run(
            [
                *(str(choose_java().executable), "-Xmx512m", "-cp", class_path("kafka-tools", home.downloads)),
                "org.apache.kafka.tools.ProducerPerformance",
                *("--topic", MEASURED.name, "--num-records", str(count), "--record-size", str(size)),
                *("--throughput", "-1", "--producer.config", file.name),
            ],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"KAFKA_LOG4J_OPTS": ""},
        )
    rates = re.findall(r"records sent, ([\d.]+) records/sec", ran.stdout)
    if ran.returncode or not rates:
        raise RuntimeError(f"ProducerPerformance failed: {ran.stdout[-500:]}{ran.stderr[-500:]}")
    return float(rates[-1])


def measure_one_by_one(
    connection: Connection, kafka: KafkaSettings, registry: RegistrySettings, seconds: float
) -> float:
    """Members a second of a SerializingProducer that waits for each acknowledgement before the next member."""
    serializer = AvroSerializer(
        registry_client(registry), avro_schema(), conf={"auto.register.schemas": False, "use.latest.version": True}
    )
    producer = SerializingProducer(
        client_options(kafka)
        | {"acks": "all", "key.serializer": StringSerializer(), "value.serializer": serializer, "linger.ms": 0}
    )
    rows = connection.execute("SELECT record::text FROM landing.users WHERE record IS NOT NULL LIMIT 50000").fetchall()
    members = [to_avro(MEMBER, orjson.loads(row[0])) for row in rows]
    began, sent = time.perf_counter(), 0
    for member in members:
        producer.produce("users", key=str(member[MEMBER.key]), value=member)
        producer.flush()
        sent += 1
        if time.perf_counter() - began > seconds:
            break
    return sent / (time.perf_counter() - began)


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured, in turn.")] = 5,
    count: Annotated[int, typer.Option(min=1, help="Members of one turn.")] = 100_000,
    output: Output = FOLDER,
) -> None:
    """Measure and print."""
    configure_logs()
    home, figures = open_home(), Figures("publish")
    environment = program_environment("admin", home)
    fetch_artifacts(["kafka-tools"], home.downloads, console)
    landing, kafka = LandingSettings.of(environment), KafkaSettings.of(environment)
    registry = RegistrySettings.of(environment)
    with resting(home, "stream", "collector"), connect_landing(landing) as connection:
        create_topics(kafka, [MEASURED])
        try:
            seed = put_members(home, count)
            schema_id = find_schema_id(registry_client(registry), MEMBERS.subject, avro_schema())
            size = size_of_records(connection, ValueWriter(schema_id, avro_schema()))
            producer = EventProducer(MEMBERS, kafka, registry)
            for _ in range(rounds):
                queued = queue(connection, f"% seed={seed} %")
                published, seconds = timed(lambda: publish_unpublished(connection, producer))
                if published != queued or queued != count:
                    raise RuntimeError(f"{published} events were published of {count}.")
                figures.add(
                    {
                        OURS: count / seconds,
                        JAVA: measure_java(home, kafka, count * 3, size),
                        ONE_BY_ONE: measure_one_by_one(connection, kafka, registry, SECONDS_ONE_BY_ONE),
                    }
                )
        finally:
            delete_topic(kafka, MEASURED)
    figures.to_reach[OURS] = 30_000
    figures.compare("publisher / ProducerPerformance", OURS, JAVA, to_reach=0.4)
    figures.compare("publisher / flushed after each", OURS, ONE_BY_ONE)
    figures.show(output)


if __name__ == "__main__":
    typer.run(main)
