import base64
import copy
import json
import re
from collections import defaultdict
from typing import Any

import jmespath
import pytest

from combinations import EXTERNAL_POSTGRES
from kubernetes_api import stored
from member_analyzer.landing.roles import RIGHTS
from names import secret_name
from rendering import PLATFORM, Helm, Object, has_dependencies
from workloads import embedded, find, referenced_secrets, workloads

# Generated at the first installation. All other data in Secrets, names and addresses, is not secret.
GENERATED = {
    (secret_name(secret), key)
    for secret, key in (
        ("postgres-admin", "password"),
        ("landing", "password"),
        ("landing-airflow", "password"),
        ("landing-collector", "password"),
        ("landing-console", "password"),
        ("landing-operator", "password"),
        ("landing-reader", "password"),
        ("registry-database", "password"),
        ("airflow-metadata", "connection"),
        ("airflow-fernet-key", "fernet-key"),
        ("airflow-api-secret-key", "api-secret-key"),
        ("airflow-jwt-secret", "jwt-secret"),
        ("airflow-login", "password"),
        ("airflow-console", "password"),
        ("console-logins", "viewer-password"),
        ("console-logins", "operator-password"),
        ("console-logins", "session-secret"),
        ("cassandra-superuser", "password"),
        ("cassandra-stream", "password"),
        ("cassandra-collector", "password"),
        ("cassandra-console", "password"),
        ("cassandra-reader", "password"),
    )
}
CONSOLE_LOGINS = secret_name("console-logins")
POSTGRES_ADMIN = secret_name("postgres-admin")
LANDING_ROLES = {secret_name(f"landing-{name}") for name in ("airflow", "collector", "console", "operator", "reader")}
# Strimzi creates it.
KAFKA_CA = f"{PLATFORM}-cluster-ca-cert"


def secrets(*suffixes: str) -> set[str]:
    return {secret_name(suffix) for suffix in suffixes}


# Which pods get which Secrets. Strimzi creates one for each KafkaUser.
SECRETS_OF: dict[str, set[str]] = {
    "StatefulSet/member-analyzer-postgres": secrets(
        "postgres-admin", "landing", "registry-database", "airflow-metadata"
    ),
    "Deployment/member-analyzer-registry": secrets("registry-database"),
    "Deployment/member-analyzer-user-api": set(),
    "Deployment/member-analyzer-collector": {
        *secrets("landing-collector", "kafka-collector", "cassandra-collector"),
        KAFKA_CA,
    },
    "Deployment/member-analyzer-console": {
        *secrets("landing-console", "kafka-console", "cassandra-console", "airflow-console", "console-logins"),
        KAFKA_CA,
    },
    "Job/member-analyzer-provision-1": {
        *LANDING_ROLES,
        *secrets("postgres-admin", "landing", "cassandra-superuser"),
        *secrets("cassandra-stream", "cassandra-collector", "cassandra-console", "cassandra-reader"),
    },
    "SparkApplication/member-analyzer-stream driver": {*secrets("kafka-stream", "cassandra-stream"), KAFKA_CA},
    "SparkApplication/member-analyzer-stream executor": {KAFKA_CA},
    "SparkApplication/member-analyzer-recount driver": secrets("cassandra-stream"),
    "SparkApplication/member-analyzer-recount executor": set(),
    "Pod/member-analyzer-test-audit": {*secrets("landing-reader", "kafka-reader", "cassandra-reader"), KAFKA_CA},
    "Pod/member-analyzer-test-airflow": secrets("airflow-login"),
    "Pod/member-analyzer-test-web": set(),
}
AIRFLOW_KEYS = {"airflow-metadata", "airflow-fernet-key", "airflow-api-secret-key"}
SECRETS_OF_AIRFLOW = {
    "the tasks": {*AIRFLOW_KEYS, KAFKA_CA, "user-api", "landing-airflow", "kafka-airflow", "cassandra-reader"},
    "Deployment/member-analyzer-airflow-scheduler": {*AIRFLOW_KEYS, "airflow-jwt-secret"},
    "Deployment/member-analyzer-airflow-api-server": {*AIRFLOW_KEYS, "airflow-jwt-secret"},
    "Deployment/member-analyzer-airflow-dag-processor": AIRFLOW_KEYS,
    "Job/member-analyzer-airflow-run-airflow-migrations": AIRFLOW_KEYS,
    "Job/member-analyzer-airflow-create-user": {*AIRFLOW_KEYS, "airflow-login", "airflow-console"},
}


def secret_data(objects: list[Object]) -> dict[str, dict[str, str]]:
    """The data of each Secret."""
    return {one["metadata"]["name"]: stored(one).get("data", {}) for one in objects if one["kind"] == "Secret"}


def generated_values(objects: list[Object]) -> dict[tuple[str, str], str]:
    data = secret_data(objects)
    return {(name, key): base64.b64decode(data[name][key]).decode() for name, key in GENERATED if name in data}


def test_generated_values(helm: Helm) -> None:
    first, second = (secret_data(helm.render(afresh=True)) for _ in range(2))
    places = [(name, key) for name, data in first.items() for key in data]
    assert {(name, key) for name, key in places if first[name][key] != second[name][key]} == GENERATED


def test_generated_values_are_long_and_unique(helm: Helm) -> None:
    # The connection URL contains a password of the same length.
    values = [re.sub(r"^.*://airflow:|@.*$", "", value) for value in generated_values(helm.render()).values()]
    assert len(set(values)) == len(GENERATED)
    assert min(map(len, values)) >= 32


def test_the_fernet_key_is_valid(helm: Helm) -> None:
    key = generated_values(helm.render())["airflow-fernet-key", "fernet-key"]
    assert len(base64.urlsafe_b64decode(key)) == 32


def test_airflow_connects_to_the_bundled_postgresql(helm: Helm) -> None:
    address = generated_values(helm.render())["airflow-metadata", "connection"]
    assert re.fullmatch(
        r"postgresql(\+psycopg2)?://airflow:[A-Za-z0-9]+@member-analyzer-postgres:5432/airflow", address
    )


def test_generated_values_are_in_secrets_only(rendered: list[Object]) -> None:
    values = generated_values(rendered)
    assert values
    text = json.dumps([one for one in rendered if one["kind"] != "Secret"])
    forms = {place: (value, base64.b64encode(value.encode()).decode()) for place, value in values.items()}
    assert [place for place, both in forms.items() if any(form in text for form in both)] == []


def test_secret_variables_are_references(rendered: list[Object]) -> None:
    given = jmespath.search(
        "[].[containers, initContainers][][].env[]", [workload.spec for workload in workloads(rendered)]
    )
    sounds = re.compile(r"PASSWORD|SECRET|TOKEN|_KEY$|CONNECTION$|SQL_ALCHEMY_CONN|CREDENTIAL")
    written_down = [one["name"] for one in given if sounds.search(one["name"]) and one.get("value")]
    assert given
    assert written_down == []


def test_the_url_of_a_real_api_is_in_a_secret_only(helm: Helm) -> None:
    objects = helm.render({"userApi": {"url": "https://api.example/?key=hidden"}})
    assert base64.b64decode(secret_data(objects)["user-api"]["url"]) == b"https://api.example/?key=hidden"
    assert "hidden" not in json.dumps([one for one in objects if one["kind"] != "Secret"])


def test_each_pod_gets_only_the_secrets_that_it_needs(helm: Helm) -> None:
    found = {one.name: referenced_secrets(one) for one in workloads(helm.render())}
    expected = SECRETS_OF | (SECRETS_OF_AIRFLOW if has_dependencies(PLATFORM) else {})
    assert found == expected


def test_tasks_get_only_the_secrets_that_they_need(helm: Helm) -> None:
    """In the values of Airflow's chart, whether it is downloaded or not."""
    values = helm.airflow_values()
    tasks = jmespath.search(
        "[workers.env[].valueFrom.secretKeyRef.name, workers.extraVolumes[].secret.secretName][]", values
    )
    assert set(tasks) == SECRETS_OF_AIRFLOW["the tasks"] - AIRFLOW_KEYS
    everyone = jmespath.search(
        "[env[].valueFrom.secretKeyRef.name, extraEnv[].valueFrom.secretKeyRef.name, extraEnvFrom][]", values
    )
    assert [name for name in everyone if name] == []


def test_cassandra_uses_the_generated_superuser(helm: Helm) -> None:
    cluster = find(helm.render(), "K8ssandraCluster", PLATFORM)
    assert jmespath.search("spec.cassandra.superuserSecretRef.name", cluster) == secret_name("cassandra-superuser")
    assert jmespath.search("spec.auth", cluster) is True


def test_every_referenced_secret_exists_and_has_the_key(helm: Helm) -> None:
    objects = helm.render()
    kept: dict[str, set[str]] = defaultdict(set)
    for name, data in secret_data(objects).items():
        kept[name] |= data.keys()
    for user in jmespath.search("[?kind=='KafkaUser'].metadata.name", objects):
        kept[user] |= {"password", "sasl.jaas.config"}
    kept[KAFKA_CA] |= {"ca.crt", "ca.p12", "ca.password"}
    specs = [workload.spec for workload in workloads(objects)] + [helm.airflow_values()]
    asked = [(one["name"], one["key"]) for one in _references(specs)]
    assert asked
    assert [(name, key) for name, key in asked if key not in kept[name]] == []


def _references(part: Any) -> list[dict[str, str]]:
    if isinstance(part, list):
        return [found for one in part for found in _references(one)]
    if isinstance(part, dict):
        own = [part["secretKeyRef"]] if "secretKeyRef" in part else []
        return own + [found for one in part.values() for found in _references(one)]
    return []


@pytest.mark.parametrize(
    "values", [{}, {"kafka": {"brokers": 3}, "registry": {"replicas": 2}}], ids=["same", "changed"]
)
def test_an_upgrade_keeps_every_secret(helm: Helm, values: dict[str, Any]) -> None:
    installed = helm.render(afresh=True)
    upgraded = helm.render(values, is_upgrade=True, cluster=_secrets(installed))
    assert secret_data(upgraded) == secret_data(installed)


def test_a_new_installation_keeps_existing_secrets(helm: Helm) -> None:
    installed = helm.render(afresh=True)
    again = helm.render(cluster=_secrets(installed))
    assert secret_data(again) == secret_data(installed)


def test_secrets_of_other_namespaces_are_ignored(helm: Helm) -> None:
    elsewhere = helm.render(afresh=True)
    here = helm.render(
        cluster=[one | {"metadata": one["metadata"] | {"namespace": "other"}} for one in _secrets(elsewhere)]
    )
    assert not generated_values(here).items() & generated_values(elsewhere).items()


@pytest.mark.parametrize("lost", sorted({name for name, _ in GENERATED}))
def test_only_a_lost_secret_is_generated_again(helm: Helm, lost: str) -> None:
    installed = helm.render()
    kept = [one for one in _secrets(installed) if one["metadata"]["name"] != lost]
    before, after = generated_values(installed), generated_values(helm.render(is_upgrade=True, cluster=kept))
    assert {place for place, value in after.items() if before[place] != value} == {
        (name, key) for name, key in GENERATED if name == lost
    }


def test_only_a_new_key_of_a_secret_is_generated(helm: Helm) -> None:
    installed = helm.render()
    older = copy.deepcopy(_secrets(installed))
    del find(older, "Secret", CONSOLE_LOGINS)["data"]["session-secret"]
    before, after = generated_values(installed), generated_values(helm.render(is_upgrade=True, cluster=older))
    changed = {place for place, value in after.items() if before[place] != value}
    assert changed == {(CONSOLE_LOGINS, "session-secret")}


def test_without_a_console_it_has_no_logins(helm: Helm) -> None:
    objects = helm.render({"console": {"enabled": False}})
    assert CONSOLE_LOGINS not in secret_data(objects)
    assert secret_name("kafka-console") not in jmespath.search("[?kind=='KafkaUser'].metadata.name", objects)


def test_generated_secrets_are_kept_on_uninstall(rendered: list[Object]) -> None:
    names = {name for name, _ in GENERATED}
    policies = {
        one["metadata"]["name"]: one["metadata"].get("annotations", {}).get("helm.sh/resource-policy")
        for one in rendered
        if one["kind"] == "Secret" and one["metadata"]["name"] in names
    }
    assert set(policies.values()) == {"keep"}


def test_no_passwords_are_generated_for_an_external_server(helm: Helm) -> None:
    made = secret_data(helm.render(EXTERNAL_POSTGRES)).keys()
    assert not made & secrets("postgres-admin", "landing", "registry-database", "airflow-metadata")


def test_roles_in_an_external_server_are_created_by_the_owner(
    helm: Helm,
) -> None:
    objects = helm.render(EXTERNAL_POSTGRES)
    assert secret_data(objects).keys() >= LANDING_ROLES
    job = next(one for one in workloads(objects) if one.name == "Job/member-analyzer-provision-1")
    assert "landing-roles" in job.spec["containers"][0]["command"]
    assert POSTGRES_ADMIN not in referenced_secrets(job)


def test_existing_roles_are_not_created(helm: Helm) -> None:
    objects = helm.render(EXTERNAL_POSTGRES, {"postgres": {"external": {"createRoles": False}}})
    assert not secret_data(objects).keys() & LANDING_ROLES
    job = next(one for one in workloads(objects) if one.name == "Job/member-analyzer-provision-1")
    assert "landing-roles" not in job.spec["containers"][0]["command"]
    assert not referenced_secrets(job) & LANDING_ROLES


def test_every_role_of_the_landing_database_has_a_secret(helm: Helm) -> None:
    assert secrets(*(role.replace("_", "-", 1) for role in RIGHTS)) == LANDING_ROLES


def test_airflow_s_chart_creates_no_secret(helm: Helm) -> None:
    if not has_dependencies(PLATFORM):
        pytest.skip("Airflow's chart is not downloaded")
    everything, own = (secret_data(helm.render(own=only)).keys() for only in (False, True))
    assert everything == own


def test_there_is_no_default_login(helm: Helm) -> None:
    text = json.dumps([*helm.render(), *embedded(helm.render())])
    assert "admin:admin" not in text
    assert not re.search(r"--password\W+admin|-p\W+admin", text)


def _secrets(objects: list[Object]) -> list[Object]:
    return [one for one in objects if one["kind"] == "Secret"]
