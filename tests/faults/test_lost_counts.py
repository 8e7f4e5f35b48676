"""Drill 9: the checkpoint or Cassandra is lost, and everything is counted again."""

import os
import shutil
import signal
from datetime import UTC, datetime, timedelta

import pytest

from drill import Drill
from member_analyzer.analysis import Distribution
from member_analyzer.landing import read_ids
from member_count import Tables
from member_flow import flowing
from patience import holds
from running_platform import Platform
from topic_records import Records

HISTORY = Distribution({("female",): 3, ("male",): 4}, 7)


def read_tables(platform: Platform) -> tuple[Tables, set[str]]:
    return platform.actual(), set(platform.created_users())


def rebuild(platform: Platform) -> None:
    """Count everything again from landing: what other tests put on the topic past it is gone then."""
    rebuilt = platform.command("rebuild", check=False)
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    landed = read_ids(platform.landing)
    platform.taken = {key: user for key, user in platform.taken.items() if key in landed}


@pytest.mark.long
@pytest.mark.drill("9a. the checkpoint is lost: refusal, rebuild")
def test_a_rebuild_after_a_lost_checkpoint_gives_the_same_tables(
    platform: Platform, drill: Drill, records: Records
) -> None:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    platform.tables.write_distribution("gender", yesterday, HISTORY)
    log = platform.home.logs / "stream.log"
    with flowing(platform, "drill-checkpoint") as flow:
        flow.wait_until_in_flow(3000)
        size = log.stat().st_size
        os.kill(drill.pid("stream"), signal.SIGKILL)
        shutil.rmtree(platform.home.checkpoint)
        refusal = "There are counted members in Cassandra but no checkpoint"
        assert holds(lambda: refusal in log.read_text(errors="replace")[size:], 60), "the stream did not refuse"
        assert "member-analyzer rebuild" in log.read_text(errors="replace")[size:]
        # Nothing reads this before the rebuild, and the rebuild begins behind it.
        records.send(b"poison", key="drill-checkpoint")
    rebuild(platform)
    drill.check()
    before = read_tables(platform)
    rebuild(platform)
    assert read_tables(platform) == before
    (rejected,) = records.wait_for_rejected(lambda one: one.key == b"drill-checkpoint", 1)
    assert rejected.value == b"poison"
    assert platform.tables.read_distribution("gender", yesterday) == HISTORY, "a rebuild deleted the day before"


@pytest.mark.long
@pytest.mark.drill("9b. Cassandra's tables are lost: refusal, rebuild")
def test_a_rebuild_after_lost_tables_gives_the_same_tables(platform: Platform, drill: Drill) -> None:
    platform.wait_until_counted()
    log = platform.home.logs / "stream.log"
    tables = [
        row["table_name"]
        for row in platform.session.execute(
            "SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'spark_streams'"
        )
    ]
    with flowing(platform, "drill-tables") as flow:
        flow.wait_until_in_flow(3000)
        size = log.stat().st_size
        os.kill(drill.pid("stream"), signal.SIGKILL)
        for table in tables:
            platform.session.execute(f"TRUNCATE spark_streams.{table}", timeout=60)
        refusal = "has read members that Cassandra does not hold"
        assert holds(lambda: refusal in log.read_text(errors="replace")[size:], 60), "the stream did not refuse"
    rebuild(platform)
    drill.check()
