"""The stream does not start where going on would make the tables wrong."""

from collections.abc import Iterator
from contextlib import contextmanager

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
            away.rename(platform.home.checkpoint)
    platform.create("after-the-loss", 50)
    platform.wait_until_counted()


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
