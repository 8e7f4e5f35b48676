"""Publishes members for a benchmark, and reads their counts."""

import secrets
from collections.abc import Callable

from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from member_analyzer.analysis.progress import count_unread
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.landing.connection import connect_landing
from member_analyzer.landing.intake import fetch_and_land
from member_analyzer.local.environment import program_environment, user_api_url
from member_analyzer.local.home import Home
from member_analyzer.publishing.publisher import EventProducer, publish_unpublished
from member_analyzer.records.offsets import Offsets
from member_analyzer.settings import KafkaSettings, LandingSettings, RegistrySettings, UserApiSettings
from member_analyzer.streams.members.definition import MEMBERS
from member_analyzer.streams.members.forms import from_random_user

MAX_PAGE_SIZE = 5000


def put_members(home: Home, count: int) -> str:
    """Land and publish new members; return their seed."""
    environment, seed = program_environment("admin", home), secrets.token_hex(8)
    landing, api = LandingSettings.of(environment), UserApiSettings.of({"USER_API_URL": user_api_url(home)})
    page_size = min(MAX_PAGE_SIZE, count)
    landed = fetch_and_land(MEMBERS, from_random_user, api, landing, count=count, page_size=page_size, seed=seed)
    if landed.accepted != count:
        raise RuntimeError(f"Accepted {landed.accepted} of {count} members.")
    with connect_landing(landing) as connection:
        publish_unpublished(
            connection, EventProducer(MEMBERS, KafkaSettings.of(environment), RegistrySettings.of(environment))
        )
    return seed


def counted(tables: AnalysisTables) -> int:
    """The day's total in the analysis tables."""
    day = tables.read_progress().analysis_date
    return tables.read_distribution("age", day).total if day else 0


def has_written(tables: AnalysisTables, ends: Offsets) -> bool:
    """Whether the stream has written every record before these offsets."""
    bounds = {partition: (0, end) for partition, end in ends.items()}
    return not any(count_unread(bounds, tables.read_progress().written, {}).values())


def wait_until(condition: Callable[[], bool], seconds: float, pause: float = 0.1) -> None:
    """Wait until a condition is true. Raises tenacity's RetryError on timeout."""
    Retrying(stop=stop_after_delay(seconds), wait=wait_fixed(pause), retry=retry_if_result(lambda result: not result))(
        condition
    )
