"""Who is looking: logins, sessions, and what guards them."""

import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from limits import RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.requests import Request

from member_analyzer.http.problem import ProblemError
from member_analyzer.settings import ConsoleSettings

PERSONAL = "personal"
REPLAY = "replay"
RIGHTS: Mapping[str, tuple[str, ...]] = {"viewer": (), "operator": (PERSONAL, REPLAY)}

# Somebody who mistypes has tries enough; somebody who guesses has 30 an hour.
MOST_FAILURES = (RateLimitItemPerMinute(5), RateLimitItemPerHour(30))


@dataclass(frozen=True)
class Session:
    """A login that is under way."""

    login: str
    csrf: str
    ends_at: float
    """Seconds since 1970."""

    @property
    def rights(self) -> tuple[str, ...]:
        """What it may do besides looking."""
        return RIGHTS[self.login]

    @property
    def is_masked(self) -> bool:
        """Whether personal data is hidden from it."""
        return PERSONAL not in self.rights

    @property
    def document(self) -> dict[str, Any]:
        """What the page needs to know of it."""
        return {"login": self.login, "rights": self.rights, "csrf": self.csrf}


class Door:
    """Checks passwords, and slows down whoever guesses them."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._passwords = {
            "viewer": settings.viewer_password.get_secret_value(),
            "operator": settings.operator_password.get_secret_value(),
        }
        self._seconds = settings.session_hours * 3600
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def seconds_to_wait(self, address: str) -> int:
        """After how many seconds an address may try again; 0 for now."""
        waits = [
            self._limiter.get_window_stats(limit, address).reset_time - time.time()
            for limit in MOST_FAILURES
            if not self._limiter.test(limit, address)
        ]
        return max(1, *(int(wait) + 1 for wait in waits)) if waits else 0

    def open(self, login: str, password: str, address: str) -> dict[str, Any] | None:
        """A new session, as the cookie keeps it; none where login and password do not belong together."""
        expected = self._passwords.get(login)
        # Compared in any case, so that the time does not tell whether there is such a login.
        is_right = same(password, expected if expected is not None else secrets.token_hex())
        if expected is None or not is_right:
            for limit in MOST_FAILURES:
                self._limiter.hit(limit, address)
            return None
        return {"login": login, "csrf": secrets.token_urlsafe(), "until": time.time() + self._seconds}


def signing_key(settings: ConsoleSettings) -> str:
    """What the cookies are signed with: a changed password ends the sessions of the old one."""
    parts = (settings.session_secret, settings.viewer_password, settings.operator_password)
    return sha256("\0".join(part.get_secret_value() for part in parts).encode()).hexdigest()


def session_cookie(settings: ConsoleSettings) -> str:
    """The name of the cookie, one for each platform: cookies belong to a host, whatever the port."""
    platform = sha256(b"cookie\0" + settings.session_secret.get_secret_value().encode()).hexdigest()[:8]
    return f"member-analyzer-{platform}"


def find_session(request: Request) -> Session | None:
    """Whose request it is; none without a login that still holds."""
    kept = request.session
    if kept.get("login") not in RIGHTS or kept.get("until", 0) <= time.time():
        return None
    return Session(kept["login"], kept["csrf"], kept["until"])


def require_session(request: Request) -> Session:
    """Whose request it is. Raises ProblemError 401 without a login."""
    session = find_session(request)
    if session is None:
        raise ProblemError(HTTPStatus.UNAUTHORIZED, "Log in first, at /login.")
    return session


def require_token(request: Request, session: Session) -> None:
    """Let only the console's own page change something. Raises ProblemError 403."""
    if not same(request.headers.get("X-CSRF-Token", ""), session.csrf):
        raise ProblemError(
            HTTPStatus.FORBIDDEN, "The header X-CSRF-Token is missing or of another session: load the page again."
        )


def require_right(session: Session, right: str) -> None:
    """Raises ProblemError 403 for a login that may not do this."""
    if right not in session.rights:
        raise ProblemError(HTTPStatus.FORBIDDEN, f"The login {session.login} may not do this; the login operator may.")


def same(given: str, expected: str) -> bool:
    """Whether two secrets are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode(errors="replace"))


def own_address(target: str) -> str:
    """The address to go to after a login: that of a page of this console, whatever was asked for."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return "/"
    is_own = not parts.scheme and not parts.netloc and target.startswith("/") and not target.startswith("//")
    return target if is_own and "\\" not in target and target.isprintable() else "/"
