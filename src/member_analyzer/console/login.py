"""Logins, sessions and CSRF protection."""

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

# Failed logins per address.
FAILURE_LIMITS = (RateLimitItemPerMinute(5), RateLimitItemPerHour(30))


@dataclass(frozen=True)
class Session:
    """A valid session."""

    login: str
    csrf: str
    expires_at: float
    """Unix time."""

    @property
    def rights(self) -> tuple[str, ...]:
        return RIGHTS[self.login]

    @property
    def is_masked(self) -> bool:
        """Whether personal data is masked."""
        return PERSONAL not in self.rights

    @property
    def document(self) -> dict[str, Any]:
        """The session as JSON values."""
        return {"login": self.login, "rights": self.rights, "csrf": self.csrf}


class Authenticator:
    """Checks passwords and limits failed logins."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._passwords = {
            "viewer": settings.viewer_password.get_secret_value(),
            "operator": settings.operator_password.get_secret_value(),
        }
        self._session_seconds = settings.session_hours * 3600
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def retry_after(self, address: str) -> int:
        """Seconds until an address may try again; 0 if it may now."""
        waits = [
            self._limiter.get_window_stats(limit, address).reset_time - time.time()
            for limit in FAILURE_LIMITS
            if not self._limiter.test(limit, address)
        ]
        return max(1, *(int(wait) + 1 for wait in waits)) if waits else 0

    def authenticate(self, login: str, password: str, address: str) -> dict[str, Any] | None:
        """The contents of a new session cookie, or None for wrong credentials."""
        expected = self._passwords.get(login)
        # Always compares, so that the response time does not reveal whether the login exists.
        is_correct = is_same_secret(password, expected if expected is not None else secrets.token_hex())
        if expected is None or not is_correct:
            for limit in FAILURE_LIMITS:
                self._limiter.hit(limit, address)
            return None
        return {"login": login, "csrf": secrets.token_urlsafe(), "expires_at": time.time() + self._session_seconds}


def signing_key(settings: ConsoleSettings) -> str:
    """The key that signs the cookies; it depends on the passwords, so that changing one ends all sessions."""
    parts = (settings.session_secret, settings.viewer_password, settings.operator_password)
    return sha256("\0".join(part.get_secret_value() for part in parts).encode()).hexdigest()


def session_cookie(settings: ConsoleSettings) -> str:
    """The cookie's name, unique per platform: cookies are shared by all ports of a host."""
    platform = sha256(b"cookie\0" + settings.session_secret.get_secret_value().encode()).hexdigest()[:8]
    return f"member-analyzer-{platform}"


def find_session(request: Request) -> Session | None:
    """The session of a request, None if it is missing or expired."""
    cookie = request.session
    if cookie.get("login") not in RIGHTS or cookie.get("expires_at", 0) <= time.time():
        return None
    return Session(cookie["login"], cookie["csrf"], cookie["expires_at"])


def require_session(request: Request) -> Session:
    """The session of a request. Raises ProblemError 401 if there is none."""
    session = find_session(request)
    if session is None:
        raise ProblemError(HTTPStatus.UNAUTHORIZED, "Log in first, at /login.")
    return session


def require_csrf_token(request: Request, session: Session) -> None:
    """Raises ProblemError 403 for a request that does not come from the console's own page."""
    if not is_same_secret(request.headers.get("X-CSRF-Token", ""), session.csrf):
        raise ProblemError(HTTPStatus.FORBIDDEN, "The header X-CSRF-Token is missing or invalid. Reload the page.")


def require_right(session: Session, right: str) -> None:
    """Raises ProblemError 403 for a login without this right."""
    if right not in session.rights:
        raise ProblemError(
            HTTPStatus.FORBIDDEN, f"The login {session.login} lacks the right {right!r}. Log in as operator."
        )


def is_same_secret(given: str, expected: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode(errors="replace"))


def safe_redirect_target(target: str) -> str:
    """The target if it is a path of this console, otherwise `/`."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return "/"
    is_local = not parts.scheme and not parts.netloc and target.startswith("/") and not target.startswith("//")
    return target if is_local and "\\" not in target and target.isprintable() else "/"
