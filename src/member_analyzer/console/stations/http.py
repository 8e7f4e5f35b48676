"""Asks the stations that speak plain HTTP."""

import requests

from member_analyzer.console.watch import AwayError

TIMEOUT = 5


def ask(session: requests.Session, url: str) -> requests.Response:
    """A server's answer, whatever its status. Raises AwayError where there is none."""
    try:
        return session.get(url, timeout=TIMEOUT)
    except requests.ConnectionError as error:
        raise AwayError("It refuses connections.") from error
    except requests.RequestException as error:
        raise AwayError(f"It does not answer ({type(error).__name__}).") from error
