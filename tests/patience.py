"""Polls conditions until they are true or a deadline has passed."""

import os
from collections.abc import Callable

import requests
from tenacity import RetryError, Retrying, retry_if_not_result, stop_after_delay, wait_fixed

# Not a performance requirement: generous enough for a slow, busy machine.
DEADLINE = float(os.environ.get("TEST_DEADLINE", "300"))


def holds(condition: Callable[[], bool], seconds: float = DEADLINE) -> bool:
    """Whether a condition becomes true within the given time."""
    try:
        Retrying(stop=stop_after_delay(seconds), wait=wait_fixed(0.3), retry=retry_if_not_result(bool))(condition)
    except RetryError:
        return False
    return True


def answers(url: str, seconds: float = 30) -> bool:
    """Whether a URL returns a successful response."""
    try:
        return requests.get(url, timeout=seconds).ok
    except requests.RequestException:
        return False
