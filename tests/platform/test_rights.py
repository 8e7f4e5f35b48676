"""What each program may do in each server, and what it is refused, on the real ones."""

from contextlib import closing
from typing import Any

import psycopg
import pytest
import requests
from cassandra import Unauthorized
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import (
    AclOperation,
    AdminClient,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.kafka.client import client_options
from member_analyzer.kafka.topics import LARGEST_UNCOMPRESSED_BYTES
from member_analyzer.landing.connection import connect_landing
from member_analyzer.local.environment import Program, airflow_api_environment
from member_analyzer.local.kafka import ACLS, ALL_ACLS, Kafka, make_acl
from member_analyzer.local.passwords import load_passwords
from member_analyzer.local.platform import make_postgres, make_steps
from member_analyzer.local.schemas import Schemas
from member_analyzer.settings import AirflowSettings, CassandraSettings, KafkaSettings, LandingSettings
from member_analyzer.streams.definition import LARGEST_MESSAGE_BYTES
from running_platform import Platform

READ_IDS = "SELECT id, erased_at FROM landing.users"
READ_MEMBERS = "SELECT record FROM landing.users"
LAND = "INSERT INTO landing.users (id, record, source) VALUES ('rights', '{}', 'test') ON CONFLICT (id) DO NOTHING"
ENQUEUE = "INSERT INTO landing.unpublished (id) VALUES ('rights')"
CLAIM = (
    "DELETE FROM landing.unpublished WHERE position = ANY(ARRAY("
    "SELECT position FROM landing.unpublished LIMIT 1 FOR UPDATE SKIP LOCKED)) RETURNING id"
)
FORGET = "UPDATE landing.users SET record = NULL WHERE id = 'rights'"
ERASE = "UPDATE landing.users SET record = NULL, erased_at = now() WHERE id = 'rights'"
DELETE_MEMBER = "DELETE FROM landing.users WHERE id = 'rights'"
REJECT = (
    "INSERT INTO landing.rejected (fingerprint, original, reason, message, source) VALUES ('rights', '', '', '', '') "
    "ON CONFLICT (fingerprint) DO NOTHING"
)
LOCK_REJECTED = "SELECT original FROM landing.rejected FOR UPDATE"
DELETE_REJECTED = "DELETE FROM landing.rejected WHERE id = 'rights'"
COUNT_REJECTED = "SELECT reason, count(*) FROM landing.rejected GROUP BY reason"
READ_REPLAYS = "SELECT origin FROM landing.replayed"
MARK_REPLAYED = "INSERT INTO landing.replayed (origin) VALUES ('rights') ON CONFLICT DO NOTHING RETURNING origin"
FORGET_REPLAYED = "DELETE FROM landing.replayed WHERE origin = 'rights'"
SET_ASIDE = (
    "INSERT INTO landing.unpublishable (id, reason, message) VALUES ('rights', '', '') "
    "ON CONFLICT (id) DO UPDATE SET reason = excluded.reason"
)
REQUEUE = "DELETE FROM landing.unpublishable WHERE reason = 'rights' RETURNING id"
READ_COUNTS = "SELECT name, sum(change) FROM landing.count_changes GROUP BY name"
FOLD_COUNTS = "SELECT landing.fold_counts()"
WRITE_COUNT = "INSERT INTO landing.count_changes (name, change) VALUES ('accepted', 1)"
GIVE_ID = "INSERT INTO landing.given_ids (fingerprint, id) VALUES ('', 'rights') ON CONFLICT (fingerprint) DO NOTHING"
READ_KEYS = "SELECT hash FROM landing.api_keys"
WRITE_KEY = "INSERT INTO landing.api_keys (name, hash, rights) VALUES ('rights', '', '{write}') ON CONFLICT DO NOTHING"
REVOKE_KEY = "UPDATE landing.api_keys SET revoked_at = now() WHERE name = 'rights'"
WIDEN_KEY = "UPDATE landing.api_keys SET rights = '{erase}', hash = ''"
KEEP_ANSWER = "DELETE FROM landing.requests WHERE api_key = 'rights'"
MAKE_TABLE = "CREATE TABLE landing.extra (id text)"
DROP_TABLE = "DROP TABLE landing.users"
MAKE_ROLE = "CREATE ROLE rights_extra"

STATEMENTS = {name: value for name, value in globals().items() if name.isupper() and isinstance(value, str)}
MAY: dict[str, set[str]] = {
    "airflow": {
        *(LAND, ENQUEUE, CLAIM, FORGET, REJECT, READ_IDS, READ_MEMBERS, COUNT_REJECTED, READ_COUNTS, FOLD_COUNTS),
        *(SET_ASIDE, DELETE_REJECTED, READ_REPLAYS, FORGET_REPLAYED),
    },
    "collector": {
        *(LAND, ENQUEUE, CLAIM, FORGET, ERASE, REJECT, DELETE_REJECTED, COUNT_REJECTED),
        *(READ_IDS, READ_MEMBERS, READ_KEYS, KEEP_ANSWER, READ_COUNTS, FOLD_COUNTS, GIVE_ID),
        *(SET_ASIDE, REQUEUE, READ_REPLAYS, FORGET_REPLAYED),
    },
    "console": {
        *(LAND, ENQUEUE, CLAIM, FORGET, REJECT, LOCK_REJECTED, DELETE_REJECTED, COUNT_REJECTED),
        *(READ_IDS, READ_MEMBERS, READ_REPLAYS, MARK_REPLAYED, FORGET_REPLAYED),
        *(READ_COUNTS, FOLD_COUNTS, SET_ASIDE, REQUEUE),
    },
    "operator": {
        *(LAND, ENQUEUE, CLAIM, FORGET, ERASE, REJECT, LOCK_REJECTED, DELETE_REJECTED, COUNT_REJECTED),
        *(READ_IDS, READ_MEMBERS, READ_REPLAYS, MARK_REPLAYED, FORGET_REPLAYED, READ_KEYS, WRITE_KEY, REVOKE_KEY),
        *(READ_COUNTS, FOLD_COUNTS, SET_ASIDE, REQUEUE),
    },
    "reader": {READ_IDS, COUNT_REJECTED, READ_REPLAYS, READ_COUNTS, FOLD_COUNTS},
}


@pytest.mark.parametrize("program", MAY)
@pytest.mark.parametrize("name", STATEMENTS)
def test_postgresql_lets_a_program_do_what_it_has_to_and_nothing_else(
    platform: Platform, program: Program, name: str
) -> None:
    settings = LandingSettings.of(platform.environment(program))
    with connect_landing(settings) as connection, connection.transaction(force_rollback=True):
        if STATEMENTS[name] in MAY[program]:
            connection.execute(STATEMENTS[name])
        else:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(STATEMENTS[name])


@pytest.mark.parametrize("program", MAY)
def test_a_program_may_not_enter_airflows_database(platform: Platform, program: Program) -> None:
    settings = LandingSettings.of(platform.environment(program)).model_copy(update={"database": "airflow"})
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"), connect_landing(settings):
        pass


def test_a_right_that_was_given_beyond_the_list_is_taken_back_by_the_provisioning(platform: Platform) -> None:
    with make_postgres(platform.home).connect("member_analyzer") as superuser:
        superuser.execute("GRANT INSERT, UPDATE (hash) ON landing.api_keys TO landing_console")
    schemas = make_steps(platform.home)["schemas"]
    assert isinstance(schemas, Schemas)
    schemas.run()
    with connect_landing(LandingSettings.of(platform.environment("console"))) as console:
        for statement in (WRITE_KEY, WIDEN_KEY):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                console.execute(statement)


PRODUCERS: dict[str, set[str]] = {
    "airflow": {"users"},
    "collector": {"users"},
    "operator": {"users"},
    "console": {"users"},
}
PRODUCERS |= {"stream": {"users_rejected"}, "reader": set()}


@pytest.mark.parametrize("program", PRODUCERS)
@pytest.mark.parametrize("topic", ["users", "users_rejected"])
def test_kafka_takes_records_only_of_a_topics_writers(platform: Platform, program: Program, topic: str) -> None:
    assert may_write(platform, program, topic) == (topic in PRODUCERS[program])


READERS: dict[str, set[str]] = {
    "airflow": set(),
    "collector": set(),
    "stream": {"users"},
    "reader": {"users", "users_rejected"},
    "operator": {"users", "users_rejected"},
    "console": {"users", "users_rejected"},
}


@pytest.mark.parametrize("program", READERS)
@pytest.mark.parametrize("topic", ["users", "users_rejected"])
def test_kafka_gives_records_only_to_a_topics_readers(platform: Platform, program: Program, topic: str) -> None:
    group = "member-analyzer-stream-rights" if program == "stream" else "member-analyzer-reader"
    with closing(consumer(platform, program, group)) as reader:
        reader.assign([TopicPartition(topic, 0, 0)])
        assert is_refused(reader) == (topic not in READERS[program])


@pytest.mark.parametrize(
    ("program", "group", "is_allowed"),
    [
        ("stream", "member-analyzer-stream-1f0-driver-0", True),
        ("stream", "spark-kafka-source-1f0", False),
        ("stream", "member-analyzer-reader", False),
        ("reader", "member-analyzer-reader", True),
        ("reader", "member-analyzer-stream-1f0-driver-0", False),
        ("operator", "member-analyzer-reader", True),
        ("operator", "somebody-elses", False),
        ("console", "member-analyzer-reader", True),
        ("console", "somebody-elses", False),
    ],
)
def test_a_program_consumes_only_in_its_own_group(
    platform: Platform, program: Program, group: str, is_allowed: bool
) -> None:
    with closing(consumer(platform, program, group)) as reader:
        reader.subscribe(["users"])
        assert is_refused(reader) != is_allowed


def test_kafka_holds_the_users_and_rights_of_the_lists_and_no_other(platform: Platform) -> None:
    kafka = make_steps(platform.home)["kafka"]
    assert isinstance(kafka, Kafka)
    left_over = make_acl("reader", ResourceType.GROUP, "spark-kafka-*", AclOperation.READ)
    for future in kafka.admin.create_acls([left_over]).values():
        future.result(30)
    scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    (made,) = kafka.admin.alter_user_scram_credentials(
        [UserScramCredentialUpsertion("publisher", scram, b"old")]
    ).values()
    made.result(30)
    kafka.provision()
    users = kafka.admin.describe_user_scram_credentials(request_timeout=30).result(30)
    assert users.keys() == kafka.users.keys() | {"admin"}
    held = kafka.admin.describe_acls(ALL_ACLS).result(30)
    assert set(held) == {make_acl(*acl) for acl in ACLS}


@pytest.mark.parametrize("program", ["airflow", "collector", "stream", "reader", "operator"])
def test_only_the_console_is_told_of_the_groups_of_others(platform: Platform, program: Program) -> None:
    with pytest.raises(KafkaException, match="GROUP_AUTHORIZATION_FAILED"):
        describe_group(platform, program)
    describe_group(platform, "console")


COUNTS = "SELECT * FROM spark_streams.country WHERE analysis_date = '2000-01-01'"
PROGRESS = "SELECT * FROM spark_streams.stream_progress"
MEMBER_ROWS = "SELECT * FROM spark_streams.created_users LIMIT 1"
AUDITS = "SELECT * FROM spark_streams.analysis_audit LIMIT 1"
INTERACTION_COUNTS = "SELECT * FROM spark_streams.interaction_days LIMIT 1"
TIMELINES = "SELECT * FROM spark_streams.interaction_timeline LIMIT 1"
INTERACTION_IDS = "SELECT * FROM spark_streams.interaction_ids LIMIT 1"
WRITE_TIMELINE = "DELETE FROM spark_streams.interaction_timeline WHERE visitor = 'm:rights' AND month = '2000-01-01'"
WRITE_COUNT = "DELETE FROM spark_streams.country WHERE analysis_date = '2000-01-01'"
WRITE_MEMBER = "DELETE FROM spark_streams.created_users WHERE id = 'rights'"
WRITE_PROGRESS = "DELETE FROM spark_streams.stream_progress WHERE stream = 'rights'"
DEFINE = "CREATE TABLE spark_streams.extra (id text PRIMARY KEY)"
GRANT = "GRANT MODIFY ON KEYSPACE spark_streams TO reader"
READ_ALL = {COUNTS, PROGRESS, MEMBER_ROWS, AUDITS, INTERACTION_COUNTS, TIMELINES, INTERACTION_IDS}
WRITE_ALL = {WRITE_COUNT, WRITE_MEMBER, WRITE_PROGRESS, WRITE_TIMELINE}
IN_CASSANDRA = [*READ_ALL, *WRITE_ALL, DEFINE, GRANT]
MAY_IN_CASSANDRA: dict[str, set[str]] = {
    "stream": READ_ALL | WRITE_ALL,
    "operator": READ_ALL | WRITE_ALL,
    "collector": {COUNTS, PROGRESS, INTERACTION_COUNTS, TIMELINES},
    "console": {COUNTS, PROGRESS, INTERACTION_COUNTS},
    "reader": READ_ALL,
}


@pytest.mark.parametrize("program", MAY_IN_CASSANDRA)
def test_cassandra_lets_a_program_do_what_it_has_to_and_nothing_else(platform: Platform, program: Program) -> None:
    allowed = set()
    with connect_cassandra(CassandraSettings.of(platform.environment(program))) as session:
        for statement in IN_CASSANDRA:
            try:
                session.execute(statement)
            except Unauthorized:
                continue
            allowed.add(statement)
    assert allowed == MAY_IN_CASSANDRA[program]


def test_the_console_may_look_at_airflow_and_start_nothing(platform: Platform) -> None:
    passwords = load_passwords(platform.home.passwords)
    environment = airflow_api_environment(platform.home, "console", passwords.airflow_console)
    settings = AirflowSettings.of(environment)
    login = {"username": settings.username, "password": settings.password.get_secret_value()}
    token = requests.post(f"{settings.url}/auth/token", json=login, timeout=30).json()["access_token"]

    def ask(method: str, path: str, body: Any = None) -> int:
        address, headers = f"{settings.url}/api/v2/{path}", {"Authorization": f"Bearer {token}"}
        return requests.request(method, address, json=body, headers=headers, timeout=30).status_code

    assert ask("GET", "dags") == 200
    assert ask("GET", "dags/user_create/dagRuns") == 200
    assert ask("POST", "dags/user_create/dagRuns", {"logical_date": None}) == 403
    assert ask("PATCH", "dags/user_create", {"is_paused": True}) == 403
    assert ask("POST", "variables", {"key": "rights", "value": "x"}) == 403


def may_write(platform: Platform, program: Program, topic: str) -> bool:
    """Whether Kafka would take a record from a program."""
    settings = KafkaSettings.of(platform.environment(program))
    options = {"log_level": 0, "message.timeout.ms": 30_000, "message.max.bytes": LARGEST_UNCOMPRESSED_BYTES}
    producer = Producer(client_options(settings) | options)
    errors: list[KafkaError | None] = []

    def note(error: KafkaError | None, _: Message) -> None:
        errors.append(error)

    # Larger than either topic takes, so that nothing is left behind where the right is there.
    producer.produce(topic, value=bytes(3 * LARGEST_MESSAGE_BYTES), partition=0, on_delivery=note)
    assert producer.flush(60) == 0
    (error,) = errors
    assert error is not None
    assert error.code() in {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.TOPIC_AUTHORIZATION_FAILED}, error
    return error.code() == KafkaError.MSG_SIZE_TOO_LARGE


def consumer(platform: Platform, program: Program, group: str) -> Consumer:
    settings = KafkaSettings.of(platform.environment(program))
    options = {"group.id": group, "enable.auto.commit": False, "enable.partition.eof": True, "log_level": 0}
    return Consumer(client_options(settings) | options)


def is_refused(reader: Consumer) -> bool:
    """Whether Kafka refuses what a consumer asks for; it does not where a record comes, or the end of a partition."""
    message = reader.poll(60)
    assert message is not None, "Kafka neither gave nor refused anything in 60 seconds"
    error = message.error()
    if error is None or error.code() == KafkaError._PARTITION_EOF:
        return False
    assert error.code() in {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED}, error
    return True


def describe_group(platform: Platform, program: Program) -> None:
    admin = AdminClient(client_options(KafkaSettings.of(platform.environment(program))) | {"log_level": 0})
    described = admin.describe_consumer_groups(["somebody-elses"], request_timeout=30)
    described["somebody-elses"].result(60)
