"""Members that arrive steadily while a fault strikes, brought by the platform's own functions.

One thread lands the pages of a seed, another publishes what landed. Like Airflow's tasks both are begun again when they
fail, and nobody repairs anything.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread

import httpx2
import psycopg
from confluent_kafka import KafkaException
from confluent_kafka.schema_registry.error import SchemaRegistryError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from drill import MEMBER_COUNT
from landed_members import land_users
from member_analyzer.landing.connection import connect_landing
from member_analyzer.landing.counters import count_landed
from member_analyzer.publishing.producer import PublishError
from member_analyzer.publishing.publisher import EventProducer, publish_unpublished
from member_analyzer.settings import KafkaSettings, LandingSettings, RegistrySettings, UserApiSettings
from member_analyzer.sources.user_api import UserApiError, fetch_pages
from member_analyzer.streams.members.definition import MEMBERS
from patience import DEADLINE, holds
from running_platform import Platform

PAGE = 100
# They arrive for twenty seconds, or for ten where they are few.
PER_SECOND = max(200, MEMBER_COUNT // 20)
MAY_PASS = (psycopg.OperationalError, PublishError, KafkaException, SchemaRegistryError, httpx2.HTTPError, UserApiError)


@dataclass
class MemberFlow:
    """`count` members of a seed, so many a second; `times` says how often each page is landed and published."""

    platform: Platform
    seed: str
    count: int
    per_second: int
    times: int

    def __post_init__(self) -> None:
        self.counted_before = max(self.platform.totals())
        self.landed = 0
        self.is_landed = Event()
        self.is_stopped = Event()
        self.failures: list[BaseException] = []

    def wait_until_landed(self, count: int) -> None:
        count = min(count, self.count)
        assert holds(lambda: self.landed >= count or bool(self.failures)), f"only {self.landed} members landed"
        self.raise_failures()

    def wait_until_in_flow(self, count: int = 3 * MEMBER_COUNT // 10) -> None:
        """Wait until so many members landed, and some of them have gone the whole way."""
        self.wait_until_landed(count)
        assert holds(lambda: max(self.platform.totals()) > self.counted_before), "none of the members was counted"

    def raise_failures(self) -> None:
        for failure in self.failures:
            raise failure

    def land(self) -> None:
        settings = LandingSettings.of(self.platform.environment("airflow"))
        api = UserApiSettings(url=self.platform.source.url)
        began = time.monotonic()
        with connect_landing(settings) as connection:
            # As a task that is begun again does: from the first page on, where what is there already changes nothing.
            for page in fetch_pages(api, count=self.count, page_size=PAGE, seed=self.seed):
                for _ in range(self.times):
                    land_users(connection, page.users, source=self.seed)
                if self.times > 1:
                    ids = [user["login"]["uuid"] for user in page.users]
                    connection.execute("INSERT INTO landing.unpublished (id) SELECT unnest(%s::text[])", (ids,))
                self.landed = max(self.landed, page.number * PAGE)
                self.is_stopped.wait(max(0.0, began + self.landed / self.per_second - time.monotonic()))

    def publish(self) -> None:
        environment = self.platform.environment("airflow")
        with connect_landing(LandingSettings.of(environment)) as connection:
            producer = EventProducer(MEMBERS, KafkaSettings.of(environment), RegistrySettings.of(environment))
            while True:
                is_last = self.is_landed.is_set()
                publish_unpublished(connection, producer, batch=PAGE)
                if is_last and count_landed(connection, MEMBERS).unpublished == 0:
                    return
                self.is_stopped.wait(0.05)

    def run(self, work: Callable[[], None], done: Event | None = None) -> None:
        again = Retrying(retry=retry_if_exception_type(MAY_PASS), wait=wait_fixed(2), stop=stop_after_delay(DEADLINE))
        try:
            again(work)
        except BaseException as error:
            self.failures.append(error)
        finally:
            if done is not None:
                done.set()


@contextmanager
def flowing(
    platform: Platform, seed: str, *, count: int = MEMBER_COUNT, per_second: int = PER_SECOND, times: int = 1
) -> Iterator[MemberFlow]:
    """Members arrive within the block; at its end all of them have landed and are published."""
    flow = MemberFlow(platform, seed, count, per_second, times)
    platform.remember(seed, count, PAGE)
    threads = [
        Thread(target=flow.run, args=(flow.land, flow.is_landed), name="landing"),
        Thread(target=flow.run, args=(flow.publish,), name="publishing"),
    ]
    for thread in threads:
        thread.start()
    try:
        yield flow
    except BaseException:
        flow.is_stopped.set()
        raise
    finally:
        for thread in threads:
            thread.join(2 * DEADLINE)
    flow.raise_failures()
    assert not any(thread.is_alive() for thread in threads), "the members did not land and leave"
