"""Lands users from the user API: the task of `user_create`."""

from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import structlog

from member_analyzer.landing.acceptance import Landed, Read, land_records, read_records
from member_analyzer.landing.connection import connect_landing
from member_analyzer.settings import LandingSettings, UserApiSettings
from member_analyzer.sources.user_api import Page, UserApiError, fetch_pages
from member_analyzer.streams.definition import StreamDefinition

# Parameters of randomuser.me that omit fields from responses.
SELECTING = ("inc", "exc")

log = structlog.get_logger(__name__)


def fetch_and_land(
    definition: StreamDefinition,
    read: Read,
    api: UserApiSettings,
    landing: LandingSettings,
    *,
    count: int,
    page_size: int,
    seed: str,
) -> Landed:
    """Land the first `count` users of a seed, one transaction per page. Idempotent.

    `read` converts a user to a record.

    Raises UserApiError if a page cannot be fetched or has no valid user; its rejected users are stored, the previous
    pages have landed, and a retry continues. A page of one invalid user is no error if earlier users were valid.
    """
    landed = Landed()
    with connect_landing(landing) as connection:
        for page in fetch_pages(api, count=count, page_size=page_size, seed=seed):
            records, rejected = read_records(definition, page.users, datetime.now(UTC), read)
            source = f"{api.address} seed={page.seed} page={page.number}"
            landed += land_records(connection, definition, records, rejected, source=source)
            log.info(
                "page.landed",
                page=page.number,
                accepted=landed.accepted,
                duplicate=landed.duplicate,
                rejected=landed.rejected,
            )
            is_known_to_work = len(page.users) == 1 and landed.accepted + landed.duplicate > 0
            if rejected and not records and not is_known_to_work:
                raise UserApiError(
                    api.address, describe_rejected_page(api, page, rejected[0].rejection.message), is_transient=False
                )
    return landed


def describe_rejected_page(api: UserApiSettings, page: Page, first: str) -> str:
    """Describe a page without a valid user, with the cause if the URL shows it."""
    cause = [name for name, _ in parse_qsl(urlsplit(api.url).query) if name in SELECTING]
    hint = f" (the parameter {cause[0]} of USER_API_URL omits fields: remove it)" if cause else ""
    return f"returned no valid user on page {page.number}: the first of {len(page.users)} is rejected because: " + (
        f"{first.removesuffix('.')}{hint}"
    )
