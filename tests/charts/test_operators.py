import json
import re
from typing import Any

import jmespath
import pytest

from rendering import CHARTS, OPERATED, OPERATORS, PLATFORM, SHARED, Helm, RefusedError, dependencies, has_dependencies
from schemas import faults
from workloads import find, workloads

CERT_MANAGER = "cert-manager.io/v1/CertificateRequest"
# A word that only the names of an operator's own objects have.
MADE_BY = {
    "cert-manager": "cert-manager",
    "strimzi-kafka-operator": "strimzi",
    "spark-operator": "spark-operator",
    "k8ssandra-operator": "k8ssandra-operator",
}


def test_every_operator_can_be_left_out_for_a_cluster_that_has_it(helm: Helm) -> None:
    conditions = {one["name"]: one.get("condition") for one in dependencies(OPERATORS)}
    assert conditions == {name: f"{name}.enabled" for name in MADE_BY}
    values = helm.values(OPERATORS)
    assert [name for name in MADE_BY if values[name]["enabled"] is not True] == []


@pytest.mark.parametrize("name", MADE_BY)
def test_one_that_is_left_out_leaves_nothing_behind(helm: Helm, name: str) -> None:
    if not has_dependencies(OPERATORS):
        pytest.skip("helm dependency update has not brought the operators' charts")
    all_of_them, without = (
        {
            pod.name
            for pod in workloads(helm.render({name: {"enabled": on}}, chart=OPERATORS, api_versions=[CERT_MANAGER]))
        }
        for on in (True, False)
    )
    assert [pod for pod in all_of_them if MADE_BY[name] in pod]
    assert [pod for pod in without if MADE_BY[name] in pod] == []
    assert without < all_of_them


@pytest.mark.parametrize("operator", OPERATED)
def test_without_an_operator_the_platform_is_not_installed_and_says_which_one(helm: Helm, operator: str) -> None:
    with pytest.raises(RefusedError, match="helm install operators charts/operators") as refused:
        helm.render(api_versions=[one for one in OPERATED if one != operator])
    assert told(refused.value) == [operator]


def test_without_any_all_are_told_at_once(helm: Helm) -> None:
    with pytest.raises(RefusedError) as refused:
        helm.render(api_versions=[])
    assert told(refused.value) == sorted(OPERATED)


def told(refused: RefusedError) -> list[str]:
    """The kinds that Helm says are missing."""
    return sorted(re.findall(r"\S+/v\w+/[A-Z]\w+", str(refused)))


@pytest.mark.parametrize("place", [{"release": "other"}, {"namespace": "other"}], ids=["release", "namespace"])
def test_a_release_that_could_not_bring_cert_manager_is_refused_with_the_line_that_could(
    helm: Helm, place: dict[str, Any]
) -> None:
    with pytest.raises(RefusedError, match="helm install operators charts/operators -n operators") as refused:
        helm.render(chart=OPERATORS, **place)
    assert "cert-manager.enabled=false" in str(refused.value)
    assert helm.render({"cert-manager": {"enabled": False}}, chart=OPERATORS, api_versions=[CERT_MANAGER], **place)


def test_without_a_cert_manager_of_either_kind_it_is_refused(helm: Helm) -> None:
    with pytest.raises(RefusedError, match="cert-manager"):
        helm.render({"cert-manager": {"enabled": False}}, chart=OPERATORS, api_versions=[])


def test_the_kinds_of_cert_manager_are_known_before_the_objects_that_need_them(helm: Helm) -> None:
    """Helm lays down what is in crds/ first; cert-manager's own definitions take its place within the same release."""
    definitions = [one for one in helm.render(chart=OPERATORS) if one["kind"] == "CustomResourceDefinition"]
    early = {one["spec"]["names"]["kind"]: one for one in definitions if _owner(one)}
    assert early.keys() == {"Certificate", "Issuer"}
    for one in early.values():
        assert one["spec"]["group"] == "cert-manager.io"
        assert _owner(one) == ("operators", "operators")
        assert one["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
        assert one["metadata"]["name"] == f"{one['spec']['names']['plural']}.cert-manager.io"


def test_what_is_laid_down_early_is_replaced_by_cert_managers_own_of_the_same_name() -> None:
    folder = SHARED / "crds" / "cert-manager"
    if not folder.exists():
        pytest.skip("cert-manager's definitions are not here")
    early = (CHARTS / OPERATORS / "crds" / "cert-manager.yaml").read_text()
    for kind in ("certificates", "issuers"):
        assert (folder / f"cert-manager.io_{kind}.yaml").exists()
        assert f"name: {kind}.cert-manager.io" in early


def _owner(definition: dict[str, Any]) -> tuple[str, str] | None:
    annotations = definition["metadata"].get("annotations", {})
    if "meta.helm.sh/release-name" not in annotations:
        return None
    return annotations["meta.helm.sh/release-name"], annotations["meta.helm.sh/release-namespace"]


def test_every_operator_watches_the_namespace_of_the_platform_whenever_that_is_made(helm: Helm) -> None:
    values = helm.values(OPERATORS)
    assert values["strimzi-kafka-operator"]["watchAnyNamespace"] is True
    assert values["spark-operator"]["spark"]["jobNamespaces"] == [""]
    assert values["k8ssandra-operator"]["global"]["clusterScoped"] is True


def test_strimzi_has_the_memory_that_it_needs(helm: Helm) -> None:
    """With the 384Mi of its chart it is killed on kind."""
    resources = jmespath.search(
        '"strimzi-kafka-operator".resources.[requests, limits][].memory', helm.values(OPERATORS)
    )
    assert resources == ["512Mi", "768Mi"]


def test_the_spark_operator_makes_no_account_that_the_platform_makes(helm: Helm) -> None:
    spark = helm.values(OPERATORS)["spark-operator"]["spark"]
    assert (spark["serviceAccount"]["create"], spark["rbac"]["create"]) == (False, False)
    assert find(helm.render(), "ServiceAccount", "member-analyzer-spark")


def test_every_container_of_the_operators_that_we_size_says_what_it_needs(helm: Helm) -> None:
    sizes = json.dumps(helm.values(OPERATORS))
    assert sizes.count('"requests"') == sizes.count('"limits"') >= 7


def test_the_judge_knows_the_kinds_that_the_platform_takes_from_the_operators(helm: Helm) -> None:
    if not (SHARED / "crds").exists() and not has_dependencies(OPERATORS):
        pytest.skip("the definitions of the operators are not here")
    kinds = {one.rpartition("/")[2] for one in OPERATED}
    assert [fault for one in helm.render(chart=PLATFORM) if one["kind"] in kinds for fault in faults(one)] == []
