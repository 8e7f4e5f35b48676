"""Asks the servers that speak HTTP whether they are ready."""

from typing import Any

import requests

from member_analyzer.http.sessions import direct_session
from member_analyzer.local.server import NotReadyError


def ask(url: str, **parameters: str) -> Any:
    """The JSON that a server answers; NotReadyError, in a few words, if it does not."""
    try:
        with direct_session() as session:
            answer = session.get(url, params=parameters, timeout=5)
    except requests.ConnectionError as error:
        raise NotReadyError(f"{url} refuses connections") from error
    except requests.RequestException as error:
        raise NotReadyError(f"{url} does not answer ({type(error).__name__})") from error
    if not answer.ok:
        raise NotReadyError(f"{url} answers {answer.status_code} {answer.reason}")
    try:
        return answer.json()
    except requests.JSONDecodeError as error:
        raise NotReadyError(f"{url} does not answer with JSON yet") from error
