"""The commands for sources: the applications that send interactions."""

import json
import sys
import time
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from tenacity import RetryError, Retrying, retry_if_not_result, stop_after_delay, wait_fixed

from member_analyzer.cli.servers import Servers, is_local, servers
from member_analyzer.cli.terminal import sanitize
from member_analyzer.kafka.registry import registry_client, value_reader
from member_analyzer.landing.sources import (
    Source,
    SourceError,
    create_source,
    read_sources,
    revoke_source,
    rotate_key,
    split_origins,
)
from member_analyzer.local.home import open_home
from member_analyzer.records.wire import UnreadableValueError
from member_analyzer.settings import RegistrySettings
from member_analyzer.streams.interactions.definition import INTERACTIONS

app = typer.Typer(no_args_is_help=True, help="Create, list, rotate and revoke the sources of interactions.")
console = Console()

EXAMPLE_URL = "https://collector.example"

WEB_SNIPPET = """\
Add the SDK to the pages of {origins}:

  npm install @segment/analytics-next

  import {{ AnalyticsBrowser }} from "@segment/analytics-next";

  const analytics = AnalyticsBrowser.load(
    {{ writeKey: {key}, cdnURL: {url} }},
    {{ integrations: {{ "Segment.io": {{ apiHost: {api_host}, protocol: {protocol} }} }} }},
  );
  analytics.page();
"""
SERVER_SNIPPET = """\
Send from a server, for example in Python:

  pip install segment-analytics-python

  import segment.analytics as analytics

  analytics.write_key = {key}
  analytics.host = {url}
  analytics.track("member-id", "Order Completed", {{"total": 42.5}})
"""

Name = Annotated[str, typer.Argument(help="Name of the source: a-z, 0-9 and -.")]


@app.command()
def create(
    context: typer.Context,
    name: Name,
    origins: Annotated[
        str, typer.Option(help="Comma-separated web origins whose pages may send; none for servers and mobile apps.")
    ] = "",
    timezone: Annotated[str, typer.Option(help="Time zone of the source's days, such as Europe/Oslo.")] = "UTC",
    events_per_second: Annotated[int, typer.Option(min=1, max=1_000_000, help="Rate limit, per collector.")] = 1000,
    honor_opt_out: Annotated[
        bool, typer.Option(help="Drop what browsers send with Do Not Track or Global Privacy Control.")
    ] = True,
    url: Annotated[str | None, typer.Option(help="Public URL of the collector, for the printed example.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until the first event arrives.")] = True,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait at most.")] = 900,
) -> None:
    """Create a source, and print its write key and how to use it; the key cannot be shown again.

    If the output is not a terminal, only the key is printed.
    """
    source = Source(name, tuple(split_origins(origins)), timezone, honor_opt_out, events_per_second)
    is_terminal = sys.stdout.isatty()
    with servers(context) as platform:
        # Before the key exists, so that no event is missed.
        begin = {partition: end for partition, (_, end) in platform.topics.bounds(INTERACTIONS.topic).items()}
        try:
            key = create_source(platform.landing, source)
        except SourceError as error:
            raise typer.BadParameter(str(error)) from error
        if not is_terminal:
            typer.echo(key)
            return
        console.print(f"The write key of {name} is {key}\n", highlight=False)
        address = url or (local_url() if is_local(context) else EXAMPLE_URL)
        typer.echo(write_snippet(source, key, address))
        if wait:
            wait_for_event(platform, name, begin, timeout)


def write_snippet(source: Source, key: str, url: str) -> str:
    """Return how to send from an application, with its key and the collector's URL."""
    protocol, _, host = url.rstrip("/").partition("://")
    texts = {"key": key, "url": url.rstrip("/"), "api_host": f"{host}/v1", "protocol": protocol}
    quoted = {name: json.dumps(text) for name, text in texts.items()}
    return (WEB_SNIPPET if source.origins else SERVER_SNIPPET).format(**quoted, origins=", ".join(source.origins))


def local_url() -> str:
    """Return the URL of the local platform's collector."""
    return f"http://127.0.0.1:{open_home().settings.collector_port}"


def wait_for_event(platform: Servers, name: str, begin: dict[int, int], seconds: float) -> None:
    """Wait until an event of a source arrives after these offsets, and print it. Exits with status 1 on timeout."""
    positions = dict(begin)
    began = time.monotonic()
    registry = registry_client(RegistrySettings.of(platform.environment))

    def find_event() -> str | None:
        ends = {partition: end for partition, (_, end) in platform.topics.bounds(INTERACTIONS.topic).items()}
        ranges = {partition: range(positions.get(partition, 0), end) for partition, end in ends.items()}
        values = value_reader(registry, INTERACTIONS)
        for message in platform.topics.read_ranges(INTERACTIONS.topic, ranges, seconds=10):
            try:
                event = values.read(message.value())
            except UnreadableValueError:
                continue
            if event["source"] == name:
                return " ".join(filter(None, (event["type"], event["name"])))
        positions.update(ends)
        return None

    console.print("Waiting for the first event. Ctrl-C ends the wait; the source stays.", highlight=False)
    try:
        found = Retrying(stop=stop_after_delay(seconds), wait=wait_fixed(1), retry=retry_if_not_result(bool))(
            find_event
        )
    except RetryError:
        console.print(f"[red]No event of {name} arrived within {seconds:.0f} seconds.[/]", highlight=False)
        raise typer.Exit(1) from None
    shown = sanitize(found or "")
    console.print(f"[green]The first event arrived after {time.monotonic() - began:.0f} s: {shown}[/]", highlight=False)


@app.command("list")
def list_sources(context: typer.Context) -> None:
    """List all sources, including revoked ones, without their keys."""
    with servers(context) as platform:
        sources = read_sources(platform.landing)
    table = Table(box=SIMPLE)
    for column in ("source", "origins", "time zone", "opt-out", "events/s", "created at", "revoked at"):
        table.add_column(column, overflow="fold")
    for one in sources.values():
        moments = (f"{at:%Y-%m-%d %H:%M:%S}" if at else "" for at in (one.created_at, one.revoked_at))
        opt_out = "honored" if one.honors_opt_out else "ignored"
        origins = ", ".join(one.origins)
        table.add_row(one.name, sanitize(origins), one.time_zone, opt_out, f"{one.events_per_second:,}", *moments)
    console.print(table)


@app.command()
def rotate(context: typer.Context, name: Name) -> None:
    """Replace the write key of a source and print the new one. The old one is rejected after a few seconds."""
    with servers(context) as platform:
        key = rotate_key(platform.landing, name)
    if key is None:
        _report_missing(name)
    typer.echo(key)


@app.command()
def revoke(context: typer.Context, name: Name) -> None:
    """Revoke a source permanently. What it has sent stays."""
    with servers(context) as platform:
        is_revoked = revoke_source(platform.landing, name)
    if not is_revoked:
        _report_missing(name)
    console.print(f"the source {sanitize(name)} is revoked", highlight=False)


def _report_missing(name: str) -> None:
    console.print(f"[red]there is no active source {sanitize(name)}[/]", highlight=False)
    raise typer.Exit(1)
