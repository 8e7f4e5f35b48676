"""What `bench/stream.py` measures the stream beside; each runs in a Spark of its own and prints its seconds as JSON.

Settings come from the environment, as the stream's do. `tutorial` is how such a stream is usually shown: JSON without a
registry, nothing deduplicated, the connector as it comes, and a daily analysis that reads the whole table.
"""

import json
from datetime import UTC, date, datetime
from typing import Annotated, Any

import pandas as pd
import typer
from cassandra.cluster import Session
from figures import timed
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.kafka.client import spark_options
from member_analyzer.kafka.registry import registry_client, subject_schemas
from member_analyzer.settings import CassandraSettings, KafkaSettings, RegistrySettings, StreamSettings
from member_analyzer.spark.session import CASSANDRA, spark_session, stop_session
from member_analyzer.streaming import transforms as stream
from member_analyzer.streaming.job import WRITE_TIMESTAMP
from member_analyzer.streams.members.definition import MEMBERS
from member_analyzer.streams.members.record import CREATED

app = typer.Typer()

Keyspace = Annotated[str, typer.Argument(help="Where the tables are.")]
Topic = Annotated[str, typer.Argument(help="What is read.")]


def tell(**seconds: float) -> None:
    """One line for whoever started this."""
    print(json.dumps(seconds))


def decoded(spark: SparkSession, topic: str) -> DataFrame:
    """All of a topic, read as the stream reads it, but in one batch."""
    records = (
        spark.read.format("kafka")
        .options(**spark_options(KafkaSettings()))
        .option("subscribe", topic)
        .option("includeHeaders", "true")
        .load()
    )
    writers = subject_schemas(registry_client(RegistrySettings()), MEMBERS.subject)
    return stream.decode(records, MEMBERS.record_type, writers=writers, reader=MEMBERS.schema)


@app.command()
def decode(topic: Topic) -> None:
    """Kafka and Avro into nothing."""
    spark = spark_session("bench_decode", CassandraSettings(), StreamSettings())
    try:
        frame = decoded(spark, topic)
        tell(decode=timed(lambda: frame.write.format("noop").mode("overwrite").save())[1])
    finally:
        stop_session(spark)


@app.command()
def ceiling(topic: Topic, keyspace: Keyspace) -> None:
    """The same rows, decoded and cached before, twice into an empty `created_users`, with the stream's settings."""
    cassandra = CassandraSettings()
    spark = spark_session("bench_ceiling", cassandra, StreamSettings())
    try:
        rows = (
            stream.accepted_records(decoded(spark, topic), MEMBERS.record_type)
            .filter(F.col("kind") == CREATED)
            .drop("kind")
            .cache()
        )
        rows.count()
        write = (
            rows.write.format(CASSANDRA)
            .option("keyspace", keyspace)
            .option("table", MEMBERS.table)
            .option("writetime", str(WRITE_TIMESTAMP))
            .mode("append")
        )
        _, first = timed(write.save)
        with connect_cassandra(cassandra) as session:
            session.execute(f"TRUNCATE {keyspace}.{MEMBERS.table}", timeout=120)
        tell(first=first, again=timed(write.save)[1])
    finally:
        stop_session(spark)


FIELDS = "id,gender,date_of_birth,country,city,title,first_name,last_name,email,username,phone,address,postcode"


@app.command()
def tutorial(topic: Topic, keyspace: Keyspace, checkpoint: Annotated[str, typer.Argument()]) -> None:
    """The tutorial's stream until everything is in its table, then its analysis of the day."""
    cassandra = CassandraSettings()
    spark = (
        SparkSession.builder.appName("bench_tutorial")
        .config("spark.cassandra.connection.host", cassandra.hosts)
        .config("spark.cassandra.connection.port", str(cassandra.port))
        .getOrCreate()
    )
    spark.conf.set("spark.cassandra.auth.username", cassandra.username)
    spark.conf.set("spark.cassandra.auth.password", cassandra.password.get_secret_value())
    try:
        schema = ", ".join(f"{name} STRING" for name in FIELDS.split(","))
        rows = (
            spark.readStream.format("kafka")
            .options(**spark_options(KafkaSettings()))
            .option("subscribe", topic)
            .option("startingOffsets", "earliest")
            .load()
            .select(F.from_json(F.col("value").cast("string"), schema).alias("user"))
            .select("user.*")
        )
        query = (
            rows.writeStream.format(CASSANDRA)
            .option("keyspace", keyspace)
            .option("table", "tutorial_users")
            .option("checkpointLocation", checkpoint)
            .trigger(availableNow=True)
        )
        _, streaming = timed(lambda: query.start().awaitTermination())
    finally:
        stop_session(spark)
    with connect_cassandra(cassandra) as session:
        tell(stream=streaming, analysis=timed(lambda: analyse(session, f"{keyspace}.tutorial_users", keyspace))[1])


def make_analysis_tables(session: Session, keyspace: str) -> None:
    """The tables that the tutorial's analysis writes."""
    for table in ("age", "gender", "country", "city"):
        session.execute(
            f"CREATE TABLE IF NOT EXISTS {keyspace}.tutorial_{table} "
            "(bucket text, analysis_date date, members bigint, percentage double, PRIMARY KEY (bucket, analysis_date))"
        )


def analyse(session: Session, users: str, keyspace: str) -> None:
    """The whole table of users into pandas, a group by for each table, and one INSERT at a time."""
    rows: list[dict[str, Any]] = list(session.execute(f"SELECT * FROM {users}"))  # noqa: S608
    frame, today = pd.DataFrame(rows), datetime.now(UTC).date()
    born = pd.to_datetime(frame["date_of_birth"].astype(str))
    frame["age_group"] = pd.cut((pd.Timestamp(today) - born).dt.days // 365, [-1, 15, 30, 45, 60, 200]).astype(str)
    for table, column in (("age", "age_group"), ("gender", "gender"), ("country", "country"), ("city", "city")):
        counts = frame.groupby(column).size()
        insert(session, f"{keyspace}.tutorial_{table}", today, {str(bucket): int(n) for bucket, n in counts.items()})


def insert(session: Session, table: str, day: date, counts: dict[str, int]) -> None:
    """One statement a bucket, each waited for."""
    total = sum(counts.values())
    for bucket, members in counts.items():
        session.execute(
            f"INSERT INTO {table} (bucket, analysis_date, members, percentage) VALUES (%s, %s, %s, %s)",  # noqa: S608
            (bucket, day, members, 100 * members / total),
        )


if __name__ == "__main__":
    app()
