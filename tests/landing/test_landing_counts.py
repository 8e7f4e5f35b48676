"""The landing counters, on a real PostgreSQL."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib.resources import files

from landed_members import land_users
from member_analyzer.landing.acceptance import accept_records, retry_rejected
from member_analyzer.landing.connection import Connection, connect_landing
from member_analyzer.landing.counters import (
    CHANGES_TO_FOLD,
    MAX_COUNTED,
    LandingCounts,
    count_landed,
    count_rejected,
    fold_counts,
    recount_landed,
)
from member_analyzer.landing.dead_letters import forget_rejected
from member_analyzer.landing.erasure import erase_records
from member_analyzer.landing.outbox import claim_unpublished, enqueue_all, forget_erased, set_aside
from member_analyzer.landing.schema import create_tables, stream_statements
from member_analyzer.records.rejection import Reason, Rejection
from member_analyzer.settings import LandingSettings
from member_analyzer.streams.members.definition import MEMBERS
from member_samples import make_user

BROKEN = Rejection(Reason.UNPROCESSABLE, "It cannot be encoded.")


def users(prefix: str, count: int) -> list[object]:
    return [make_user(login={"uuid": f"{prefix}-{number}"}) for number in range(count)]


def publish(connection: Connection, limit: int = 100) -> None:
    with connection.transaction():
        forget_erased(connection, MEMBERS, claim_unpublished(connection, MEMBERS, limit))


def land_and_roll_back(connection: Connection) -> None:
    with connection.transaction(force_rollback=True):
        land_users(connection, users("lost", 5), source="test")


CHANGES: dict[str, Callable[[Connection], object]] = {
    "members land": lambda one: land_users(one, users("a", 30), source="test"),
    "members land again": lambda one: land_users(one, users("a", 30), source="test"),
    "members land in a transaction that is rolled back": land_and_roll_back,
    "users are rejected": lambda one: land_users(one, [*users("b", 2), {}, 7, make_user(gender="?")], source="test"),
    "members are published": lambda one: publish(one, 10),
    "members are erased": lambda one: erase_records(one, MEMBERS, ["a-1", "a-2", "a-1", "nobody"]),
    "erasures are published": publish,
    "members are erased again": lambda one: erase_records(one, MEMBERS, ["a-1", "a-2"]),
    "everything is queued again": lambda one: enqueue_all(one, MEMBERS),
    "members are set aside": lambda one: set_aside(one, MEMBERS, {"a-5": BROKEN, "a-6": BROKEN}),
    "one of them is set aside again": lambda one: set_aside(one, MEMBERS, {"a-6": BROKEN, "a-7": BROKEN}),
    "one of them is erased": lambda one: erase_records(one, MEMBERS, ["a-5"]),
    "rejected users are replayed": lambda one: retry_rejected(one, MEMBERS),
    "rejected users are purged": lambda one: forget_rejected(one, [MEMBERS], timedelta(0)),
}


def test_the_counters_equal_a_count_of_the_rows_after_every_change(landing: Connection) -> None:
    for name, change in CHANGES.items():
        change(landing)
        assert count_landed(landing, MEMBERS) == recount_landed(landing, MEMBERS), f"after {name}"
    assert count_landed(landing, MEMBERS).accepted == 29
    assert count_landed(landing, MEMBERS).erased == 3


def test_rejected_users_are_counted_by_reason(landing: Connection) -> None:
    land_users(landing, [{}, 7, make_user(gender="?"), make_user(gender="!")], source="test")
    assert count_rejected(landing, MEMBERS) == {"missing_field": 1, "not_an_object": 1, "unknown_value": 2}


def test_the_counters_are_right_under_concurrent_writes_erasures_publishing_and_folding(
    settings: LandingSettings,
) -> None:
    def work(number: int) -> None:
        chance = random.Random(number)
        with connect_landing(settings) as connection:
            for step in range(40):
                land_users(connection, [*users(f"{chance.randrange(4)}-{step}", 5), {"n": number}], source="test")
                erase_records(connection, MEMBERS, [f"{chance.randrange(4)}-{chance.randrange(40)}-1"])
                publish(connection, 3)
                connection.execute("SELECT landing.fold_counts()")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    with connect_landing(settings) as connection:
        assert count_landed(connection, MEMBERS) == recount_landed(connection, MEMBERS)


def test_folding_keeps_the_sums_and_leaves_few_rows(landing: Connection) -> None:
    for number in range(2 * CHANGES_TO_FOLD):
        land_users(landing, users(str(number), 1), source="test")
    before = count_landed(landing, MEMBERS)
    fold_counts(landing)
    assert count_landed(landing, MEMBERS) == before == recount_landed(landing, MEMBERS)
    assert landing.execute("SELECT count(*) <= 10 FROM landing.count_changes").fetchone() == (True,)


def test_reading_the_counters_does_not_read_the_tables_they_count(landing: Connection) -> None:
    land_users(landing, users("a", 3), source="test")
    for table in ("users", "rejected", "unpublishable"):
        # Reading one of them would fail now.
        landing.execute(f"ALTER TABLE landing.{table} RENAME TO hidden_{table}")
    assert count_landed(landing, MEMBERS).accepted == 3
    assert count_rejected(landing, MEMBERS) == {}


def test_the_length_of_a_long_outbox_is_estimated(landing: Connection) -> None:
    insert = "INSERT INTO landing.unpublished (id) SELECT 'x' FROM generate_series(1, %s)"
    landing.execute(insert, (MAX_COUNTED - 1,))
    assert count_landed(landing, MEMBERS).unpublished == MAX_COUNTED - 1
    landing.execute(insert, (2 * MAX_COUNTED,))
    assert (
        count_landed(landing, MEMBERS).unpublished
        == recount_landed(landing, MEMBERS).unpublished
        == 3 * MAX_COUNTED - 1
    )


def text_before(marker: bytes, text: bytes) -> bytes:
    before, found, _ = text.partition(marker)
    assert found, f"{marker!r} is not in the statements"
    return before


def create_earlier_tables(connection: Connection) -> None:
    """The tables of an earlier version without counters, with members in every state."""
    connection.execute("DROP SCHEMA landing CASCADE")
    shared = files("member_analyzer.landing").joinpath("schema.sql").read_bytes()
    connection.execute(text_before(b"-- Row counters", shared))
    connection.execute(text_before(b"-- Runs once", stream_statements(MEMBERS.landing)))
    connection.execute(
        """
        INSERT INTO landing.users (id, record, source, erased_at)
        SELECT 'earlier-' || n, '{}', 'test', CASE WHEN n % 10 = 0 THEN now() END FROM generate_series(1, 5000) AS n;
        INSERT INTO landing.unpublished (id) SELECT 'earlier-' || n FROM generate_series(1, 70) AS n;
        INSERT INTO landing.rejected (fingerprint, original, reason, message, source)
        SELECT n::text, '{}', 'bad_date', '', 'test' FROM generate_series(1, 7) AS n
        """
    )


def test_the_tables_of_an_earlier_version_are_counted_once_by_repeated_provisioning(landing: Connection) -> None:
    create_earlier_tables(landing)
    for _ in range(3):
        create_tables(landing, [MEMBERS])
        assert count_landed(landing, MEMBERS) == recount_landed(landing, MEMBERS) == LandingCounts(4500, 70, 7, 500, 0)


def test_counters_that_an_earlier_version_named_without_the_table_are_renamed(landing: Connection) -> None:
    land_users(landing, users("renamed", 3), source="test")
    before = count_landed(landing, MEMBERS)
    landing.execute("ALTER FUNCTION landing.count_records() RENAME TO count_users")
    landing.execute("UPDATE landing.count_changes SET name = split_part(name, ':', 2) WHERE name LIKE 'users:%'")
    assert count_landed(landing, MEMBERS).accepted == 0
    create_tables(landing, [MEMBERS])
    assert count_landed(landing, MEMBERS) == before
    land_users(landing, users("after-renaming", 2), source="test")
    assert count_landed(landing, MEMBERS) == recount_landed(landing, MEMBERS)


def test_the_tables_of_an_earlier_version_are_counted_right_while_members_arrive(settings: LandingSettings) -> None:
    with connect_landing(settings) as connection:
        create_earlier_tables(connection)

        def accept(number: int) -> None:
            with connect_landing(settings) as own:
                for step in range(60):
                    accept_records(own, MEMBERS, [{"id": f"{number}-{step}"}], source="test")

        with ThreadPoolExecutor(5) as pool:
            accepting = [pool.submit(accept, number) for number in range(4)]
            create_tables(connection, [MEMBERS])
            for one in accepting:
                one.result()
        assert count_landed(connection, MEMBERS) == recount_landed(connection, MEMBERS)
        assert count_landed(connection, MEMBERS).accepted == 4500 + 240
