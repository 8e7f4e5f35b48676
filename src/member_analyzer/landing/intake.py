"""From the user API into landing: what the task of `user_create` does."""

from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import structlog

from member_analyzer.landing.acceptance import Landed, Read, land_records, read_records
from member_analyzer.landing.connection import connect_landing
from member_analyzer.settings import LandingSettings, UserApiSettings
from member_analyzer.sources.user_api import Page, UserApiError, fetch_pages
from member_analyzer.streams.definition import StreamDefinition

# Parameters of randomuser.me that leave fields out of its answers.
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
    """Accept the first `count` users of a seed, a page a transaction; what is there already changes nothing.

    `read` makes a record of the stream of each user.

    Raises UserApiError when a page could not be had, or none of its users is valid: what was rejected of it is kept,
    the pages before it have landed, and another run goes on. One user alone tells nothing of a page: it counts as
    rejected, unless no user of the run was valid before.
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
                    api.address, describe_rejected_page(api, page, rejected[0].rejection.message), may_pass=False
                )
    return landed


def describe_rejected_page(api: UserApiSettings, page: Page, first: str) -> str:
    """What is wrong with a page none of whose users is a valid member, with the cause where the URL shows it."""
    cause = [name for name, _ in parse_qsl(urlsplit(api.url).query) if name in SELECTING]
    hint = f" (USER_API_URL leaves fields out with its parameter {cause[0]}: remove it)" if cause else ""
    return (
        f"answered page {page.number} with no valid user: of all {len(page.users)}, the first is rejected because: "
        + (f"{first.removesuffix('.')}{hint}")
    )
