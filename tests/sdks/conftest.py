"""The collector of the running platform, as SDKs use it."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from interaction_records import Interaction, Interactions
from running_platform import Platform


@pytest.fixture(scope="session")
def interactions(platform: Platform) -> Interactions:
    return Interactions(platform)


@pytest.fixture(scope="session")
def collector_url(interactions: Interactions) -> str:
    return interactions.url


@pytest.fixture(scope="session")
def write_key(interactions: Interactions) -> str:
    """The write key of a source for servers."""
    return interactions.create_source("sdks", events_per_second=100_000)


@pytest.fixture(scope="session")
def browser_key(interactions: Interactions) -> Callable[[str], str]:
    """Creates a source whose pages have this origin, and gives its write key."""

    def create(origin: str) -> str:
        return interactions.create_source(f"pages-{uuid4().hex[:8]}", origin, events_per_second=100_000)

    return create


@pytest.fixture(scope="session")
def read_interactions(interactions: Interactions) -> Callable[[str], list[Interaction]]:
    return interactions.read


@pytest.fixture
def kill_collector(interactions: Interactions) -> Callable[[], None]:
    return interactions.kill_collector
