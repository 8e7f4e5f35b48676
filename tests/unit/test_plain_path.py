"""Directories with any path are reached through a path that all servers can read."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from member_analyzer.local.failure import LocalError
from member_analyzer.local.home import open_home
from member_analyzer.local.plain_path import MAX_LENGTH, is_plain, open_links, plain_path
from member_analyzer.local.platform import make_servers
from member_analyzer.local.spark import write_configuration
from member_analyzer.settings import LocalSettings

UNUSUAL = [
    *("with space", "comma,", "[1]", " #b", "50%", "%(here)s", "$HOME", "it's", 'the "best"', "Jörg", "日本", "a:b"),
    *("a;b", "a&b", "a=b", "a+b", "~x", "back\\slash", "new\nline", "{x}", "*", "x" * MAX_LENGTH),
]


@pytest.fixture(autouse=True)
def without_links(tmp_path: Path) -> Iterator[None]:
    """Deletes the links to a test's temporary directory."""
    yield
    for link in open_links().iterdir():
        if link.is_symlink() and link.readlink().is_relative_to(tmp_path):
            link.unlink()


@pytest.mark.parametrize("name", UNUSUAL)
def test_a_directory_with_an_unusual_path_is_reached_through_a_plain_one(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    plain = plain_path(folder)
    assert is_plain(plain)
    (plain / "file").touch()
    assert [path.name for path in folder.iterdir()] == ["file"]


@pytest.mark.parametrize("path", ["/home/joe/member-analyzer/var", "/srv/a_b/1.0"])
def test_a_plain_path_is_unchanged(path: str) -> None:
    assert plain_path(Path(path)) == Path(path)


def test_a_directory_always_has_the_same_unique_plain_path(tmp_path: Path) -> None:
    one, other = tmp_path / "a b", tmp_path / "a  b"
    assert plain_path(one) == plain_path(one)
    assert plain_path(one) != plain_path(other)


def test_a_link_to_something_else_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    link = plain_path(folder)
    link.unlink()
    link.symlink_to(tmp_path / "elsewhere")
    assert plain_path(folder).readlink() == folder


def test_only_the_user_can_write_the_directory_of_links() -> None:
    mode = open_links().stat().st_mode
    assert stat.S_ISDIR(mode)
    assert not mode & 0o022


def test_a_directory_of_links_that_is_a_link_itself_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / f"member-analyzer-{os.geteuid()}").symlink_to(tmp_path / "own")
    with pytest.raises(LocalError, match="belongs to another user"):
        open_links(tmp_path)


@pytest.mark.parametrize("name", UNUSUAL)
def test_no_server_sees_an_unusual_path(tmp_path: Path, name: str) -> None:
    home = open_home(LocalSettings(home=tmp_path / name / "var", downloads=None))
    for server in make_servers(home).values():
        seen = [*server.command, str(server.directory), *server.environment.values()]
        assert not [text for text in seen if str(tmp_path / name) in text]


@pytest.mark.parametrize("name", UNUSUAL)
def test_no_configuration_file_contains_an_unusual_path(tmp_path: Path, name: str) -> None:
    home = open_home(LocalSettings(home=tmp_path / name / "var", downloads=None))
    write_configuration(home)
    servers = make_servers(home)
    servers["zookeeper"].prepare()
    servers["cassandra"].prepare()
    written = [path for path in home.path.rglob("*") if path.is_file()]
    assert {"spark-defaults.conf", "zookeeper.properties", "cassandra.yaml"} <= {path.name for path in written}
    assert not [path for path in written if str(tmp_path / name) in path.read_text(encoding="utf-8")]


def test_messages_contain_the_path_that_the_user_chose(tmp_path: Path) -> None:
    home = open_home(LocalSettings(home=tmp_path / "Jörg a,b", downloads=None))
    assert home.display_path(home.logs / "stream.log") == tmp_path / "Jörg a,b" / "logs" / "stream.log"
