from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from member_analyzer.streaming.checkpoint import Checkpoint


def write(folder: Path, *lines: str) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("\n".join(lines))


@pytest.fixture
def checkpoint(spark: SparkSession, tmp_path: Path) -> Checkpoint:
    """Two generations of a stream; only the newer one's `members` query has read anything."""
    for batch, ends in ((9, '{"users":{"0":5,"1":2}}'), (10, '{"users":{"0":7,"1":2}}'), (11, '{"users":{"0":9}}')):
        write(tmp_path / f"users/second/members/offsets/{batch}", "v1", "{}", ends)
    for batch in (9, 10):
        write(tmp_path / f"users/second/members/commits/{batch}", "v1", "{}")
    write(tmp_path / "users/first/analysis/metadata", "{}")
    return Checkpoint(spark, str(tmp_path / "users"), "users")


def test_a_batch_tells_how_far_it_reads(checkpoint: Checkpoint) -> None:
    assert checkpoint.read_ends("second", "members", 11) == {0: 9}


def test_the_last_batch_that_is_over_is_the_one_with_the_highest_number(checkpoint: Checkpoint) -> None:
    assert checkpoint.read_committed_ends("second", "members") == {0: 7, 1: 2}


def test_a_query_that_has_read_nothing_has_no_ends(checkpoint: Checkpoint) -> None:
    assert checkpoint.read_committed_ends("first", "members") == {}
    assert checkpoint.read_committed_ends("third", "members") == {}


def test_it_is_known_what_has_begun_and_what_is_over(checkpoint: Checkpoint) -> None:
    assert checkpoint.has_begun("second", "members")
    assert not checkpoint.has_begun("second", "analysis")
    assert not checkpoint.has_begun("first", "members")
    assert checkpoint.has_committed("members")
    assert not checkpoint.has_committed("analysis")


def test_it_is_known_which_batch_was_begun_and_not_ended(checkpoint: Checkpoint) -> None:
    assert checkpoint.has_uncommitted("second", "members")
    write(Path(checkpoint.root) / "second/members/commits/11", "v1", "{}")
    assert not checkpoint.has_uncommitted("second", "members")
    assert not checkpoint.has_uncommitted("third", "members")


def test_an_emptied_checkpoint_has_no_generation(checkpoint: Checkpoint) -> None:
    checkpoint.empty()
    assert list(Path(checkpoint.root).iterdir()) == []
    checkpoint.empty()
