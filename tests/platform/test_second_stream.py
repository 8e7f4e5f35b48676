"""A second stream, which is defined in the tests alone, goes the whole way on the real servers."""

import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from member_analyzer.analysis.counts import fold
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.deadletters.rejected import read_rejected
from member_analyzer.deadletters.replay import ReplayServers, replay
from member_analyzer.kafka.client import client_options
from member_analyzer.kafka.reader import TopicReader, open_topic_reader
from member_analyzer.kafka.registry import registry_client, value_reader
from member_analyzer.landing.acceptance import land_records, read_records
from member_analyzer.landing.connection import connect_landing
from member_analyzer.landing.counters import count_landed, recount_landed
from member_analyzer.local.environment import base_environment, python, spark_environment
from member_analyzer.operations.audit import Sources, count_waiting, take_audit
from member_analyzer.operations.provision import WITHOUT_ROLES, provision
from member_analyzer.operations.rebuild import request_rebuild
from member_analyzer.publishing.producer import RecordProducer
from member_analyzer.publishing.publisher import EventProducer, publish_unpublished
from member_analyzer.records.rejection import Reason
from member_analyzer.records.wire import ValueReader
from member_analyzer.settings import KafkaSettings, LandingSettings, RegistrySettings
from member_analyzer.streams.definition import StreamDefinition
from member_analyzer.streams.members.definition import MEMBERS
from patience import holds
from running_platform import Platform
from tickets import RETURNS, TICKETS, age_of

APPLICATION = Path(__file__).parents[1] / "tickets_application.py"
# The tests may run past midnight, but the tickets remain the same.
REPORTED_UNTIL = datetime.now(UTC).date()


def today() -> date:
    return datetime.now(UTC).date()


def make_tickets(first: int, count: int) -> list[dict[str, Any]]:
    return [
        {
            "number": f"T-{number}",
            "priority": "high" if number % 3 == 0 else "low",
            "product": f"product {number % 4}",
            "reported_on": (REPORTED_UNTIL - timedelta(days=number % 10)).isoformat(),
            "note": f"line one\nline two of {number}",
        }
        for number in range(first, first + count)
    ]


@dataclass
class Stream:
    """One stream of the tests on the running platform, with everything that works on it."""

    definition: StreamDefinition
    platform: Platform
    environment: Mapping[str, str]
    tables: AnalysisTables
    topics: TopicReader

    def land(self, tickets: list[dict[str, Any]]) -> None:
        """Accept tickets, and publish them."""
        records, rejected = read_records(self.definition, tickets, datetime.now(UTC))
        land_records(self.platform.landing, self.definition, records, rejected, source="test")
        self.publish()

    def publish(self) -> int:
        kafka, registry = KafkaSettings.of(self.environment), RegistrySettings.of(self.environment)
        return publish_unpublished(self.platform.landing, EventProducer(self.definition, kafka, registry))

    @property
    def values(self) -> ValueReader:
        return value_reader(registry_client(RegistrySettings.of(self.environment)), self.definition)

    @property
    def sources(self) -> Sources:
        return Sources(self.platform.landing, self.topics, self.tables, self.values)

    def expect(self, tickets: list[dict[str, Any]]) -> None:
        """Wait until the tables are what these tickets make of them, and the audit agrees."""
        age, priority, product = self.definition.dimensions
        reported = Counter((one["reported_on"],) for one in tickets)

        def expected() -> dict[str, Any]:
            return {
                age.table: fold(age, reported, today()),
                priority.table: Counter((one["priority"],) for one in tickets),
                product.table: Counter((one["priority"], one["product"]) for one in tickets),
            }

        def read() -> dict[str, Any]:
            tables = [one.table for one in self.definition.dimensions]
            return {table: dict(self.tables.read_distribution(table, today()).buckets) for table in tables}

        assert holds(lambda: read() == expected()), (read(), expected())
        assert holds(lambda: count_waiting(self.sources) == 0), "events are still on their way"
        assert take_audit(self.sources).disagreements == []
        rows = {row["number"]: row for row in self.tables.read_rows()}
        assert rows.keys() == {one["number"] for one in tickets}


@pytest.fixture(scope="module")
def environment(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The administrator's settings: the programs of the platform have no rights on these streams."""
    own = {"STREAM_CHECKPOINT": str(tmp_path_factory.mktemp("checkpoint")), "PYTHONPATH": str(APPLICATION.parent)}
    spark = spark_environment(platform.home, "recount")
    return base_environment(platform.home) | spark | platform.environment("admin") | own


@pytest.fixture(scope="module")
def streams(platform: Platform, environment: dict[str, str]) -> Iterator[tuple[Stream, Stream]]:
    provision(environment, [TICKETS, RETURNS], WITHOUT_ROLES)
    with ExitStack() as stack:
        topics = stack.enter_context(open_topic_reader(KafkaSettings.of(environment)))
        tickets, returns = (
            Stream(
                definition,
                platform,
                environment,
                AnalysisTables(platform.session, "spark_streams", definition),
                topics,
            )
            for definition in (TICKETS, RETURNS)
        )
        yield tickets, returns


@pytest.fixture(scope="module")
def application(environment: dict[str, str], streams: tuple[Stream, Stream], tmp_path_factory: Any) -> Iterator[Path]:
    """Both streams in one Spark application; gives its log."""
    log = Path(tmp_path_factory.mktemp("log")) / "tickets.log"
    with (
        log.open("wb") as output,
        subprocess.Popen([python(), APPLICATION], env=environment, stdout=output, stderr=output) as process,
    ):
        yield log
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0, log.read_text(errors="replace")[-3000:]


def test_records_of_two_more_streams_are_counted_in_one_application(
    streams: tuple[Stream, Stream], application: Path
) -> None:
    tickets, returns = streams
    tickets.land([*make_tickets(0, 300), *make_tickets(0, 40), {"number": "T-1000", "priority": "urgent"}])
    returns.land(make_tickets(0, 50))
    tickets.expect(make_tickets(0, 300))
    returns.expect(make_tickets(0, 50))
    counts = count_landed(tickets.platform.landing, TICKETS)
    assert counts == recount_landed(tickets.platform.landing, TICKETS)
    assert (counts.accepted, counts.rejected, counts.unpublished) == (300, 1, 0)
    day = today()
    assert (tickets.tables.read_distribution("tickets_age", day).total, age_of(day, day)) == (300, "today")


def test_provisioning_another_stream_leaves_the_rights_on_the_members(
    streams: tuple[Stream, Stream], platform: Platform
) -> None:
    for program in ("airflow", "collector", "console", "operator", "reader"):
        with connect_landing(LandingSettings.of(platform.environment(program))) as connection:
            assert count_landed(connection, MEMBERS) == count_landed(platform.landing, MEMBERS), program


def test_a_dead_letter_of_another_stream_can_be_listed_and_sent_again(
    streams: tuple[Stream, Stream], application: Path
) -> None:
    tickets, returns = streams
    producer = Producer(client_options(KafkaSettings.of(tickets.environment)))
    producer.produce(TICKETS.topic.name, key=b"T-1", value=b"\1poison")
    assert producer.flush(30) == 0

    def dead_letters() -> list[Any]:
        return read_rejected(tickets.topics, tickets.platform.landing, TICKETS)

    assert holds(lambda: len(dead_letters()) == 1), "the record was not rejected"
    assert dead_letters()[0].reason == Reason.WRONG_MAGIC_BYTE
    assert read_rejected(returns.topics, returns.platform.landing, RETURNS) == []
    servers = ReplayServers(
        tickets.topics,
        tickets.platform.landing,
        TICKETS,
        RecordProducer(KafkaSettings.of(tickets.environment), TICKETS.topic),
        tickets.values,
        tickets.publish,
    )
    assert replay(servers, origins=[dead_letters()[0].origin]).sent == 1
    assert holds(lambda: len(dead_letters()) == 2), "what was sent again was not rejected again"


def test_a_rebuild_of_one_stream_leaves_the_others_alone(streams: tuple[Stream, Stream], application: Path) -> None:
    tickets, returns = streams
    platform = tickets.platform
    members = set(platform.created_users())
    generation = platform.tables.read_generations().current
    asked = request_rebuild(platform.landing, tickets.topics, tickets.tables, datetime.now(UTC))
    assert asked.records == 300
    tickets.publish()
    assert holds(lambda: tickets.tables.read_generations().current.name == asked.generation.name)
    tickets.land(make_tickets(300, 20))
    tickets.expect(make_tickets(0, 320))
    returns.expect(make_tickets(0, 50))
    assert set(platform.created_users()) == members
    assert platform.tables.read_generations().current == generation


def test_a_recount_finds_and_repairs_what_is_wrong_in_its_own_stream(
    streams: tuple[Stream, Stream], application: Path, environment: dict[str, str]
) -> None:
    tickets, _ = streams
    day = today()
    tickets.platform.session.execute(
        "UPDATE spark_streams.tickets_priority SET tickets = 7 WHERE analysis_date = %s AND priority = 'low'", (day,)
    )
    command = [python(), APPLICATION, "recount"]
    counted = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert counted.returncode == 0, counted.stderr[-3000:]
    tickets.expect(make_tickets(0, 320))
    audits = {one.table: one for one in tickets.tables.read_audits(day) if one.table.startswith("tickets_")}
    assert [len(audits[table].differences) for table in sorted(audits)] == [0, 1, 0]


def test_a_day_that_begins_folds_the_same_dates_anew(streams: tuple[Stream, Stream], application: Path) -> None:
    tickets, _ = streams
    (age, *_) = TICKETS.dimensions
    counts = tickets.tables.read_folded()[age.name]
    following = REPORTED_UNTIL + timedelta(days=1)
    assert fold(age, counts, following)[("today",)] < fold(age, counts, REPORTED_UNTIL)[("today",)]
    assert sum(fold(age, counts, following).values()) == 320
