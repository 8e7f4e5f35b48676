"""Pages of users: the responses of the API."""

from collections.abc import Iterator
from datetime import date

from member_analyzer.fake_users.nationality import load_nationality
from member_analyzer.fake_users.person import FIELDS, User, make_user
from member_analyzer.fake_users.query import Query
from member_analyzer.fake_users.seeded_random import make_randoms

VERSION = "1.4"


def make_page(query: Query, today: date) -> dict[str, object]:
    """Make the response to a query, with the ages as of `today`."""
    page: dict[str, object] = {"results": list(make_users(query, today))}
    if query.info:
        page["info"] = {"seed": query.seed, "results": query.results, "page": query.page, "version": VERSION}
    return page


def make_users(query: Query, today: date) -> Iterator[User]:
    """Make the users of a query; each depends only on the seed, the page, the filters and its position on the page."""
    nationalities = [load_nationality(code) for code in query.nationalities]
    # The seed comes last because only it may contain any character.
    key = f"{query.page} {','.join(query.nationalities)} {','.join(query.genders)} {query.seed}"
    for random in make_randoms(key, query.results):
        user = make_user(random, nationalities, query.genders, today)
        yield user if query.fields == FIELDS else {field: user[field] for field in query.fields}
