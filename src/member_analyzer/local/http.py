"""Readiness checks over HTTP."""

from typing import Any

import requests

from member_analyzer.http.sessions import direct_session
from member_analyzer.local.server import NotReadyError


def fetch_json(url: str, **parameters: str) -> Any:
    """The JSON that a server returns. Raises NotReadyError if it returns none."""
    try:
        with direct_session() as session:
            response = session.get(url, params=parameters, timeout=5)
    except requests.ConnectionError as error:
        raise NotReadyError(f"{url} refuses connections") from error
    except requests.RequestException as error:
        raise NotReadyError(f"{url} does not respond ({type(error).__name__})") from error
    if not response.ok:
        raise NotReadyError(f"{url} returns {response.status_code} {response.reason}")
    try:
        return response.json()
    except requests.JSONDecodeError as error:
        raise NotReadyError(f"{url} does not return JSON yet") from error
