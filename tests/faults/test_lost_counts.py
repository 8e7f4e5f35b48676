"""Drill 9: the checkpoint or Cassandra is lost, and everything is counted again."""

import os
import shutil
import signal

import pytest

from drill import Drill
from member_flow import flowing
from running_platform import Platform, Tables, holds


def read_tables(platform: Platform) -> tuple[Tables, set[str]]:
    return platform.actual(), set(platform.created_users())


@pytest.mark.long
@pytest.mark.drill("9a. the checkpoint is lost: refusal, rebuild")
def test_a_rebuild_after_a_lost_checkpoint_gives_the_same_tables(platform: Platform, drill: Drill) -> None:
    log = platform.home.logs / "stream.log"
    with flowing(platform, "drill-checkpoint") as flow:
        flow.wait_until_in_flow(3000)
        size = log.stat().st_size
        os.kill(drill.pid("stream"), signal.SIGKILL)
        shutil.rmtree(platform.home.checkpoint)
        refusal = "There are counted members in Cassandra but no checkpoint"
        assert holds(lambda: refusal in log.read_text(errors="replace")[size:], 60), "the stream did not refuse"
        assert "member-analyzer rebuild" in log.read_text(errors="replace")[size:]
    rebuilt = platform.command("rebuild", check=False)
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    drill.check()
    before = read_tables(platform)
    platform.command("rebuild")
    assert read_tables(platform) == before


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
    rebuilt = platform.command("rebuild", check=False)
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    drill.check()
