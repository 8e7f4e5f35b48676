"""The stream does not start where going on would make the tables wrong."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from counted_interactions import CountedInteractions
from interaction_records import Interactions
from member_analyzer.analysis.progress_tables import read_refusals
from member_analyzer.local.supervision import start_process, stop_process
from patience import holds
from running_platform import Platform


def log_of(platform: Platform) -> str:
    return (platform.home.logs / "stream.log").read_text(errors="replace")


@contextmanager
def stopped_stream(platform: Platform) -> Iterator[None]:
    """The stream is down within the block, and goes on counting after it."""
    stop_process(platform.home, "stream")
    try:
        yield
    finally:
        stop_process(platform.home, "stream")
        start_process(platform.home, "stream")


def test_a_stream_without_its_checkpoint_refuses_to_count_from_zero(platform: Platform) -> None:
    platform.create("before-the-loss", 50)
    platform.wait_until_counted()
    away = platform.home.checkpoint.with_name("checkpoint-away")
    with stopped_stream(platform):
        platform.home.checkpoint.rename(away)
        try:
            start_process(platform.home, "stream")
            assert holds(lambda: "counting from zero would make every table wrong" in log_of(platform))
            assert "member-analyzer rebuild" in log_of(platform)
        finally:
            stop_process(platform.home, "stream")
            # Another stream, of which nothing is counted yet, has begun a new one.
            shutil.rmtree(platform.home.checkpoint, ignore_errors=True)
            away.rename(platform.home.checkpoint)
    platform.create("after-the-loss", 50)
    platform.wait_until_counted()


def test_a_stream_that_refuses_to_start_does_not_stop_the_other(platform: Platform) -> None:
    platform.create("before-the-refusal", 50)
    platform.wait_until_counted()
    interactions = Interactions(platform)
    counted = CountedInteractions(platform, interactions)
    source = f"guard-{uuid4().hex[:12]}"
    key = interactions.create_source(source)

    def send_one() -> None:
        interactions.send(key, {"anonymousId": "device", "messageId": uuid4().hex}, "/v1/page")

    send_one()
    counted.wait_for(source, 1)
    checkpoint = platform.home.checkpoint / "users"
    away = platform.home.checkpoint.with_name("checkpoint-of-users")
    with stopped_stream(platform):
        checkpoint.rename(away)
        try:
            start_process(platform.home, "stream")
            assert holds(lambda: "users" in read_refusals(platform.session, "spark_streams")), "the stream starts"
            send_one()
            counted.wait_for(source, 2)
            assert "no checkpoint" in read_refusals(platform.session, "spark_streams")["users"]
        finally:
            away.rename(checkpoint)
        # Without a restart.
        platform.create("after-the-refusal", 50)
        platform.wait_until_counted()
        assert read_refusals(platform.session, "spark_streams") == {}


def test_a_stream_whose_cassandra_was_emptied_refuses_to_go_on(platform: Platform) -> None:
    platform.wait_until_counted()
    progress = "spark_streams.stream_progress"
    rows = list(platform.session.execute(f"SELECT * FROM {progress}"))
    with stopped_stream(platform):
        platform.session.execute(f"TRUNCATE {progress}")
        try:
            start_process(platform.home, "stream")
            assert holds(lambda: "has read records that Cassandra does not hold" in log_of(platform))
        finally:
            stop_process(platform.home, "stream")
            for row in rows:
                columns = ", ".join(row)
                values = ", ".join(["%s"] * len(row))
                platform.session.execute(f"INSERT INTO {progress} ({columns}) VALUES ({values})", tuple(row.values()))
    platform.create("after-the-restore", 50)
    platform.wait_until_counted()
