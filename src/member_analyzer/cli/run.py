"""`make run`: ingests members through the whole platform and shows the results."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeVar

from cassandra import DriverException
from cassandra.cluster import NoHostAvailable
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from tenacity import Retrying, retry_if_exception_type, wait_fixed

from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.analysis.counts import Distribution
from member_analyzer.analysis.findings import Audit
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.cli.terminal import sanitize
from member_analyzer.landing.connection import connect_landing
from member_analyzer.landing.counters import LandingCounts, count_landed
from member_analyzer.local.environment import airflow_api_environment, program_environment
from member_analyzer.local.failure import LocalError
from member_analyzer.local.home import Home
from member_analyzer.local.passwords import load_passwords
from member_analyzer.local.platform import down, up
from member_analyzer.operations.airflow import AirflowClient, AirflowError, AirflowUnavailableError, DagRun
from member_analyzer.settings import AirflowSettings, CassandraSettings, LandingSettings, UserApiSettings
from member_analyzer.sources.user_api import UserApiError, fetch_page, open_session
from member_analyzer.stopwatch import Stopwatch, stop_after_waiting
from member_analyzer.streams.members.definition import MEMBERS

DAGS = ("user_create", "user_analysis", "generate_graphs")
RUN_TIMEOUT_SECONDS = 900
# For the stream to count what landed, once the run has ended.
COUNT_TIMEOUT_SECONDS = 120
# How long a server may be unavailable while the progress is tracked.
UNAVAILABLE_TIMEOUT_SECONDS = 90
MAX_ROWS = 20

T = TypeVar("T")


@dataclass(frozen=True)
class RunResult:
    """The state after a run: accepted members, and the latest day of the analysis tables."""

    landed: LandingCounts
    day: date
    tables: dict[str, Distribution]
    audits: list[Audit]
    graphs: list[Path]

    @property
    def is_consistent(self) -> bool:
        """Whether accepted members, the recount, each table's sum and each table's total are equal."""
        accepted = self.landed.accepted
        counted = {one.total for one in self.tables.values()} | {
            sum(one.buckets.values()) for one in self.tables.values()
        }
        recounted = {one.recounted for one in self.audits}
        differing = any(one.differences for one in self.audits)
        return counted == recounted == {accepted} and not self.landed.unpublished and not differing


def run(home: Home, console: Console, *, count: int, once: bool) -> bool:
    """Start the platform, ingest members, show the result, serve until Ctrl-C; return whether the counts agree."""
    began = time.monotonic()
    # SIGTERM stops it like Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    result: RunResult | None = None
    try:
        if up(home, console):
            console.print(f"the platform is up after {time.monotonic() - began:.1f} s", highlight=False)
        result = ingest_members(home, console, count=count, began=began)
        print_result(home, console, result)
        if not once:
            console.print("\nThe platform keeps running; [bold]Ctrl-C[/] stops it.")
            signal.pause()
    except KeyboardInterrupt:
        console.print("stopping")
    finally:
        # A second Ctrl-C must not interrupt the shutdown.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        down(home, console)
    return result is not None and result.is_consistent


def ingest_members(home: Home, console: Console, *, count: int, began: float) -> RunResult:
    """Run the three DAGs one after the other, then read the tables."""
    environment = program_environment("airflow", home)
    check_user_api(UserApiSettings.of(environment))
    landing = LandingSettings.of(environment)
    cassandra = CassandraSettings.of(program_environment("reader", home))
    airflow = AirflowSettings.of(airflow_api_environment(home))
    with (
        connect_landing(landing) as connection,
        connect_cassandra(cassandra) as session,
        AirflowClient.log_in(airflow) as client,
    ):
        tables = AnalysisTables(session, cassandra.keyspace, MEMBERS)
        before = count_landed(connection, MEMBERS).accepted
        client.wait_for_dags(*DAGS, seconds=60)
        check_paused(client.list_paused(*DAGS), airflow.url, home)
        create = client.start_run("user_create", {"count": count})

        def counted() -> int:
            day = tables.read_progress().analysis_date
            return tables.read_distribution("age", day).total if day else 0

        def ended() -> bool:
            return client.read_run(create.dag, create.run).state in ("success", "failed")

        track_progress(console, before, count, lambda: count_landed(connection, MEMBERS), counted, ended, began)
        finish_run(client, create, home)
        for dag in DAGS[1:]:
            with console.status(f"{dag} is running"):
                finish_run(client, client.start_run(dag), home)
            console.print(f"{dag} is done")
        day = read_with_retries(tables.read_progress).analysis_date
        if day is None:
            raise LocalError("no member was counted; see `member-analyzer logs stream`")
        audits = read_with_retries(lambda: tables.read_audits(day))
        return RunResult(
            landed=count_landed(connection, MEMBERS),
            day=day,
            tables=read_with_retries(lambda: {table: tables.read_distribution(table, day) for table in MEMBERS.tables}),
            audits=[one for one in audits if one.checked_at == audits[0].checked_at],
            graphs=sorted(map(home.display_path, (home.graphs / day.isoformat()).glob("*.png"))),
        )


def check_paused(paused: list[str], airflow: str, home: Home) -> None:
    """Raise LocalError if DAGs are paused, because their runs would not start."""
    if not paused:
        return
    pages = ", ".join(f"{airflow.rstrip('/')}/dags/{dag}" for dag in paused)
    raise LocalError(
        f"{', '.join(paused)} is paused in Airflow, so that its runs would not start. Unpause it at {pages} "
        f"(user admin, password `airflow_admin` in {home.passwords}), then run this command again."
    )


def check_user_api(settings: UserApiSettings) -> None:
    """Fetch one user, so that an unavailable user API is reported now and not after a task's retries."""
    try:
        with open_session(settings) as session:
            fetch_page(session, settings.model_copy(update={"attempts": 2}), number=1, page_size=1, seed="first")
    except UserApiError as error:
        raise LocalError(f"{error} Check that it is running, or set another one with USER_API_URL.") from error


def finish_run(client: AirflowClient, started: DagRun, home: Home) -> None:
    """Wait for a run to end. Raises LocalError with the directory of its logs if it fails."""
    try:
        client.wait_for_run(started, seconds=RUN_TIMEOUT_SECONDS)
    except AirflowError as error:
        logs = home.display_path(home.logs / "airflow" / f"dag_id={started.dag}")
        raise LocalError(f"{error} Its tasks' logs are in {logs}.") from error


def track_progress(
    console: Console,
    before: int,
    count: int,
    landed: Callable[[], LandingCounts],
    counted: Callable[[], int],
    ended: Callable[[], bool],
    began: float,
) -> None:
    """Show how many members have landed, been published and been counted, until all are counted and the run ended."""
    columns = (TextColumn("{task.description:>20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    waited, timeout = Stopwatch(), RUN_TIMEOUT_SECONDS
    is_over, has_first = False, False
    with Progress(*columns, console=console) as progress:
        bars = {name: progress.add_task(name, total=count) for name in ("landed", "published", "analysed")}
        while True:
            now, analysed = landed(), read_with_retries(counted)
            progress.update(bars["landed"], completed=now.accepted - before)
            progress.update(bars["published"], completed=now.accepted - now.unpublished - before)
            progress.update(bars["analysed"], completed=max(0, analysed - before))
            if analysed > before and not has_first:
                has_first = True
                progress.console.print(
                    f"first analysis row {time.monotonic() - began:.1f} s after the start", highlight=False
                )
            if not is_over and read_with_retries(ended):
                is_over, timeout = True, COUNT_TIMEOUT_SECONDS
                waited.restart()
            if is_over and (now.unpublished or analysed >= now.accepted):
                return
            if waited.read() > timeout:
                raise LocalError(
                    f"{now.accepted} members were accepted, but only {analysed} were analysed;"
                    " see `member-analyzer logs stream`"
                )
            time.sleep(0.3)


def read_with_retries(read: Callable[[], T]) -> T:
    """Call `read`, with retries while its server is unavailable, for example after the machine was suspended."""
    return Retrying(
        retry=retry_if_exception_type((AirflowUnavailableError, DriverException, NoHostAvailable)),
        stop=stop_after_waiting(UNAVAILABLE_TIMEOUT_SECONDS),
        wait=wait_fixed(1),
        reraise=True,
    )(read)


def print_result(home: Home, console: Console, result: RunResult) -> None:
    """Print the four tables, the paths of the graphs, and the addresses and logins of the web UIs."""
    for table, distribution in result.tables.items():
        console.print(make_table(table, result.day, distribution))
    print_consistency(console, result)
    console.print("\n[bold]Graphs[/]")
    for graph in result.graphs:
        console.print(f"  {graph}", soft_wrap=True, highlight=False)
    console.print("\n[bold]Open in a browser[/]")
    for line in list_logins(home):
        console.print(f"  {line}", soft_wrap=True, highlight=False)


def print_consistency(console: Console, result: RunResult) -> None:
    """Print whether all counts are equal, and their values if they are not."""
    landed = result.landed
    if result.is_consistent:
        console.print(
            f"[bold green]The counts agree:[/] {landed.accepted:,} members accepted = created_users = each table's sum."
        )
    else:
        recounted = sorted({one.recounted for one in result.audits})
        sums = {name: (one.total, sum(one.buckets.values())) for name, one in result.tables.items()}
        console.print(
            f"[bold red]The counts do not agree:[/] {landed.accepted:,} members accepted, {landed.unpublished:,}"
            f" of them not published; created_users {recounted}; each table's total and sum {sums}."
            " See `member-analyzer logs stream`.",
            soft_wrap=True,
        )
    if landed.rejected:
        console.print(f"{landed.rejected:,} users were rejected; landing.rejected has the reasons.")


def make_table(name: str, day: date, distribution: Distribution) -> Table:
    """An analysis table for printing: largest buckets first, age groups in ascending order."""
    table = Table(title=f"{name} on {day}", title_justify="left")
    for column in MEMBERS.tables[name]:
        table.add_column(column)
    table.add_column("members", justify="right")
    table.add_column("%", justify="right")
    buckets = list(distribution.buckets.items())
    if name != "age":
        buckets.sort(key=lambda item: (-item[1], item[0]))
    for bucket, members in buckets[:MAX_ROWS]:
        table.add_row(*map(sanitize, bucket), f"{members:,}", f"{100 * members / max(1, distribution.total):.1f}")
    if len(buckets) > MAX_ROWS:
        rest = sum(members for _, members in buckets[MAX_ROWS:])
        table.caption = f"and {len(buckets) - MAX_ROWS:,} more with {rest:,} members"
    return table


def list_logins(home: Home) -> list[str]:
    """The addresses and logins of the web UIs."""
    settings, passwords = home.settings, load_passwords(home.passwords)
    address = "http://127.0.0.1"
    return [
        f"Console          {address}:{settings.console_port}  user viewer, password {passwords.console_viewer}",
        f"{'':47}or user operator, password {passwords.console_operator}",
        f"Collector        {address}:{settings.collector_port}/docs  API key from `member-analyzer keys create`",
        f"Airflow          {address}:{settings.airflow_port}  user admin, password {passwords.airflow_admin}",
        f"Spark            {address}:{settings.spark_port}  no login; only reachable from this machine",
        f"Schema registry  {address}:{settings.registry_port}/ui  no login; only reachable from this machine",
    ]
