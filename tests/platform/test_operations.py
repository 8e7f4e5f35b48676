"""The commands of whoever looks after a platform, on the real one."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from confluent_kafka.admin import AdminClient, ConfigResource

from landed_members import land_users
from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.analysis.progress import QUERY
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.kafka.client import client_options
from member_analyzer.kafka.topics import create_topics
from member_analyzer.landing.counters import count_landed, count_rejected
from member_analyzer.landing.erasure import erase_records
from member_analyzer.landing.schema import create_tables
from member_analyzer.local.platform import make_postgres
from member_analyzer.operations.provision import Step, provision
from member_analyzer.records.rejection import Reason
from member_analyzer.settings import CassandraSettings, KafkaSettings
from member_analyzer.streams.definition import DAY_IN_MILLISECONDS
from member_analyzer.streams.members.definition import MEMBERS
from running_platform import Platform
from topic_records import Records


def test_rejected_records_are_listed_without_what_they_hold_and_shown_with_it(platform: Platform) -> None:
    records = Records(platform)
    (member,) = records.make_members("listed", 1)
    records.send(records.encode(member), records.encode({**member, "id": "shown", "gender": "?"}), key="listed")
    (rejected,) = records.wait_for_rejected(lambda one: one.key == b"listed", 1)
    listed = platform.command("rejected", "list", "--reason", Reason.UNKNOWN_VALUE.value).stdout
    assert rejected.origin in listed
    assert member["last_name"] not in listed
    shown = platform.command("rejected", "show", rejected.origin).stdout
    assert "The field gender must be one of: female, male, other, undisclosed." in shown
    assert f"last_name = {member['last_name']}" in shown


def test_a_rejected_record_that_there_is_not_is_a_one_line_error(platform: Platform) -> None:
    for command in ("show", "replay"):
        failed = platform.command("rejected", command, "users:0:987654", check=False)
        assert failed.returncode == 1
        assert failed.stderr.startswith("error: No rejected record has the origin users:0:987654")
        assert len(failed.stderr.splitlines()) == 1


def test_a_user_that_was_rejected_before_landing_is_accepted_once_the_cause_is_mended(platform: Platform) -> None:
    (user,) = platform.source.users(seed="refused-once", results=1, page=1)
    platform.expect([user])
    # As if a rule of an earlier version had refused it.
    platform.landing.execute(
        "INSERT INTO landing.rejected (fingerprint, original, reason, message, source) VALUES (%s, %s, %s, %s, %s)",
        ("refused-once", json.dumps(user).encode(), Reason.TEXT_TOO_LONG.value, "", "test"),
    )
    output = platform.command("rejected", "replay", "--reason", Reason.TEXT_TOO_LONG.value).stdout
    assert "1 users that were rejected before landing are now accepted" in output
    assert Reason.TEXT_TOO_LONG.value not in count_rejected(platform.landing, MEMBERS)
    platform.wait_until_counted()


def test_an_audit_names_the_table_that_differs_and_ends_with_status_1(platform: Platform) -> None:
    platform.wait_until_counted()
    agreed = platform.command("audit")
    assert "All stations agree." in agreed.stdout
    platform.session.execute(
        "INSERT INTO spark_streams.country (analysis_date, country, members) VALUES (%s, 'Atlantis', 3)",
        (platform.today,),
    )
    differs = platform.command("audit", "--wait", "0", check=False)
    assert differs.returncode == 1
    assert "The table country differs from created_users in 1 buckets: Atlantis." in differs.stdout
    platform.run("user_analysis")
    platform.command("audit")


def test_a_program_whose_clock_is_behind_writes_over_what_was_written_before(platform: Platform) -> None:
    settings = CassandraSettings.of(platform.environment("admin"))
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    stream = "of-a-clock-that-was-ahead"
    with connect_cassandra(settings) as session:
        session.execute(
            f"INSERT INTO {settings.keyspace}.stream_progress (stream, query, written, updated_at) "
            "VALUES (%s, %s, {0: 1}, %s) USING TIMESTAMP %s",
            (stream, QUERY, tomorrow, int(tomorrow.timestamp() * 1_000_000)),
        )
        tables = AnalysisTables(session, settings.keyspace, MEMBERS)
        tables.end_rows({0: 2}, {0: 2})
        assert tables.read_progress().written == {0: 2}


def test_a_landing_of_an_earlier_version_is_taken_over(platform: Platform) -> None:
    postgres = make_postgres(platform.home)
    with postgres.connect() as admin:
        admin.execute("DROP DATABASE IF EXISTS earlier")
        admin.execute("CREATE DATABASE earlier")
    try:
        with postgres.connect("earlier") as earlier:
            earlier.execute(
                """
                CREATE SCHEMA landing;
                CREATE TABLE landing.users (
                    id text PRIMARY KEY, record json NOT NULL, source text NOT NULL,
                    accepted_at timestamptz NOT NULL DEFAULT clock_timestamp()
                );
                CREATE TABLE landing.rejected (
                    fingerprint text PRIMARY KEY, original bytea NOT NULL, reason text NOT NULL,
                    sentence text NOT NULL, source text NOT NULL,
                    rejected_at timestamptz NOT NULL DEFAULT clock_timestamp()
                );
                INSERT INTO landing.rejected VALUES ('1', '{}', 'missing_field', 'The field id is missing.', 'test');
                """
            )
            for _ in range(2):
                create_tables(earlier, [MEMBERS])
            kept = earlier.execute("SELECT message FROM landing.rejected").fetchall()
            assert kept == [("The field id is missing.",)]
            users = platform.source.users(seed="earlier", results=2, page=1)
            assert land_users(earlier, users, source="test").accepted == 2
            assert len(erase_records(earlier, MEMBERS, [users[0]["login"]["uuid"]]).erased) == 1
            assert count_landed(earlier, MEMBERS).accepted == 1
    finally:
        with postgres.connect() as admin:
            admin.execute("DROP DATABASE earlier")


def test_what_was_rejected_of_an_erased_member_before_landing_is_deleted(platform: Platform) -> None:
    (user,) = platform.source.users(seed="erased-and-refused", results=1, page=1)
    key = user["login"]["uuid"]
    land_users(platform.landing, [user | {"gender": "?"}], source="test")
    rejected = "SELECT count(*) FROM landing.rejected WHERE id = %s"
    assert platform.landing.execute(rejected, (key,)).fetchone() == (1,)
    land_users(platform.landing, [user], source="test")
    # Counted first, or the tables would be right before it is, and wrong for a moment later.
    platform.expect([user])
    platform.wait_until_counted()
    platform.command("erase", key)
    assert platform.landing.execute(rejected, (key,)).fetchone() == (0,)
    del platform.taken[key]
    platform.wait_until_counted()


def test_a_topic_that_kept_rejected_records_for_ever_keeps_them_for_their_retention(platform: Platform) -> None:
    environment = platform.environment("admin")
    kafka = KafkaSettings.of(environment)
    create_topics(kafka, [replace(MEMBERS.dead_letter_topic, retention_milliseconds=-1)])
    assert retention(kafka) == "-1"
    provision(environment, [MEMBERS], [Step.TOPICS])
    assert retention(kafka) == str(30 * DAY_IN_MILLISECONDS)


def retention(kafka: KafkaSettings) -> str:
    wanted = ConfigResource(ConfigResource.Type.TOPIC, MEMBERS.dead_letter_topic.name)
    # The client has to live until its answer is there.
    admin = AdminClient(client_options(kafka))
    (found,) = admin.describe_configs([wanted]).values()
    return str(found.result(30)["retention.ms"].value)
