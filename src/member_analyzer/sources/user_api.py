"""Client of the user API: pages of users, asked for again when the API stumbles."""

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

from member_analyzer.http.sessions import outside_session
from member_analyzer.settings import UserApiSettings

LARGEST_PAGE = 5000
TOO_MANY_REQUESTS = 429
FIRST_SERVER_ERROR = 500

log = structlog.get_logger(__name__)


class UserApiError(RuntimeError):
    """Raised when a page could not be had: which address, what came back, and whether asking again may help."""

    def __init__(self, url: str, what: str, *, may_pass: bool, wait_seconds: float | None = None) -> None:
        super().__init__(f"The user API at {url} {what}.")
        self.may_pass = may_pass
        self.wait_seconds = wait_seconds


@dataclass(frozen=True)
class Page:
    """The users of one page as the API gave them, from the page `number` of the `seed`."""

    number: int
    seed: str
    users: list[Any]


def fetch_pages(settings: UserApiSettings, *, count: int, page_size: int, seed: str) -> Iterator[Page]:
    """The first `count` users of a seed, page by page; the next page is fetched while one is worked on.

    Every page is asked for at the same size, because what a page number means depends on it.
    Raises UserApiError when a page could not be had in `settings.attempts` attempts; the pages before it were given.
    """
    if not 1 <= page_size <= LARGEST_PAGE:
        raise ValueError(f"A page holds 1 to {LARGEST_PAGE} users, not {page_size}.")
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
            wanted = min(page_size, count - (number - 1) * page_size)
            yield Page(number, seed, page.users[:wanted])


def open_session(settings: UserApiSettings) -> requests.Session:
    """A session with the user API, through the proxy that is set for it."""
    return outside_session(settings.url, settings.proxy.get_secret_value() if settings.proxy else None)


def fetch_page(session: requests.Session, settings: UserApiSettings, *, number: int, page_size: int, seed: str) -> Page:
    """One page. Waits and asks again, as long as the API says in Retry-After, or longer each time.

    Raises UserApiError at once where asking again cannot help, or the API wants a longer pause than may be; otherwise
    after the last attempt.
    """

    def may_ask_again(error: BaseException) -> bool:
        return isinstance(error, UserApiError) and error.may_pass and (error.wait_seconds or 0) <= settings.longest_wait

    retrying = Retrying(
        stop=stop_after_attempt(settings.attempts),
        wait=_Pause(settings.longest_wait),
        retry=retry_if_exception(may_ask_again),
        before_sleep=_log_pause,
        reraise=True,
    )
    return retrying(_ask, session, settings, number, page_size, seed)


class _Pause:
    """As long as the API asked for; without a word of it longer each time, with jitter, up to `longest` seconds."""

    def __init__(self, longest: float) -> None:
        self._growing = wait_random_exponential(multiplier=0.5, max=longest)

    def __call__(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, UserApiError) and error.wait_seconds is not None:
            return error.wait_seconds
        return self._growing(state)


def _log_pause(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    pause = state.next_action.sleep if state.next_action else 0
    log.warning("user_api.asks_again", attempt=state.attempt_number, pause_seconds=round(pause, 1), cause=str(error))


def _ask(session: requests.Session, settings: UserApiSettings, number: int, page_size: int, seed: str) -> Page:
    parameters: dict[str, str | int] = {"results": page_size, "page": number, "seed": seed}
    base = without_parameters(settings.url, parameters)
    # As it is told to people and to logs: without what may be secret in the setting.
    url = requests.Request("GET", settings.address, params=parameters).prepare().url or settings.address
    try:
        response = session.get(base, params=parameters, timeout=(settings.connect_timeout, settings.read_timeout))
        body = response.content
    except requests.RequestException as error:
        raise UserApiError(url, f"did not answer ({type(error).__name__})", may_pass=True) from error
    if response.status_code != requests.codes.ok:
        wait_seconds = _retry_after(response.headers.get("Retry-After"))
        asked = f" and asks to wait {wait_seconds:.0f} s" if wait_seconds else ""
        raise UserApiError(
            url,
            f"answered with status {response.status_code} ({response.reason}){asked}",
            may_pass=response.status_code == TOO_MANY_REQUESTS or response.status_code >= FIRST_SERVER_ERROR,
            wait_seconds=wait_seconds,
        )
    try:
        answer = _read_json(body)
    except (ValueError, RecursionError) as error:
        kind = response.headers.get("Content-Type", "no content type")
        what = f"answered with status 200 but {len(body)} bytes that are not whole JSON ({kind})"
        raise UserApiError(url, what, may_pass=True) from error
    if isinstance(answer, dict) and "error" in answer:
        raise UserApiError(url, f"answered with the error {answer['error']!r}", may_pass=True)
    if not isinstance(answer, dict) or not isinstance(answer.get("results"), list):
        raise UserApiError(url, "answered with JSON that has no list of results", may_pass=True)
    if len(answer["results"]) < page_size:
        got = len(answer["results"])
        raise UserApiError(url, f"answered with {got} users instead of {page_size}", may_pass=True)
    return Page(number, seed, answer["results"])


def without_parameters(url: str, names: Container[str]) -> str:
    """The URL without these of its query's parameters, which would contradict ours; the others stay, as filters do."""
    parts = urlsplit(url)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in names]
    return urlunsplit(parts._replace(query=urlencode(kept)))


def _read_json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # Python's own reader takes more, as half a surrogate pair: one such text would cost the whole page.
        return json.loads(body)


def _retry_after(header: str | None) -> float | None:
    """Seconds of a Retry-After header (RFC 9110, section 10.2.3): a number of seconds or a date."""
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
