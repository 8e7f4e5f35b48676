"""Which platform a command applies to."""

import pytest
import typer
from typer.testing import CliRunner

from member_analyzer.cli.__main__ import ON_THIS_MACHINE, app, choose_platform
from member_analyzer.cli.operations import chosen_cluster, is_local
from member_analyzer.cluster.failure import ClusterError


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLUSTER_NAMESPACE", "CLUSTER_CONTEXT", "LANDING_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str) -> typer.Context:
    """The context of a command."""
    seen: list[typer.Context] = []
    probe = typer.Typer()
    probe.callback()(choose_platform)

    @probe.command()
    def look(context: typer.Context) -> None:
        seen.append(context)

    result = CliRunner().invoke(probe, [*arguments, "look"])
    assert result.exit_code == 0, result.output
    return seen[0]


def test_without_a_namespace_a_command_applies_to_this_machine() -> None:
    assert is_local(run())


def test_with_a_namespace_a_command_applies_to_the_cluster() -> None:
    context = run("--namespace", "members", "--context", "kind")
    assert not is_local(context)
    assert (chosen_cluster(context).namespace, chosen_cluster(context).context) == ("members", "kind")


def test_an_option_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER_NAMESPACE", "members")
    assert chosen_cluster(run()).namespace == "members"
    assert chosen_cluster(run("--namespace", "others")).namespace == "others"


def test_servers_of_the_environment_are_not_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDING_PASSWORD", "secret")
    assert not is_local(run())


@pytest.mark.parametrize("command", sorted(ON_THIS_MACHINE))
def test_commands_that_start_and_stop_local_servers_reject_a_namespace(command: str) -> None:
    result = CliRunner().invoke(app, ["--namespace", "members", command])
    assert isinstance(result.exception, ClusterError)
    assert f"`{command}` is for this machine's platform" in str(result.exception)
