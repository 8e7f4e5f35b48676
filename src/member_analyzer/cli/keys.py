"""The commands for API keys of the collector."""

from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from member_analyzer.cli.servers import servers
from member_analyzer.cli.terminal import sanitize
from member_analyzer.landing.api_keys import Right, create_key, read_keys, revoke_key

app = typer.Typer(no_args_is_help=True, help="Create, list and revoke the collector's API keys.")
console = Console()


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the key: a-z, 0-9 and -.")],
    rights: Annotated[str, typer.Option(help=f"Comma-separated rights of the key: {', '.join(Right)}.")],
) -> None:
    """Create an API key for the collector and print it; it cannot be shown again."""
    requested = {one.strip() for one in rights.split(",")}
    if unknown := requested - set(Right):
        raise typer.BadParameter(f"unknown right {', '.join(sorted(unknown))}; the rights are {', '.join(Right)}")
    with servers(context) as platform:
        try:
            key = create_key(platform.landing, name, [Right(one) for one in requested])
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    # Unformatted, for use in scripts.
    typer.echo(key)


@app.command("list")
def list_keys(context: typer.Context) -> None:
    """List all API keys, including revoked ones, without their secrets."""
    with servers(context) as platform:
        keys = read_keys(platform.landing)
    table = Table(box=SIMPLE)
    for column in ("key", "rights", "created at", "revoked at"):
        table.add_column(column, overflow="fold")
    for one in keys.values():
        revoked_at = f"{one.revoked_at:%Y-%m-%d %H:%M:%S}" if one.revoked_at else ""
        table.add_row(one.name, ", ".join(sorted(one.rights)), f"{one.created_at:%Y-%m-%d %H:%M:%S}", revoked_at)
    console.print(table)


@app.command()
def revoke(context: typer.Context, name: Annotated[str, typer.Argument(help="Name of the key.")]) -> None:
    """Revoke an API key permanently."""
    with servers(context) as platform:
        is_revoked = revoke_key(platform.landing, name)
    if not is_revoked:
        console.print(f"[red]there is no active key {sanitize(name)}[/]", highlight=False)
        raise typer.Exit(1)
    console.print(f"the key {sanitize(name)} is revoked", highlight=False)
