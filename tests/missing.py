"""What happens to a test whose program is not on this machine."""

import os
from typing import NoReturn

import pytest


def lack(what: str) -> NoReturn:
    """Skip the test. Where CI is set it fails instead: nobody reads there what was skipped."""
    if os.environ.get("CI"):
        pytest.fail(what, pytrace=False)
    pytest.skip(what)
