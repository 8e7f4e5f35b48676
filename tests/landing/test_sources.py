"""Sources in a real PostgreSQL."""

import pytest

from member_analyzer.landing.connection import Connection
from member_analyzer.landing.sources import (
    KEY,
    Source,
    SourceError,
    create_source,
    find_source,
    read_sources,
    revoke_source,
    rotate_key,
)

SHOP = Source("web-shop", ("https://shop.example",), "Europe/Oslo", honors_opt_out=False, events_per_second=50)


def test_a_source_is_found_by_its_write_key(landing: Connection) -> None:
    key = create_source(landing, SHOP)
    found = find_source(read_sources(landing), key)
    assert found is not None
    assert KEY.fullmatch(key)
    assert (found.name, found.origins, found.time_zone) == (SHOP.name, SHOP.origins, SHOP.time_zone)
    assert (found.honors_opt_out, found.events_per_second) == (False, 50)


def test_only_the_hash_of_a_write_key_is_stored(landing: Connection) -> None:
    key = create_source(landing, SHOP)
    row = landing.execute("SELECT sources::text FROM landing.sources").fetchone()
    assert row is not None
    assert key not in row[0]


def test_a_rotated_key_replaces_the_old_one(landing: Connection) -> None:
    old = create_source(landing, SHOP)
    new = rotate_key(landing, SHOP.name)
    sources = read_sources(landing)
    assert new is not None
    assert find_source(sources, old) is None
    assert find_source(sources, new) is not None


def test_a_revoked_source_has_no_key_and_its_name_stays_in_use(landing: Connection) -> None:
    key = create_source(landing, SHOP)
    assert revoke_source(landing, SHOP.name)
    assert find_source(read_sources(landing), key) is None
    assert not revoke_source(landing, SHOP.name)
    assert rotate_key(landing, SHOP.name) is None
    with pytest.raises(SourceError, match="already in use"):
        create_source(landing, SHOP)


@pytest.mark.parametrize(
    "source",
    [
        Source("Web Shop"),
        Source(""),
        Source("shop", ("shop.example",)),
        Source("shop", time_zone="Europe/Atlantis"),
        Source("shop", time_zone="../../etc/passwd"),
    ],
)
def test_an_invalid_source_is_refused_with_what_to_correct(landing: Connection, source: Source) -> None:
    with pytest.raises(SourceError):
        create_source(landing, source)
    assert read_sources(landing) == {}
