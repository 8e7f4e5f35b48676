"""Drill 13: PostgreSQL does not answer, and closes no connection."""

import os
import secrets
import signal
import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import psutil
import pytest
import requests

from collector_client import Client, make_client, own_collector, unflat
from drill import Drill, seconds_until
from patience import holds
from ports import free_ports
from running_platform import Platform

SECONDS_STOPPED = 30


class Posting:
    """Somebody who posts members one after the other, and repeats what was answered 503, as the answer asks."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._ending = Event()
        self._thread = Thread(target=self._run, name="posting")
        self.accepted: list[dict[str, str]] = []
        self.refused: list[requests.Response] = []

    def __enter__(self) -> "Posting":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(300)

    def _run(self) -> None:
        while not self._ending.is_set():
            key = f"drill-13-{secrets.token_hex(8)}"
            record = {"id": key, "gender": "female", "date_of_birth": "1990-05-17", "country": "Norway", "city": "Oslo"}
            while (answer := self._client.post(record)).status_code != 202:
                self.refused.append(answer)
                time.sleep(float(answer.headers["Retry-After"]))
            self.accepted.append(record)


def signal_postgres(pid: int, number: signal.Signals) -> None:
    postmaster = psutil.Process(pid)
    for one in (postmaster, *postmaster.children(recursive=True)):
        # A session may end meanwhile.
        with suppress(ProcessLookupError):
            os.kill(one.pid, number)


@pytest.mark.drill("13. PostgreSQL is unreachable without a reset")
def test_members_count_once_when_postgres_stands_still(platform: Platform, drill: Drill, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with own_collector(platform, port, tmp_path / "collector.log") as own:
        client = make_client(platform, url=own.url)
        with Posting(client) as posting:
            assert holds(lambda: len(posting.accepted) >= 20, 120)
            pid = drill.pid("postgres")
            signal_postgres(pid, signal.SIGSTOP)
            try:
                stopped = time.monotonic()
                assert holds(lambda: len(posting.refused) >= 2 and time.monotonic() - stopped > SECONDS_STOPPED, 300)
            finally:
                signal_postgres(pid, signal.SIGCONT)
            before = len(posting.accepted)
            drill.seconds = seconds_until(lambda: len(posting.accepted) > before)
            assert drill.seconds is not None, "the collector accepted nothing any more"
            assert holds(lambda: len(posting.accepted) >= before + 20, 300)
        assert {answer.status_code for answer in posting.refused} == {503}
        platform.expect([unflat(record, record["id"]) for record in posting.accepted])
        drill.check()
