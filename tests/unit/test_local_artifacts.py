import hashlib
import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from member_analyzer.local import artifacts
from member_analyzer.local.artifacts import Artifact, class_path, fetch_artifacts, locate, read_lock, spark_jars
from member_analyzer.local.failure import LocalError
from member_analyzer.local.jars import collect_jars

CONTENT = b"a jar"
RIGHT = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def lock(tmp_path, monkeypatch):
    """A lock with one artifact."""
    path = tmp_path / "java.lock"
    path.write_text(f'[kafka]\n"org.example:thing:1.0:jar" = "{RIGHT}"\n')
    monkeypatch.setattr(artifacts, "read_lock", lambda: read_lock(path))
    return path


@pytest.fixture
def downloads(monkeypatch):
    """What each download brings, in order; the coordinates that were asked for."""
    answers: list[bytes] = []
    asked: list[str] = []

    def download(artifact: Artifact, repository: Path, follow=None) -> Path:
        asked.append(str(artifact))
        path = artifact.path(repository)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(answers.pop(0))
        return path

    monkeypatch.setattr(artifacts, "download", download)
    return answers, asked


def fetch(repository: Path) -> None:
    fetch_artifacts(["kafka"], repository, Console(file=io.StringIO()))


@pytest.mark.parametrize("coordinate", ["org.a:b:1:jar", "org.a.c:b_2.13:1.0-x:all:tar.gz"])
def test_a_coordinate_is_read_and_written(coordinate):
    assert str(Artifact.parse(coordinate, "")) == coordinate


def test_a_coordinate_names_the_file_of_a_maven_repository():
    artifact = Artifact.parse("org.a.c:b:1.0:all:tar.gz", "")
    assert artifact.path(Path("/r")) == Path("/r/org/a/c/b/1.0/b-1.0-all.tar.gz")


def test_the_lock_holds_every_group_and_a_hash_for_all():
    lock = read_lock()
    programs = {"kafka", "cassandra", "registry", "spark", "spark-s3a", "kafka-tools"}
    assert set(lock) == programs | {"postgres-x86_64", "postgres-aarch64"}
    assert all(len(artifact.sha256) == 64 for group in lock.values() for artifact in group)
    assert len(lock["spark"]) == len(spark_jars(Path("/r"))) == 16


def test_the_servers_are_the_ones_that_are_wanted():
    named = {str(artifact) for group in read_lock().values() for artifact in group}
    assert {
        "org.apache.kafka:kafka_2.13:3.9.2:jar",
        "org.apache.zookeeper:zookeeper:3.8.4:jar",
        "org.apache.cassandra:cassandra-all:5.0.9:jar",
        "io.apicurio:apicurio-registry-app:2.6.13.Final:all:tar.gz",
    } <= named


def test_the_lock_names_no_host():
    assert "//" not in artifacts.LOCK.read_text()


def test_a_class_path_keeps_the_order_of_the_lock():
    assert class_path("kafka", Path("/r")).split(":") == [str(path) for path in locate("kafka", Path("/r"))]


def test_what_was_verified_is_not_fetched_or_read_again(tmp_path, lock, downloads, monkeypatch):
    answers, asked = downloads
    answers.append(CONTENT)
    fetch(tmp_path)
    monkeypatch.setattr(artifacts, "hash_file", None)
    fetch(tmp_path)
    assert asked == ["org.example:thing:1.0:jar"]


def test_a_file_that_changed_is_fetched_again(tmp_path, lock, downloads):
    answers, asked = downloads
    answers += [CONTENT, CONTENT]
    fetch(tmp_path)
    (path,) = tmp_path.rglob("*.jar")
    path.write_bytes(b"something else")
    fetch(tmp_path)
    assert path.read_bytes() == CONTENT
    assert len(asked) == 2


def test_a_file_that_was_only_touched_is_not_fetched_again(tmp_path, lock, downloads):
    answers, asked = downloads
    answers.append(CONTENT)
    fetch(tmp_path)
    (path,) = tmp_path.rglob("*.jar")
    os.utime(path, (1, 1))
    fetch(tmp_path)
    assert len(asked) == 1


def test_a_wrong_download_is_fetched_once_more(tmp_path, lock, downloads):
    answers, asked = downloads
    answers += [b"half a ja", CONTENT]
    fetch(tmp_path)
    assert len(asked) == 2


def test_a_download_that_stays_wrong_is_refused_and_not_kept(tmp_path, lock, downloads):
    answers, asked = downloads
    answers += [b"wrong", b"wrong"]
    with pytest.raises(LocalError, match=r"org\.example:thing:1\.0:jar was refused: its SHA-256 is"):
        fetch(tmp_path)
    assert len(asked) == 2
    assert not list(tmp_path.rglob("*.jar"))


def test_jars_are_laid_side_by_side_once_they_are_verified(tmp_path, lock, downloads):
    answers, _ = downloads
    answers.append(CONTENT)
    collect_jars(["kafka"], tmp_path / "jars", Console(file=io.StringIO()))
    assert [(jar.name, jar.read_bytes()) for jar in (tmp_path / "jars").iterdir()] == [("thing-1.0.jar", CONTENT)]


def test_a_wrong_jar_is_not_laid_there(tmp_path, lock, downloads):
    answers, _ = downloads
    answers += [b"wrong", b"wrong"]
    with pytest.raises(LocalError, match="was refused"):
        collect_jars(["kafka"], tmp_path / "jars", Console(file=io.StringIO()))
    assert not list((tmp_path / "jars").iterdir())


def test_a_group_that_the_lock_does_not_have_is_refused_by_its_name(tmp_path):
    with pytest.raises(LocalError, match=r"has no group tomcat; it has kafka, "):
        collect_jars(["spark", "tomcat"], tmp_path, Console(file=io.StringIO()))
