"""Helm, and the platform rendered with each combination of values."""

import pytest

from combinations import COMBINATIONS
from missing import skip_or_fail
from rendering import Helm, Object, Values
from tools import HELM, MissingToolError


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """The real Helm. If it can be neither found nor built, its tests are skipped, or fail in CI."""
    try:
        return Helm(HELM.path(), tmp_path_factory.mktemp("charts"))
    except MissingToolError as missing:
        skip_or_fail(str(missing))


@pytest.fixture(params=list(COMBINATIONS.values()), ids=list(COMBINATIONS))
def combination(request: pytest.FixtureRequest) -> tuple[Values, ...]:
    values: tuple[Values, ...] = request.param
    return values


@pytest.fixture
def rendered(helm: Helm, combination: tuple[Values, ...]) -> list[Object]:
    """All objects of the platform."""
    return helm.render(*combination)
