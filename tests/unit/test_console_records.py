"""What the console knows of rejected records, of windows of a topic, of pictures and of ZooKeeper's nodes."""

from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest

from member_analyzer.analysis.progress import QUERY, Progress, count_unread
from member_analyzer.console.messages import Window, choose_ranges
from member_analyzer.console.pictures import find_picture, list_days
from member_analyzer.console.rejected_index import RejectedIndex
from member_analyzer.console.sightings import Sightings
from member_analyzer.console.stations.own_pods import list_pods
from member_analyzer.console.stations.zookeeper import describe_node, describe_pods
from member_analyzer.console.watch import AwayError
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
    def test_the_newest_come_first_and_all_are_counted(self, index: RejectedIndex) -> None:
        number, entries = index.list("all", None, 2)
        assert (number, [one.origin for one in entries]) == (3, ["users:0:3", "users:0:2"])
        assert index.list("all", "wrong_type", 10)[0] == 1

    def test_a_record_that_was_written_twice_is_one(self, index: RejectedIndex) -> None:
        index.add([(rejected(1), 0, 7)])
        assert index.list("all", None, 10)[0] == 3
        found = index.find("users:0:1")
        assert found is not None
        assert (found.kept_partition, found.kept_offset) == (0, 0)

    def test_what_the_stream_has_not_written_waits(self, index: RejectedIndex) -> None:
        sightings = Sightings(progress={QUERY: Progress(written={0: 0})}, rejected=index)
        assert sightings.count_unread(QUERY, {0: (0, 1)}) == {0: 0}
        assert sightings.count_unread(QUERY, {0: (0, 5)}) == {0: 4}

    def test_what_the_topic_does_not_keep_any_more_is_dropped(self, index: RejectedIndex) -> None:
        index.forget_before({0: 1, 1: 0})
        assert [one.origin for one in index.list("all", None, 10)[1]] == ["users:0:3", "users:0:2"]
        assert index.find("users:0:1") is None

    def test_what_was_sent_again_waits_no_more(self, index: RejectedIndex) -> None:
        index.mark_replayed(["users:0:1"])
        assert [one.origin for one in index.list("replayed", None, 10)[1]] == ["users:0:1"]
        assert index.list("waiting", None, 10)[0] == 2
        assert index.count() == {"bad_date": (1, 1), "wrong_type": (1, 0)}

    def test_a_replay_that_is_known_before_its_record_counts_too(self, index: RejectedIndex) -> None:
        index.mark_replayed(["users:0:9"])
        index.add([(rejected(9), 0, 3)])
        found = index.find("users:0:9")
        assert found is not None
        assert found.is_replayed

    def test_of_a_replay_that_was_tried_twice_only_the_first_one_counts(self, index: RejectedIndex) -> None:
        index.add([(rejected(11, replayed_from="users:0:1"), 0, 4), (rejected(10, replayed_from="users:0:1"), 0, 5)])
        index.mark_replayed(["users:0:1"])
        assert [one.origin for one in index.list("waiting", None, 1)[1]] == ["users:0:10"]
        assert index.list("all", None, 10)[0] == 4

    def test_nothing_new_is_no_change(self, index: RejectedIndex) -> None:
        index.mark_replayed(["users:0:1"])
        before = index.changes
        index.mark_replayed(["users:0:1"])
        index.add([(rejected(1), 0, 0)])
        assert index.changes == before

    def test_it_forgets(self, index: RejectedIndex) -> None:
        index.clear()
        assert index.list("all", None, 10) == (0, [])


class TestWindow:
    BOUNDS: ClassVar = {0: (10, 100), 1: (0, 5), 2: (7, 7)}

    def test_the_newest_are_the_last_of_each_partition(self) -> None:
        assert choose_ranges(Window(MEMBERS.topic, limit=20), self.BOUNDS, {}) == {
            0: range(80, 100),
            1: range(0, 5),
            2: range(7, 7),
        }

    def test_an_offset_that_kafka_does_not_hold_any_more_means_the_oldest(self) -> None:
        assert choose_ranges(Window(MEMBERS.topic, 0, 3, limit=5), self.BOUNDS, {}) == {0: range(10, 15)}

    def test_an_offset_that_there_is_not_yet_gives_nothing(self) -> None:
        assert choose_ranges(Window(MEMBERS.topic, 0, 2**63 - 1, limit=5), self.BOUNDS, {}) == {0: range(100, 100)}

    def test_a_moment_means_each_partitions_first_record_after_it(self) -> None:
        window = Window(MEMBERS.topic, moment=datetime(2026, 11, 21, tzinfo=UTC), limit=2)
        assert choose_ranges(window, self.BOUNDS, {0: 50, 1: 5, 2: 7})[0] == range(50, 52)

    def test_a_time_that_no_calendar_knows_is_none(self) -> None:
        assert write_time((1, 1_700_000_000_123)) == "2023-11-14T22:13:20.123Z"
        assert write_time((1, 2**62)) is None
        assert write_time((0, -1)) is None


class TestUnread:
    def test_it_is_what_lies_behind_the_progress(self) -> None:
        assert count_unread({0: (0, 10), 1: (0, 4)}, {0: 6, 1: 3}, {}) == {0: 3, 1: 0}

    def test_a_query_that_wrote_nothing_begins_at_the_oldest_or_where_its_generation_does(self) -> None:
        assert count_unread({0: (2, 10), 1: (0, 10)}, {0: -1, 1: -1}, {1: 8}) == {0: 8, 1: 2}


class TestPictures:
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

    def test_the_days_that_have_pictures_are_listed_the_newest_first(self, directory: Path) -> None:
        assert [one["day"] for one in list_days(directory)] == ["2026-11-21", "2026-11-20"]
        assert list_days(directory)[1]["files"] == ["age_distribution.png"]

    def test_before_the_first_picture_there_is_no_day(self, tmp_path: Path) -> None:
        assert list_days(tmp_path / "none") == []

    def test_a_picture_is_found(self, directory: Path) -> None:
        assert find_picture(directory, "2026-11-20", "age_distribution.png") is not None

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
    def test_nothing_but_a_picture_of_a_day_is_found(self, directory: Path, day: str, name: str) -> None:
        assert find_picture(directory, day, name) is None


class TestZooKeeper:
    def test_a_node_tells_how_it_does(self) -> None:
        assert describe_node("zk:2181", SRVR) == {
            "name": "zk:2181",
            "is_up": True,
            "mode": "leader",
            "version": "3.8.4",
            "connections": 3,
            "latency_ms": 4.2,
        }

    @pytest.mark.parametrize("answer", ["", "This ZooKeeper instance is not currently serving requests\n"])
    def test_a_node_that_does_not_serve_is_down(self, answer: str) -> None:
        node = describe_node("zk:2181", answer)
        assert (node["is_up"], node["mode"], node["version"]) == (False, None, None)

    def test_on_kubernetes_the_pods_tell_which_nodes_are_ready(self) -> None:
        def pod(name: str, ready: str) -> dict[str, object]:
            return {"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}

        nodes = describe_pods([pod("members-zookeeper-1", "False"), pod("members-zookeeper-0", "True")])
        assert [(node["name"], node["is_up"], node["mode"]) for node in nodes] == [
            ("members-zookeeper-0", True, None),
            ("members-zookeeper-1", False, None),
        ]

    def test_no_pod_at_all_is_told(self) -> None:
        with pytest.raises(AwayError, match="no pod with the labels"):
            describe_pods([])

    def test_a_console_that_is_not_in_a_cluster_says_why_it_knows_no_pods(self, tmp_path: Path) -> None:
        with pytest.raises(AwayError, match="The console has no service account"):
            list_pods("members", "a=b", account=tmp_path)
