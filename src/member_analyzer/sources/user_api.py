"""Client of the user API, which fetches pages of users and retries transient failures."""

import json
from collections.abc import Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import orjson
import requests
import structlog
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from member_analyzer.http.sessions import external_session
from member_analyzer.settings import UserApiSettings

MAX_PAGE_SIZE = 5000
TOO_MANY_REQUESTS = 429
FIRST_SERVER_ERROR = 500

log = structlog.get_logger(__name__)


class UserApiError(RuntimeError):
    """Raised when a page could not be fetched, with the URL, the failure, and whether a retry may succeed."""

    def __init__(self, url: str, failure: str, *, is_transient: bool, retry_after: float | None = None) -> None:
        super().__init__(f"The user API at {url} {failure}.")
        self.is_transient = is_transient
        self.retry_after = retry_after


@dataclass(frozen=True)
class Page:
    """The users on page `number` of a seed, as the API returned them."""

    number: int
    seed: str
    users: list[Any]


def fetch_pages(settings: UserApiSettings, *, count: int, page_size: int, seed: str) -> Iterator[Page]:
    """The first `count` users of a seed, page by page; each page is fetched while the one before is processed.

    All requests use the same page size, because it determines what a page number means.
    Raises UserApiError if a page could not be fetched in `settings.attempts` attempts, after yielding those before it.
    """
    if not 1 <= page_size <= MAX_PAGE_SIZE:
        raise ValueError(f"The page size must be 1 to {MAX_PAGE_SIZE} users, not {page_size}.")
    if count < 1:
        raise ValueError(f"The number of users to fetch must be at least 1, not {count}.")
    page_size = min(page_size, count)
    pages = -(-count // page_size)
    with open_session(settings) as session, ThreadPoolExecutor(1, thread_name_prefix="user-api") as ahead:
        upcoming = ahead.submit(fetch_page, session, settings, number=1, page_size=page_size, seed=seed)
        for number in range(1, pages + 1):
            page = upcoming.result()
            if number < pages:
                upcoming = ahead.submit(
                    fetch_page, session, settings, number=number + 1, page_size=page_size, seed=seed
                )
            size = min(page_size, count - (number - 1) * page_size)
            yield Page(number, seed, page.users[:size])


def open_session(settings: UserApiSettings) -> requests.Session:
    """A session with the user API, through its configured proxy."""
    return external_session(settings.url, settings.proxy.get_secret_value() if settings.proxy else None)


def fetch_page(session: requests.Session, settings: UserApiSettings, *, number: int, page_size: int, seed: str) -> Page:
    """Fetch one page; retry after the API's Retry-After, or with exponential backoff.

    Raises UserApiError after the last attempt, and immediately if a retry cannot succeed or Retry-After exceeds
    `settings.max_wait`.
    """

    def should_retry(error: BaseException) -> bool:
        return isinstance(error, UserApiError) and error.is_transient and (error.retry_after or 0) <= settings.max_wait

    retrying = Retrying(
        stop=stop_after_attempt(settings.attempts),
        wait=_Backoff(settings.max_wait),
        retry=retry_if_exception(should_retry),
        before_sleep=_log_retry,
        reraise=True,
    )
    return retrying(_request_page, session, settings, number, page_size, seed)


class _Backoff:
    """The API's Retry-After, otherwise exponential backoff with jitter, at most `max_wait` seconds."""

    def __init__(self, max_wait: float) -> None:
        self._exponential = wait_random_exponential(multiplier=0.5, max=max_wait)

    def __call__(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, UserApiError) and error.retry_after is not None:
            return error.retry_after
        return self._exponential(state)


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    wait = state.next_action.sleep if state.next_action else 0
    log.warning("user_api.retrying", attempt=state.attempt_number, wait_seconds=round(wait, 1), cause=str(error))


def _request_page(session: requests.Session, settings: UserApiSettings, number: int, page_size: int, seed: str) -> Page:
    parameters: dict[str, str | int] = {"results": page_size, "page": number, "seed": seed}
    base = without_parameters(settings.url, parameters)
    # For messages and logs: without the secrets that the setting may contain.
    url = requests.Request("GET", settings.address, params=parameters).prepare().url or settings.address
    try:
        response = session.get(base, params=parameters, timeout=(settings.connect_timeout, settings.read_timeout))
        body = response.content
    except requests.RequestException as error:
        raise UserApiError(url, f"did not respond ({type(error).__name__})", is_transient=True) from error
    if response.status_code != requests.codes.ok:
        retry_after = _parse_retry_after(response.headers.get("Retry-After"))
        wait = f" and Retry-After {retry_after:.0f} s" if retry_after else ""
        raise UserApiError(
            url,
            f"returned status {response.status_code} ({response.reason}){wait}",
            is_transient=response.status_code == TOO_MANY_REQUESTS or response.status_code >= FIRST_SERVER_ERROR,
            retry_after=retry_after,
        )
    try:
        answer = _parse_json(body)
    except (ValueError, RecursionError) as error:
        kind = response.headers.get("Content-Type", "no content type")
        failure = f"returned status 200 with {len(body)} bytes that are not complete JSON ({kind})"
        raise UserApiError(url, failure, is_transient=True) from error
    if isinstance(answer, dict) and "error" in answer:
        raise UserApiError(url, f"returned the error {answer['error']!r}", is_transient=True)
    if not isinstance(answer, dict) or not isinstance(answer.get("results"), list):
        raise UserApiError(url, "returned JSON without a list of results", is_transient=True)
    if len(answer["results"]) < page_size:
        size = len(answer["results"])
        raise UserApiError(url, f"returned {size} users instead of {page_size}", is_transient=True)
    return Page(number, seed, answer["results"])


def without_parameters(url: str, names: Container[str]) -> str:
    """The URL without these query parameters, which would contradict ours; others, such as filters, are kept."""
    parts = urlsplit(url)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in names]
    return urlunsplit(parts._replace(query=urlencode(kept)))


def _parse_json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # Python's parser also accepts lone surrogates, one of which would otherwise invalidate the whole page.
        return json.loads(body)


def _parse_retry_after(header: str | None) -> float | None:
    """The seconds of a Retry-After header (RFC 9110, section 10.2.3), which has a number of seconds or a date."""
    if header is None:
        return None
    if header.isascii() and header.strip().isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
