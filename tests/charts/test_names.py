"""Every object carries the release's name."""

import json
from typing import Any

import jmespath
import pytest

from combinations import COMBINATIONS, FILES
from names import FIXED
from rendering import Helm, Object, RenderError, Values
from workloads import embedded

OTHER = "other"


@pytest.mark.parametrize("values", COMBINATIONS.values(), ids=COMBINATIONS.keys())
def test_the_name_of_every_object_begins_with_the_name_of_the_release(helm: Helm, values: tuple[Values, ...]) -> None:
    objects = helm.render(*values, release=OTHER)
    assert objects
    assert [name(one) for one in without_exceptions([*objects, *embedded(objects)]) if not is_of_release(one)] == []


def test_every_exception_is_an_object_that_a_value_of_airflows_chart_names(helm: Helm) -> None:
    objects = helm.render(FILES / "values-dev.yaml")
    made = {(one["kind"], one["metadata"]["name"]) for one in objects}
    values = helm.airflow_values(FILES / "values-dev.yaml")
    for (kind, fixed), value in FIXED.items():
        assert (kind, fixed) in made
        assert json.dumps(fixed) in json.dumps(jmespath.search(value, values)), value


def test_no_object_refers_to_one_of_another_release(helm: Helm) -> None:
    default = json.dumps([helm.render(), helm.airflow_values()])
    other = json.dumps([helm.render(release=OTHER), helm.airflow_values(release=OTHER)])
    for suffix in ("-platform", "-recount", "-graphs", "-postgres", "-kafka", "-cluster-ca-cert", "-dc1-service"):
        assert f"member-analyzer{suffix}" in default
        assert f"member-analyzer{suffix}" not in other


@pytest.mark.parametrize("release", ["0members", "members.of", f"{'m' * 31}"])
def test_a_release_name_from_which_operators_cannot_derive_names_is_rejected(helm: Helm, release: str) -> None:
    with pytest.raises(RenderError, match="The release's name is"):
        helm.render(release=release)


def is_of_release(one: Object) -> bool:
    found: str = one["metadata"]["name"]
    return found == OTHER or found.startswith(f"{OTHER}-")


def without_exceptions(objects: list[Object]) -> list[Object]:
    # Airflow replaces the name in the template of its tasks' pods.
    fixed = {*FIXED, ("Pod", "placeholder-name")}
    return [one for one in objects if (one["kind"], one["metadata"]["name"]) not in fixed]


def name(one: dict[str, Any]) -> str:
    return f"{one['kind']} {one['metadata']['name']}"
