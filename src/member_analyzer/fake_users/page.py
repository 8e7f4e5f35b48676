"""One page of users: what the API answers."""

from collections.abc import Iterator
from datetime import date

from member_analyzer.fake_users.nationality import load_nationality
from member_analyzer.fake_users.noise import make_noise
from member_analyzer.fake_users.person import FIELDS, User, make_user
from member_analyzer.fake_users.query import Query

VERSION = "1.4"


def make_page(query: Query, today: date) -> dict[str, object]:
    """Make the answer to a query, with the users as old as on the day `today`."""
    page: dict[str, object] = {"results": list(make_users(query, today))}
    if query.info:
        page["info"] = {"seed": query.seed, "results": query.results, "page": query.page, "version": VERSION}
    return page


def make_users(query: Query, today: date) -> Iterator[User]:
    """Make the users of a query; each depends on seed, page, filters and its place on the page, and on nothing else."""
    nationalities = [load_nationality(code) for code in query.nationalities]
    # The seed comes last because it alone may hold any character.
    key = f"{query.page} {','.join(query.nationalities)} {','.join(query.genders)} {query.seed}"
    for noise in make_noise(key, query.results):
        user = make_user(noise, nationalities, query.genders, today)
        yield user if query.fields == FIELDS else {field: user[field] for field in query.fields}
