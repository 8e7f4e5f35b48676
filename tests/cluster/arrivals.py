"""Sends members to the collector at a constant rate, with retries until they are accepted."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

import requests
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from installed import InstalledPlatform
from member_analyzer.cluster.tunnel import find_target, open_tunnel
from member_analyzer.landing.api_keys import Right, create_key
from patience import holds

PAGE = 25
COLLECTOR = ("member-analyzer-collector", 8001)
# Seconds of retries: longer than any server is unavailable in the tests.
PATIENCE = 600


class NotAcceptedError(Exception):
    """The collector did not respond with 202."""


@dataclass
class Arrivals:
    """Members of a seed, sent at a constant rate until stopped."""

    platform: InstalledPlatform
    seed: str
    per_second: int
    accepted: int = 0
    retries: int = 0
    failure: BaseException | None = None
    is_stopped: Event = field(default_factory=Event)

    def wait_for_more(self, count: int) -> None:
        """Wait until `count` more members are accepted."""
        wanted = self.accepted + count
        came = holds(lambda: self.accepted >= wanted or self.failure is not None, PATIENCE)
        assert self.failure is None, self.failure
        assert came, f"only {self.accepted} of {wanted} members were accepted in {PATIENCE} seconds"

    def send(self, address: str, key: str) -> None:
        """Send pages until stopped."""
        again = Retrying(
            retry=retry_if_exception_type((NotAcceptedError, requests.RequestException)),
            wait=wait_fixed(1),
            stop=stop_after_delay(PATIENCE),
            before_sleep=self._count_retry,
            reraise=True,
        )
        began, number = time.monotonic(), 0
        while not self.is_stopped.is_set():
            number += 1
            users = self.platform.users(self.seed, PAGE, number)
            self.platform.expect(users)
            again(post, address, key, users)
            self.accepted += len(users)
            self.is_stopped.wait(max(0.0, began + self.accepted / self.per_second - time.monotonic()))

    def _count_retry(self, _: object) -> None:
        self.retries += 1


def post(address: str, key: str, users: list[dict[str, Any]]) -> None:
    """Send members. Raises NotAcceptedError unless all of them are accepted, or were before."""
    answer = requests.post(address, json=users, headers={"Authorization": f"Bearer {key}"}, timeout=20)
    if answer.status_code != 202:
        raise NotAcceptedError(f"{answer.status_code}: {answer.text[:200]}")
    rejected = [one for one in answer.json()["records"] if one["status"] == "rejected"]
    assert not rejected, rejected


@contextmanager
def arriving(platform: InstalledPlatform, seed: str, per_second: int = 50) -> Iterator[Arrivals]:
    """Sends members during the block."""
    key = create_key(platform.landing, f"arrivals-{secrets.token_hex(4)}", [Right.WRITE])
    arrivals, cluster = Arrivals(platform, seed, per_second), platform.cluster

    def run(address: str) -> None:
        try:
            arrivals.send(address, key)
        except BaseException as failure:
            arrivals.failure = failure

    with open_tunnel(cluster, lambda: find_target(cluster, *COLLECTOR)) as port:
        thread = Thread(target=run, args=(f"http://127.0.0.1:{port}/v1/users",), name="arrivals")
        thread.start()
        try:
            yield arrivals
        finally:
            arrivals.is_stopped.set()
            thread.join(PATIENCE)
    assert arrivals.failure is None, arrivals.failure
    assert not thread.is_alive(), f"the last members were not accepted in {PATIENCE} seconds"
