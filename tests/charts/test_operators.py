import json
import re
from typing import Any

import jmespath
import pytest

from rendering import CHARTS, OPERATED, OPERATORS, PLATFORM, SHARED, Helm, RenderError, dependencies, has_dependencies
from schemas import validation_errors
from workloads import find, workloads

CERT_MANAGER = "cert-manager.io/v1/CertificateRequest"
# A word that only names of the operator's objects contain.
NAME_OF = {
    "cert-manager": "cert-manager",
    "strimzi-kafka-operator": "strimzi",
    "spark-operator": "spark-operator",
    "k8ssandra-operator": "k8ssandra-operator",
}


def test_every_operator_can_be_disabled(helm: Helm) -> None:
    conditions = {one["name"]: one.get("condition") for one in dependencies(OPERATORS)}
    assert conditions == {name: f"{name}.enabled" for name in NAME_OF}
    values = helm.values(OPERATORS)
    assert [name for name in NAME_OF if values[name]["enabled"] is not True] == []


@pytest.mark.parametrize("name", NAME_OF)
def test_a_disabled_operator_has_no_objects(helm: Helm, name: str) -> None:
    if not has_dependencies(OPERATORS):
        pytest.skip("the operators' charts are not downloaded")
    all_of_them, without = (
        {
            pod.name
            for pod in workloads(helm.render({name: {"enabled": on}}, chart=OPERATORS, api_versions=[CERT_MANAGER]))
        }
        for on in (True, False)
    )
    assert [pod for pod in all_of_them if NAME_OF[name] in pod]
    assert [pod for pod in without if NAME_OF[name] in pod] == []
    assert without < all_of_them


@pytest.mark.parametrize("operator", OPERATED)
def test_a_missing_operator_is_reported(helm: Helm, operator: str) -> None:
    with pytest.raises(RenderError, match="helm install operators charts/operators") as rejected:
        helm.render(api_versions=[one for one in OPERATED if one != operator])
    assert missing_kinds(rejected.value) == [operator]


def test_all_missing_operators_are_reported(helm: Helm) -> None:
    with pytest.raises(RenderError) as rejected:
        helm.render(api_versions=[])
    assert missing_kinds(rejected.value) == sorted(OPERATED)


def missing_kinds(rejected: RenderError) -> list[str]:
    """The kinds that Helm reports as missing."""
    return sorted(re.findall(r"\S+/v\w+/[A-Z]\w+", str(rejected)))


@pytest.mark.parametrize("place", [{"release": "other"}, {"namespace": "other"}], ids=["release", "namespace"])
def test_with_cert_manager_another_release_name_or_namespace_is_rejected(helm: Helm, place: dict[str, Any]) -> None:
    with pytest.raises(RenderError, match="helm install operators charts/operators -n operators") as rejected:
        helm.render(chart=OPERATORS, **place)
    assert "cert-manager.enabled=false" in str(rejected.value)
    assert helm.render({"cert-manager": {"enabled": False}}, chart=OPERATORS, api_versions=[CERT_MANAGER], **place)


def test_without_any_cert_manager_the_chart_is_rejected(helm: Helm) -> None:
    with pytest.raises(RenderError, match="cert-manager"):
        helm.render({"cert-manager": {"enabled": False}}, chart=OPERATORS, api_versions=[])


def test_minimal_crds_of_cert_manager_are_installed_first(helm: Helm) -> None:
    """Helm installs crds/ first. cert-manager's complete CRDs, which are part of the release, replace them."""
    definitions = [one for one in helm.render(chart=OPERATORS) if one["kind"] == "CustomResourceDefinition"]
    early = {one["spec"]["names"]["kind"]: one for one in definitions if _owner(one)}
    assert early.keys() == {"Certificate", "Issuer"}
    for one in early.values():
        assert one["spec"]["group"] == "cert-manager.io"
        assert _owner(one) == ("operators", "operators")
        assert one["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
        assert one["metadata"]["name"] == f"{one['spec']['names']['plural']}.cert-manager.io"


def test_the_minimal_crds_have_the_names_of_cert_manager_s() -> None:
    folder = SHARED / "crds" / "cert-manager"
    if not folder.exists():
        pytest.skip("the CRDs of cert-manager are missing")
    early = (CHARTS / OPERATORS / "crds" / "cert-manager.yaml").read_text()
    for kind in ("certificates", "issuers"):
        assert (folder / f"cert-manager.io_{kind}.yaml").exists()
        assert f"name: {kind}.cert-manager.io" in early


def _owner(definition: dict[str, Any]) -> tuple[str, str] | None:
    annotations = definition["metadata"].get("annotations", {})
    if "meta.helm.sh/release-name" not in annotations:
        return None
    return annotations["meta.helm.sh/release-name"], annotations["meta.helm.sh/release-namespace"]


def test_every_operator_watches_all_namespaces(helm: Helm) -> None:
    values = helm.values(OPERATORS)
    assert values["strimzi-kafka-operator"]["watchAnyNamespace"] is True
    assert values["spark-operator"]["spark"]["jobNamespaces"] == [""]
    assert values["k8ssandra-operator"]["global"]["clusterScoped"] is True


def test_strimzi_has_enough_memory(helm: Helm) -> None:
    """With the default of 384Mi it is killed on kind."""
    resources = jmespath.search(
        '"strimzi-kafka-operator".resources.[requests, limits][].memory', helm.values(OPERATORS)
    )
    assert resources == ["512Mi", "768Mi"]


def test_only_the_platform_creates_the_service_account_of_spark(helm: Helm) -> None:
    spark = helm.values(OPERATORS)["spark-operator"]["spark"]
    assert (spark["serviceAccount"]["create"], spark["rbac"]["create"]) == (False, False)
    assert find(helm.render(), "ServiceAccount", "member-analyzer-spark")


def test_resources_of_operators_have_requests_and_limits(helm: Helm) -> None:
    sizes = json.dumps(helm.values(OPERATORS))
    assert sizes.count('"requests"') == sizes.count('"limits"') >= 7


def test_the_schemas_include_the_kinds_of_the_operators(helm: Helm) -> None:
    if not (SHARED / "crds").exists() and not has_dependencies(OPERATORS):
        pytest.skip("the CRDs of the operators are missing")
    kinds = {one.rpartition("/")[2] for one in OPERATED}
    assert [
        error for one in helm.render(chart=PLATFORM) if one["kind"] in kinds for error in validation_errors(one)
    ] == []
