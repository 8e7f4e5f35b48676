"""The audit on the real platform, over members that bypassed landing."""

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.kafka.client import client_options
from member_analyzer.kafka.reader import open_topic_reader
from member_analyzer.kafka.registry import registry_client, subject_schemas
from member_analyzer.landing.connection import connect_landing
from member_analyzer.operations.audit import Sources, count_waiting, take_audit
from member_analyzer.records.wire import ValueReader
from member_analyzer.settings import CassandraSettings, KafkaSettings, LandingSettings, RegistrySettings
from member_analyzer.streams.members.definition import MEMBERS
from member_analyzer.streams.members.record import avro_schema
from running_platform import Platform
from topic_records import Records


def test_a_member_that_bypassed_landing_agrees_also_once_its_record_has_expired(platform: Platform) -> None:
    records = Records(platform)
    (member,) = records.make_members("bypassed", 1)
    records.send(records.encode(member), key=member["id"])
    platform.wait_until_counted()
    platform.command("audit")
    row = platform.created_user(member["id"])
    # As the retention of the topic does.
    admin = AdminClient(client_options(KafkaSettings.of(platform.environment("admin"))))
    expired = TopicPartition(MEMBERS.topic.name, row["kafka_partition"], row["kafka_offset"] + 1)
    (deleted,) = admin.delete_records([expired]).values()
    assert deleted.result(30).low_watermark == expired.offset
    platform.command("audit")


def test_the_reader_of_helm_test_may_audit(platform: Platform) -> None:
    platform.create("audited by the reader", 20)
    platform.wait_until_counted()
    environment = platform.environment("reader")
    with (
        connect_landing(LandingSettings.of(environment)) as landing,
        open_topic_reader(KafkaSettings.of(environment)) as topics,
        connect_cassandra(CassandraSettings.of(environment)) as session,
    ):
        tables = AnalysisTables(session, CassandraSettings.of(environment).keyspace, MEMBERS)
        registry = registry_client(RegistrySettings.of(environment))
        values = ValueReader(subject_schemas(registry, MEMBERS.subject), avro_schema())
        sources = Sources(landing, topics, tables, values)
        assert count_waiting(sources) == 0
        assert take_audit(sources).disagreements == []


def test_a_member_without_a_row_and_a_row_without_a_member_are_named(platform: Platform) -> None:
    platform.wait_until_counted()
    platform.session.execute(
        "INSERT INTO spark_streams.created_users (id, gender, country, city, date_of_birth) "
        "VALUES ('nowhere', 'other', 'Atlantis', 'Atlantis', '2000-01-01')"
    )
    platform.landing.execute("INSERT INTO landing.users (id, record, source) VALUES ('unsent', '{}', 'test')")
    try:
        differs = platform.command("audit", "--wait", "0", check=False)
        assert differs.returncode == 1
        assert "1 members in landing.users are missing from created_users, for example unsent." in differs.stdout
        assert "1 members in created_users are in neither landing.users nor the topic" in differs.stdout
    finally:
        platform.landing.execute("DELETE FROM landing.users WHERE id = 'unsent'")
        platform.session.execute("DELETE FROM spark_streams.created_users WHERE id = 'nowhere'")
    platform.command("audit")
