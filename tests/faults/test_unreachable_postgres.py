"""Drill 13: PostgreSQL hangs without closing its connections."""

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


class Poster:
    """A client that posts members one after the other, and retries after 503 as Retry-After says."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="poster")
        self.accepted: list[dict[str, str]] = []
        self.failed: list[requests.Response] = []

    def __enter__(self) -> "Poster":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(300)

    def _run(self) -> None:
        while not self._stopping.is_set():
            key = f"drill-13-{secrets.token_hex(8)}"
            record = {"id": key, "gender": "female", "date_of_birth": "1990-05-17", "country": "Norway", "city": "Oslo"}
            while (answer := self._client.post(record)).status_code != 202:
                self.failed.append(answer)
                time.sleep(float(answer.headers["Retry-After"]))
            self.accepted.append(record)


def signal_postgres(pid: int, number: signal.Signals) -> None:
    postmaster = psutil.Process(pid)
    for one in (postmaster, *postmaster.children(recursive=True)):
        # A session may have ended meanwhile.
        with suppress(ProcessLookupError):
            os.kill(one.pid, number)


@pytest.mark.drill("13. PostgreSQL unreachable without a connection reset")
def test_members_count_once_when_postgres_hangs(platform: Platform, drill: Drill, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with own_collector(platform, port, tmp_path / "collector.log") as own:
        client = make_client(platform, url=own.url)
        with Poster(client) as poster:
            assert holds(lambda: len(poster.accepted) >= 20)
            pid = drill.pid("postgres")
            signal_postgres(pid, signal.SIGSTOP)
            try:
                stopped = time.monotonic()
                assert holds(lambda: len(poster.failed) >= 2 and time.monotonic() - stopped > SECONDS_STOPPED)
            finally:
                signal_postgres(pid, signal.SIGCONT)
            before = len(poster.accepted)
            drill.seconds = seconds_until(lambda: len(poster.accepted) > before)
            assert drill.seconds is not None, "the collector accepted no more members"
            assert holds(lambda: len(poster.accepted) >= before + 20)
        assert {answer.status_code for answer in poster.failed} == {503}
        platform.expect([unflat(record, record["id"]) for record in poster.accepted])
        drill.check()
