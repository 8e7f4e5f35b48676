"""`make run`: members through the whole platform, and what came of them."""

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
from member_analyzer.analysis.counts import TABLE_NAMES, Distribution
from member_analyzer.analysis.findings import Audit
from member_analyzer.analysis.tables import KEY_COLUMNS, AnalysisTables
from member_analyzer.cli.terminal import shown
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
from member_analyzer.streams.members.record import MEMBER

DAGS = ("user_create", "user_analysis", "generate_graphs")
RUN_SECONDS = 900
# Seconds in which the stream has to count what landed, once the run is over.
COUNT_SECONDS = 120
# Seconds for which a server may be unavailable while members are followed.
UNAVAILABLE_SECONDS = 90
LONGEST_TABLE = 20

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Outcome:
    """What the platform holds after a run: accepted members, and the newest day of the analysis tables."""

    landed: LandingCounts
    day: date
    tables: dict[str, Distribution]
    audits: list[Audit]
    pictures: list[Path]

    @property
    def agrees(self) -> bool:
        """Whether accepted members, the recount, each table's sum and each table's total are one number."""
        accepted = self.landed.accepted
        counted = {one.total for one in self.tables.values()} | {
            sum(one.buckets.values()) for one in self.tables.values()
        }
        recounted = {one.recounted for one in self.audits}
        differing = any(one.differences for one in self.audits)
        return counted == recounted == {accepted} and not self.landed.unpublished and not differing


def run(home: Home, console: Console, *, count: int, once: bool) -> bool:
    """Start the platform, take members through it, show the result, serve until Ctrl-C; whether the counts agree."""
    began = time.monotonic()
    # `kill` is to stop it as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    outcome: Outcome | None = None
    try:
        if up(home, console):
            console.print(f"the platform is up after {time.monotonic() - began:.1f} s", highlight=False)
        outcome = take_members(home, console, count=count, began=began)
        show_outcome(home, console, outcome)
        if not once:
            console.print("\nThe platform goes on serving; [bold]Ctrl-C[/] stops it.")
            signal.pause()
    except KeyboardInterrupt:
        console.print("stopping")
    finally:
        # Another Ctrl-C must not leave half of the servers running.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        down(home, console)
    return outcome is not None and outcome.agrees


def take_members(home: Home, console: Console, *, count: int, began: float) -> Outcome:
    """Run the three DAGs, one after the other, and read what is in the tables then."""
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
        tables = AnalysisTables(session, cassandra.keyspace, MEMBER.name)
        before = count_landed(connection).accepted
        client.wait_for_dags(*DAGS, seconds=60)
        check_paused(client.list_paused(*DAGS), airflow.url, home)
        create = client.start_run("user_create", {"count": count})

        def counted() -> int:
            day = tables.read_progress().analysis_date
            return tables.read_distribution("age", day).total if day else 0

        def ended() -> bool:
            return client.read_run(create.dag, create.run).state in ("success", "failed")

        follow_members(console, before, count, lambda: count_landed(connection), counted, ended, began)
        finish_run(client, create, home)
        for dag in DAGS[1:]:
            with console.status(f"{dag} is running"):
                finish_run(client, client.start_run(dag), home)
            console.print(f"{dag} is done")
        day = read_patiently(tables.read_progress).analysis_date
        if day is None:
            raise LocalError("no member was counted; see why with `member-analyzer logs stream`")
        audits = read_patiently(lambda: tables.read_audits(day))
        return Outcome(
            landed=count_landed(connection),
            day=day,
            tables=read_patiently(lambda: {table: tables.read_distribution(table, day) for table in TABLE_NAMES}),
            audits=[one for one in audits if one.checked_at == audits[0].checked_at],
            pictures=sorted(map(home.called, (home.graphs / day.isoformat()).glob("*.png"))),
        )


def check_paused(paused: list[str], airflow: str, home: Home) -> None:
    """Refuse to start runs of paused DAGs, which would wait until somebody unpauses them."""
    if not paused:
        return
    pages = ", ".join(f"{airflow.rstrip('/')}/dags/{dag}" for dag in paused)
    raise LocalError(
        f"Airflow has paused {', '.join(paused)}, so that no run of it would start. Unpause it with the switch at "
        f"{pages} (user admin, password `airflow_admin` in {home.passwords}), then run this again."
    )


def check_user_api(settings: UserApiSettings) -> None:
    """Ask the user API for one user, so that one that is away is told at once and not after a task's retries."""
    try:
        with open_session(settings) as session:
            fetch_page(session, settings.model_copy(update={"attempts": 2}), number=1, page_size=1, seed="first")
    except UserApiError as error:
        raise LocalError(f"{error} See that it runs, or name another one with USER_API_URL.") from error


def finish_run(client: AirflowClient, started: DagRun, home: Home) -> None:
    """Wait for the end of a run; one that failed is told with where its log lies."""
    try:
        client.wait_for_run(started, seconds=RUN_SECONDS)
    except AirflowError as error:
        logs = home.called(home.logs / "airflow" / f"dag_id={started.dag}")
        raise LocalError(f"{error} Its tasks' logs are in {logs}.") from error


def follow_members(
    console: Console,
    before: int,
    count: int,
    landed: Callable[[], LandingCounts],
    counted: Callable[[], int],
    ended: Callable[[], bool],
    began: float,
) -> None:
    """Show how many landed, were published and were counted, until the run ended and everything landed is counted."""
    columns = (TextColumn("{task.description:>20}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    waited, longest = Stopwatch(), RUN_SECONDS
    is_over, first = False, False
    with Progress(*columns, console=console) as progress:
        stations = {name: progress.add_task(name, total=count) for name in ("landed", "published", "analysed")}
        while True:
            now, analysed = landed(), read_patiently(counted)
            progress.update(stations["landed"], completed=now.accepted - before)
            progress.update(stations["published"], completed=now.accepted - now.unpublished - before)
            progress.update(stations["analysed"], completed=max(0, analysed - before))
            if analysed > before and not first:
                first = True
                progress.console.print(
                    f"first analysis row {time.monotonic() - began:.1f} s after the start", highlight=False
                )
            if not is_over and read_patiently(ended):
                is_over, longest = True, COUNT_SECONDS
                waited.restart()
            if is_over and (now.unpublished or analysed >= now.accepted):
                return
            if waited.read() > longest:
                raise LocalError(
                    f"{now.accepted} members are accepted but only {analysed} analysed;"
                    " see why with `member-analyzer logs stream`"
                )
            time.sleep(0.3)


def read_patiently(read: Callable[[], Answer]) -> Answer:
    """What a server answers; one that is unavailable for a while, as after the machine has slept, is asked again."""
    return Retrying(
        retry=retry_if_exception_type((AirflowUnavailableError, DriverException, NoHostAvailable)),
        stop=stop_after_waiting(UNAVAILABLE_SECONDS),
        wait=wait_fixed(1),
        reraise=True,
    )(read)


def show_outcome(home: Home, console: Console, outcome: Outcome) -> None:
    """Print the four tables, where the graphs lie, and where and how to log in."""
    for table, distribution in outcome.tables.items():
        console.print(make_table(table, outcome.day, distribution))
    show_agreement(console, outcome)
    console.print("\n[bold]Graphs[/]")
    for picture in outcome.pictures:
        console.print(f"  {picture}", soft_wrap=True, highlight=False)
    console.print("\n[bold]Open in a browser[/]")
    for line in list_logins(home):
        console.print(f"  {line}", soft_wrap=True, highlight=False)


def show_agreement(console: Console, outcome: Outcome) -> None:
    """Print whether all counts are one number, and which they are if not."""
    landed = outcome.landed
    if outcome.agrees:
        console.print(
            f"[bold green]The counts agree:[/] {landed.accepted:,} members accepted = created_users = each table's sum."
        )
    else:
        recounted = sorted({one.recounted for one in outcome.audits})
        sums = {name: (one.total, sum(one.buckets.values())) for name, one in outcome.tables.items()}
        console.print(
            f"[bold red]The counts do not agree:[/] {landed.accepted:,} members accepted, {landed.unpublished:,}"
            f" of them not published; created_users {recounted}; each table's total and sum {sums}."
            " See `member-analyzer logs stream`.",
            soft_wrap=True,
        )
    if landed.rejected:
        console.print(f"{landed.rejected:,} users of the user API were rejected; landing.rejected keeps why.")


def make_table(name: str, day: date, distribution: Distribution) -> Table:
    """One analysis table as it is printed: the largest buckets first, but age groups in their order."""
    table = Table(title=f"{name} on {day}", title_justify="left")
    for column in KEY_COLUMNS[name]:
        table.add_column(column)
    table.add_column("members", justify="right")
    table.add_column("%", justify="right")
    buckets = list(distribution.buckets.items())
    if name != "age":
        buckets.sort(key=lambda item: (-item[1], item[0]))
    for bucket, members in buckets[:LONGEST_TABLE]:
        table.add_row(*map(shown, bucket), f"{members:,}", f"{100 * members / max(1, distribution.total):.1f}")
    if len(buckets) > LONGEST_TABLE:
        rest = sum(members for _, members in buckets[LONGEST_TABLE:])
        table.caption = f"and {len(buckets) - LONGEST_TABLE:,} more with {rest:,} members"
    return table


def list_logins(home: Home) -> list[str]:
    """The addresses of the UIs and who logs in there."""
    settings, passwords = home.settings, load_passwords(home.passwords)
    address = "http://127.0.0.1"
    return [
        f"Console          {address}:{settings.console_port}  user viewer, password {passwords.console_viewer}",
        f"{'':47}or user operator, password {passwords.console_operator}",
        f"Collector        {address}:{settings.collector_port}/docs  a key that `member-analyzer keys create` makes",
        f"Airflow          {address}:{settings.airflow_port}  user admin, password {passwords.airflow_admin}",
        f"Spark            {address}:{settings.spark_port}  no login; only this machine reaches it",
        f"Schema registry  {address}:{settings.registry_port}/ui  no login; only this machine reaches it",
    ]
