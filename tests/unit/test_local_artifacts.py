import hashlib
import io
import os
from pathlib import Path
from threading import Thread

import pytest
from rich.console import Console

from member_analyzer.local import artifacts
from member_analyzer.local.artifacts import Artifact, class_path, fetch_artifacts, locate, read_lock, spark_jars
from member_analyzer.local.failure import LocalError
from member_analyzer.local.jars import collect_jars

CONTENT = b"a jar"
CONTENT_HASH = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def lock(tmp_path, monkeypatch):
    """A lock file with one artifact."""
    path = tmp_path / "java.lock"
    path.write_text(f'[kafka]\n"org.example:thing:1.0:jar" = "{CONTENT_HASH}"\n')
    monkeypatch.setattr(artifacts, "read_lock", lambda: read_lock(path))
    return path


@pytest.fixture
def downloads(monkeypatch):
    """The contents that downloads return, in order, and the coordinates that were requested."""
    contents: list[bytes] = []
    requested: list[str] = []

    def download(artifact: Artifact, repository: Path, follow=None) -> Path:
        requested.append(str(artifact))
        path = artifact.path(repository)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents.pop(0))
        return path

    monkeypatch.setattr(artifacts, "download", download)
    return contents, requested


def fetch(repository: Path) -> None:
    fetch_artifacts(["kafka"], repository, Console(file=io.StringIO()))


@pytest.mark.parametrize("coordinate", ["org.a:b:1:jar", "org.a.c:b_2.13:1.0-x:all:tar.gz"])
def test_a_coordinate_is_parsed_and_formatted(coordinate):
    assert str(Artifact.parse(coordinate, "")) == coordinate


def test_the_path_of_an_artifact_in_a_maven_repository():
    artifact = Artifact.parse("org.a.c:b:1.0:all:tar.gz", "")
    assert artifact.path(Path("/r")) == Path("/r/org/a/c/b/1.0/b-1.0-all.tar.gz")


def test_the_lock_has_every_group_and_a_hash_for_every_artifact():
    lock = read_lock()
    programs = {"kafka", "cassandra", "registry", "spark", "spark-s3a", "kafka-tools"}
    assert set(lock) == programs | {"postgres-x86_64", "postgres-aarch64"}
    assert all(len(artifact.sha256) == 64 for group in lock.values() for artifact in group)
    assert len(lock["spark"]) == len(spark_jars(Path("/r"))) == 16


def test_the_lock_has_the_required_versions_of_the_servers():
    locked = {str(artifact) for group in read_lock().values() for artifact in group}
    assert {
        "org.apache.kafka:kafka_2.13:3.9.2:jar",
        "org.apache.zookeeper:zookeeper:3.8.4:jar",
        "org.apache.cassandra:cassandra-all:5.0.9:jar",
        "io.apicurio:apicurio-registry-app:2.6.13.Final:all:tar.gz",
    } <= locked


def test_the_lock_contains_no_urls():
    assert "//" not in artifacts.LOCK.read_text()


def test_a_class_path_keeps_the_order_of_the_lock():
    assert class_path("kafka", Path("/r")).split(":") == [str(path) for path in locate("kafka", Path("/r"))]


def test_a_verified_file_is_neither_downloaded_nor_hashed_again(tmp_path, lock, downloads, monkeypatch):
    contents, requested = downloads
    contents.append(CONTENT)
    fetch(tmp_path)
    monkeypatch.setattr(artifacts, "hash_file", None)
    fetch(tmp_path)
    assert requested == ["org.example:thing:1.0:jar"]


def test_a_download_waits_for_that_of_another_process_and_uses_its_files(tmp_path, lock, downloads):
    contents, requested = downloads
    contents.append(CONTENT)
    with artifacts.locked(tmp_path):
        waiting = Thread(target=fetch, args=(tmp_path,), daemon=True)
        waiting.start()
        artifacts.fetch_missing(artifacts.read_lock()["kafka"], tmp_path, Console(file=io.StringIO()))
        assert waiting.is_alive()
    waiting.join(60)
    assert not waiting.is_alive()
    assert requested == ["org.example:thing:1.0:jar"]


def test_verified_files_can_be_in_a_directory_without_write_access(tmp_path, lock, downloads):
    contents, _ = downloads
    contents.append(CONTENT)
    fetch(tmp_path)
    (tmp_path / "download.lock").unlink()
    fetch(tmp_path)
    assert not (tmp_path / "download.lock").exists()


def test_a_changed_file_is_downloaded_again(tmp_path, lock, downloads):
    contents, requested = downloads
    contents += [CONTENT, CONTENT]
    fetch(tmp_path)
    (path,) = tmp_path.rglob("*.jar")
    path.write_bytes(b"something else")
    fetch(tmp_path)
    assert path.read_bytes() == CONTENT
    assert len(requested) == 2


def test_a_touched_file_is_not_downloaded_again(tmp_path, lock, downloads):
    contents, requested = downloads
    contents.append(CONTENT)
    fetch(tmp_path)
    (path,) = tmp_path.rglob("*.jar")
    os.utime(path, (1, 1))
    fetch(tmp_path)
    assert len(requested) == 1


def test_a_download_with_the_wrong_hash_is_retried(tmp_path, lock, downloads):
    contents, requested = downloads
    contents += [b"half a ja", CONTENT]
    fetch(tmp_path)
    assert len(requested) == 2


def test_a_second_download_with_the_wrong_hash_is_an_error_and_is_deleted(tmp_path, lock, downloads):
    contents, requested = downloads
    contents += [b"wrong", b"wrong"]
    with pytest.raises(LocalError, match=r"org\.example:thing:1\.0:jar has the wrong hash: its SHA-256 is"):
        fetch(tmp_path)
    assert len(requested) == 2
    assert not list(tmp_path.rglob("*.jar"))


def test_verified_jars_are_copied_into_one_directory(tmp_path, lock, downloads):
    contents, _ = downloads
    contents.append(CONTENT)
    collect_jars(["kafka"], tmp_path / "jars", Console(file=io.StringIO()))
    assert [(jar.name, jar.read_bytes()) for jar in (tmp_path / "jars").iterdir()] == [("thing-1.0.jar", CONTENT)]


def test_a_jar_with_the_wrong_hash_is_not_copied(tmp_path, lock, downloads):
    contents, _ = downloads
    contents += [b"wrong", b"wrong"]
    with pytest.raises(LocalError, match="has the wrong hash"):
        collect_jars(["kafka"], tmp_path / "jars", Console(file=io.StringIO()))
    assert not list((tmp_path / "jars").iterdir())


def test_an_unknown_group_is_an_error_with_its_name(tmp_path):
    with pytest.raises(LocalError, match=r"has no group tomcat; it has kafka, "):
        collect_jars(["spark", "tomcat"], tmp_path, Console(file=io.StringIO()))
