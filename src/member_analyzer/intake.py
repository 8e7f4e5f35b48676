"""From the user API into landing: what the task of `user_create` does."""

import structlog

from member_analyzer.landing import Landed, connect_landing, land_users
from member_analyzer.settings import LandingSettings, UserApiSettings
from member_analyzer.user_api import fetch_pages

log = structlog.get_logger(__name__)


def fetch_and_land(api: UserApiSettings, landing: LandingSettings, *, count: int, page_size: int, seed: str) -> Landed:
    """Accept the first `count` users of a seed, a page a transaction; what is there already changes nothing.

    Raises UserApiError when a page could not be had: the pages before it have landed, and another run goes on.
    """
    landed = Landed()
    with connect_landing(landing) as connection:
        for page in fetch_pages(api, count=count, page_size=page_size, seed=seed):
            landed += land_users(connection, page.users, source=f"{api.address} seed={page.seed} page={page.number}")
            log.info(
                "page.landed",
                page=page.number,
                accepted=landed.accepted,
                repeated=landed.repeated,
                rejected=landed.rejected,
            )
    return landed
