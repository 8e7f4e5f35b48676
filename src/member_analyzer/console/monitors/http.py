"""HTTP requests of the monitors."""

import requests

from member_analyzer.console.monitoring import UnavailableError

TIMEOUT = 5


def get(session: requests.Session, url: str) -> requests.Response:
    """The response, whatever its status. Raises UnavailableError if there is none."""
    try:
        return session.get(url, timeout=TIMEOUT)
    except requests.ConnectionError as error:
        raise UnavailableError("Connection refused.") from error
    except requests.RequestException as error:
        raise UnavailableError(f"No response ({type(error).__name__}).") from error
