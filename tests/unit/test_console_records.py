"""The console's index of rejected records, message queries, lag, graph files and ZooKeeper nodes."""

from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest

from member_analyzer.analysis.progress import QUERY, Progress, count_unread
from member_analyzer.console.graph_files import find_graph, list_days
from member_analyzer.console.messages import MessageQuery, offset_ranges
from member_analyzer.console.monitoring import UnavailableError
from member_analyzer.console.monitors.pods import list_pods
from member_analyzer.console.monitors.zookeeper import describe_pods, parse_node
from member_analyzer.console.rejected_index import RejectedIndex
from member_analyzer.console.snapshot import Snapshot
from member_analyzer.deadletters.rejected import REPLAYED_FROM, RejectedRecord, write_time
from member_analyzer.streams.members.definition import MEMBERS

SRVR = """Zookeeper version: 3.8.4-9316c2a7a97e1666d8f4593f34dd6fc36ecc436c, built on 2024-02-12 22:16 UTC
Latency min/avg/max: 0/4.1608/210
Received: 497
Connections: 3
Mode: leader
"""


def rejected(offset: int, reason: str = "bad_date", replayed_from: str | None = None) -> RejectedRecord:
    headers = [(REPLAYED_FROM, replayed_from.encode())] if replayed_from else []
    at = f"2026-11-21T12:00:{offset:02}Z"
    return RejectedRecord(None, None, headers, reason, "It is wrong.", "users", 0, offset, at)  # type: ignore[arg-type]


@pytest.fixture
def index() -> RejectedIndex:
    index = RejectedIndex()
    index.add([(rejected(1), 0, 0), (rejected(2, "wrong_type"), 0, 1), (rejected(3), 1, 0)])
    return index


class TestRejectedIndex:
    def test_the_newest_records_come_first_and_all_are_counted(self, index: RejectedIndex) -> None:
        total, entries = index.list("all", None, 2)
        assert (total, [entry.origin for entry in entries]) == (3, ["users:0:3", "users:0:2"])
        assert index.list("all", "wrong_type", 10)[0] == 1

    def test_a_record_that_was_written_twice_is_listed_once(self, index: RejectedIndex) -> None:
        index.add([(rejected(1), 0, 7)])
        assert index.list("all", None, 10)[0] == 3
        found = index.find("users:0:1")
        assert found is not None
        assert (found.stored_partition, found.stored_offset) == (0, 0)

    def test_unwritten_records_are_unread(self, index: RejectedIndex) -> None:
        snapshot = Snapshot(progress={QUERY: Progress(written={0: 0})}, rejected=index)
        assert snapshot.count_unread(QUERY, {0: (0, 1)}) == {0: 0}
        assert snapshot.count_unread(QUERY, {0: (0, 5)}) == {0: 4}

    def test_records_deleted_from_the_topic_are_deleted(self, index: RejectedIndex) -> None:
        index.delete_before({0: 1, 1: 0})
        assert [entry.origin for entry in index.list("all", None, 10)[1]] == ["users:0:3", "users:0:2"]
        assert index.find("users:0:1") is None

    def test_a_replayed_record_is_no_longer_waiting(self, index: RejectedIndex) -> None:
        index.mark_replayed(["users:0:1"])
        assert [entry.origin for entry in index.list("replayed", None, 10)[1]] == ["users:0:1"]
        assert index.list("waiting", None, 10)[0] == 2
        assert index.count() == {"bad_date": (1, 1), "wrong_type": (1, 0)}

    def test_a_replay_can_be_marked_before_its_record_is_added(self, index: RejectedIndex) -> None:
        index.mark_replayed(["users:0:9"])
        index.add([(rejected(9), 0, 3)])
        found = index.find("users:0:9")
        assert found is not None
        assert found.is_replayed

    def test_only_the_first_attempt_at_a_replay_counts(self, index: RejectedIndex) -> None:
        index.add([(rejected(11, replayed_from="users:0:1"), 0, 4), (rejected(10, replayed_from="users:0:1"), 0, 5)])
        index.mark_replayed(["users:0:1"])
        assert [entry.origin for entry in index.list("waiting", None, 1)[1]] == ["users:0:10"]
        assert index.list("all", None, 10)[0] == 4

    def test_known_records_and_replays_change_nothing(self, index: RejectedIndex) -> None:
        index.mark_replayed(["users:0:1"])
        before = index.changes
        index.mark_replayed(["users:0:1"])
        index.add([(rejected(1), 0, 0)])
        assert index.changes == before

    def test_it_can_be_cleared(self, index: RejectedIndex) -> None:
        index.clear()
        assert index.list("all", None, 10) == (0, [])


class TestOffsetRanges:
    BOUNDS: ClassVar = {0: (10, 100), 1: (0, 5), 2: (7, 7)}

    def test_the_newest_messages_are_the_last_of_each_partition(self) -> None:
        assert offset_ranges(MessageQuery(MEMBERS.topic, limit=20), self.BOUNDS, {}) == {
            0: range(80, 100),
            1: range(0, 5),
            2: range(7, 7),
        }

    def test_a_deleted_offset_means_the_oldest(self) -> None:
        assert offset_ranges(MessageQuery(MEMBERS.topic, 0, 3, limit=5), self.BOUNDS, {}) == {0: range(10, 15)}

    def test_an_offset_beyond_the_end_matches_nothing(self) -> None:
        assert offset_ranges(MessageQuery(MEMBERS.topic, 0, 2**63 - 1, limit=5), self.BOUNDS, {}) == {
            0: range(100, 100)
        }

    def test_a_time_means_the_first_record_after_it_in_each_partition(self) -> None:
        query = MessageQuery(MEMBERS.topic, time=datetime(2026, 11, 21, tzinfo=UTC), limit=2)
        assert offset_ranges(query, self.BOUNDS, {0: 50, 1: 5, 2: 7})[0] == range(50, 52)

    def test_an_invalid_timestamp_is_none(self) -> None:
        assert write_time((1, 1_700_000_000_123)) == "2023-11-14T22:13:20.123Z"
        assert write_time((1, 2**62)) is None
        assert write_time((0, -1)) is None


class TestUnread:
    def test_it_is_the_distance_to_the_end(self) -> None:
        assert count_unread({0: (0, 10), 1: (0, 4)}, {0: 6, 1: 3}, {}) == {0: 3, 1: 0}

    def test_without_progress_it_starts_at_the_oldest_offset_or_at_the_start_of_the_generation(self) -> None:
        assert count_unread({0: (2, 10), 1: (0, 10)}, {0: -1, 1: -1}, {1: 8}) == {0: 8, 1: 2}


class TestGraphFiles:
    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        graphs = tmp_path / "graphs"
        for name in ("2026-11-20/age_distribution.png", "2026-11-21/age_distribution.png", "2026-11-21/.age.png.4f"):
            (graphs / name).parent.mkdir(parents=True, exist_ok=True)
            (graphs / name).write_bytes(b"png")
        for name in ("2026-13-41", "notes", "2026-11-19"):
            (graphs / name).mkdir()
        (tmp_path / "secret.png").write_bytes(b"secret")
        (graphs / "2026-11-21" / "linked.png").symlink_to(tmp_path / "secret.png")
        return graphs

    def test_days_with_graphs_are_listed_newest_first(self, directory: Path) -> None:
        assert [day["day"] for day in list_days(directory)] == ["2026-11-21", "2026-11-20"]
        assert list_days(directory)[1]["files"] == ["age_distribution.png"]

    def test_a_missing_directory_has_no_days(self, tmp_path: Path) -> None:
        assert list_days(tmp_path / "none") == []

    def test_a_graph_is_found(self, directory: Path) -> None:
        assert find_graph(directory, "2026-11-20", "age_distribution.png") is not None

    @pytest.mark.parametrize(
        ("day", "name"),
        [
            ("..", "secret.png"),
            ("2026-11-21", "../../secret.png"),
            ("2026-11-21", "linked.png"),
            ("2026-11-21", ".age.png.4f"),
            ("2026-11-21", "gender_distribution.png"),
            ("2026-13-41", "age_distribution.png"),
            ("2026-11-21", "age_distribution.png\0"),
        ],
    )
    def test_only_graphs_are_found(self, directory: Path, day: str, name: str) -> None:
        assert find_graph(directory, day, name) is None


class TestZooKeeper:
    def test_the_response_of_a_node_is_parsed(self) -> None:
        assert parse_node("zk:2181", SRVR) == {
            "name": "zk:2181",
            "is_up": True,
            "mode": "leader",
            "version": "3.8.4",
            "connections": 3,
            "latency_ms": 4.2,
        }

    @pytest.mark.parametrize("response", ["", "This ZooKeeper instance is not currently serving requests\n"])
    def test_a_node_that_does_not_serve_is_down(self, response: str) -> None:
        node = parse_node("zk:2181", response)
        assert (node["is_up"], node["mode"], node["version"]) == (False, None, None)

    def test_on_kubernetes_readiness_comes_from_the_pods(self) -> None:
        def pod(name: str, ready: str) -> dict[str, object]:
            return {"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}

        nodes = describe_pods([pod("members-zookeeper-1", "False"), pod("members-zookeeper-0", "True")])
        assert [(node["name"], node["is_up"], node["mode"]) for node in nodes] == [
            ("members-zookeeper-0", True, None),
            ("members-zookeeper-1", False, None),
        ]

    def test_missing_pods_are_an_error(self) -> None:
        with pytest.raises(UnavailableError, match="No pod has the labels"):
            describe_pods([])

    def test_a_missing_service_account_is_reported(self, tmp_path: Path) -> None:
        with pytest.raises(UnavailableError, match="The console has no service account"):
            list_pods("members", "a=b", account=tmp_path)
