"""Which platform a command uses."""

import pytest
import typer
from typer.testing import CliRunner

from member_analyzer.cli.__main__ import LOCAL_COMMANDS, app, select_platform
from member_analyzer.cli.servers import cluster_settings, is_local
from member_analyzer.cluster.failure import ClusterError


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLUSTER_NAMESPACE", "CLUSTER_CONTEXT", "LANDING_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str) -> typer.Context:
    """The context of a command."""
    seen: list[typer.Context] = []
    probe = typer.Typer()
    probe.callback()(select_platform)

    @probe.command()
    def look(context: typer.Context) -> None:
        seen.append(context)

    result = CliRunner().invoke(probe, [*arguments, "look"])
    assert result.exit_code == 0, result.output
    return seen[0]


def test_without_a_namespace_a_command_uses_the_local_platform() -> None:
    assert is_local(run())


def test_with_a_namespace_a_command_uses_that_cluster() -> None:
    context = run("--namespace", "members", "--context", "kind")
    assert not is_local(context)
    assert (cluster_settings(context).namespace, cluster_settings(context).context) == ("members", "kind")


def test_an_option_overrides_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER_NAMESPACE", "members")
    assert cluster_settings(run()).namespace == "members"
    assert cluster_settings(run("--namespace", "others")).namespace == "others"


def test_servers_in_the_environment_are_not_the_local_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDING_PASSWORD", "secret")
    assert not is_local(run())


@pytest.mark.parametrize("command", sorted(LOCAL_COMMANDS))
def test_local_commands_accept_no_namespace(command: str) -> None:
    result = CliRunner().invoke(app, ["--namespace", "members", command])
    assert isinstance(result.exception, ClusterError)
    assert f"`{command}` only supports the local platform" in str(result.exception)
