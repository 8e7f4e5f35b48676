"""Measures landing: from pages of the user API to the commit in PostgreSQL, compared with COPY of the same rows.

    .venv/bin/python bench/land.py [--rounds 5] [--count 50000] [--page-size 5000]

The platform of the home LOCAL_HOME must be running; the members are kept. Its stream and collector are stopped
meanwhile. The time is also broken down by stage: the API's response, parsing the members, PostgreSQL.
"""

import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from figures import FOLDER, Figures, Output, timed

from member_analyzer.landing.acceptance import accept_records, read_records
from member_analyzer.landing.connection import Connection, connect_landing
from member_analyzer.landing.intake import fetch_and_land
from member_analyzer.local.environment import program_environment, user_api_url
from member_analyzer.local.home import Home, open_home
from member_analyzer.local.supervision import start_process, stop_process
from member_analyzer.logs import configure_logs
from member_analyzer.settings import LandingSettings, UserApiSettings
from member_analyzer.sources.user_api import fetch_pages
from member_analyzer.streams.members.definition import MEMBERS
from member_analyzer.streams.members.forms import from_random_user

LANDING = "API to commit, members per second"
COPY = "COPY, rows per second"


@contextmanager
def stopped(home: Home, *servers: str) -> Iterator[None]:
    """Stop servers within the block."""
    for server in servers:
        stop_process(home, server)
    try:
        yield
    finally:
        for server in reversed(servers):
            start_process(home, server)


def measure_stages(connection: Connection, api: UserApiSettings, count: int, page_size: int) -> dict[str, float]:
    """Microseconds per member of each stage, one stage after the other."""
    pages, fetching = timed(lambda: list(fetch_pages(api, count=count, page_size=page_size, seed=secrets.token_hex(8))))
    now = datetime.now(UTC)
    batches, parsing = timed(lambda: [read_records(MEMBERS, page.users, now, from_random_user)[0] for page in pages])
    _, writing = timed(lambda: [accept_records(connection, MEMBERS, members, source="bench") for members in batches])
    stages = {"API response": fetching, "parsing members": parsing, "PostgreSQL": writing}
    return {f"{name}, µs per member": seconds / count * 1e6 for name, seconds in stages.items()}


def measure_copy(connection: Connection, seed: str, count: int) -> float:
    """Rows per second of a COPY from a file into a table like `landing.users`, with the members of a seed."""
    with tempfile.NamedTemporaryFile() as file:
        landed = "COPY (SELECT id, record, source FROM landing.users WHERE source LIKE %s) TO STDOUT"
        with connection.cursor() as cursor, cursor.copy(landed, (f"% seed={seed} %",)) as rows:
            for row in rows:
                file.write(row)
        file.flush()
        connection.execute("CREATE TABLE landing.copied (LIKE landing.users INCLUDING ALL)")
        try:
            began = time.perf_counter()
            with (
                connection.cursor() as cursor,
                cursor.copy("COPY landing.copied (id, record, source) FROM STDIN") as target,
                Path(file.name).open("rb") as rows_of_file,
            ):
                while block := rows_of_file.read(1 << 20):
                    target.write(block)
            seconds = time.perf_counter() - began
            (copied,) = connection.execute("SELECT count(*) FROM landing.copied").fetchone() or (0,)
        finally:
            connection.execute("DROP TABLE landing.copied")
    if copied != count:
        raise RuntimeError(f"Copied {copied} of {count} rows.")
    return count / seconds


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Number of measurements of each kind.")] = 5,
    count: Annotated[int, typer.Option(min=1, help="Members per measurement.")] = 50_000,
    page_size: Annotated[int, typer.Option(min=1, max=5000, help="Members per page.")] = 5000,
    output: Output = FOLDER,
) -> None:
    """Measure landing."""
    configure_logs()
    home, figures = open_home(), Figures("land")
    landing = LandingSettings.of(program_environment("admin", home))
    api = UserApiSettings.of({"USER_API_URL": user_api_url(home)})
    with stopped(home, "stream", "collector"), connect_landing(landing) as connection:
        for _ in range(rounds):
            seed = secrets.token_hex(8)
            landed, seconds = timed(
                lambda seed=seed: fetch_and_land(
                    MEMBERS, from_random_user, api, landing, count=count, page_size=page_size, seed=seed
                )
            )
            if landed.accepted != count:
                raise RuntimeError(f"Accepted {landed.accepted} of {count} members.")
            rates = {LANDING: count / seconds, COPY: measure_copy(connection, seed, count)}
            figures.add(rates | measure_stages(connection, api, count, page_size))
    figures.compare("landing / COPY", LANDING, COPY, target=0.5)
    figures.show(output)


if __name__ == "__main__":
    typer.run(main)
