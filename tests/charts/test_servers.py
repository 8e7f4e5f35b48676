"""The configuration of servers and jobs."""

import re
import subprocess
from pathlib import Path
from typing import Any

import jmespath
import pytest

from combinations import BACKUPS, BUCKET, EXTERNAL_POSTGRES, FILES
from member_analyzer.local.spark import CHECKPOINT_ON_DISK
from rendering import PLATFORM, Helm, Object, Values, has_dependencies
from tools import CHECKOUT
from workloads import Workload, embedded, find, workloads

CHECKPOINT = "/var/lib/member-analyzer/checkpoint"


def pods(objects: list[Object], name: str) -> Workload:
    [found] = [one for one in workloads(objects) if one.name == name]
    return found


def environment(pod: Workload) -> dict[str, Any]:
    """The variables of a pod's only container: values or references."""
    [container] = pod.spec["containers"]
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container.get("env", [])}


def created_logins(script: list[str], variables: dict[str, str], folder: Path, status: int = 0) -> list[dict[str, str]]:
    """The options of each call of `airflow users create` in a script, recorded by a fake `airflow`."""
    program = folder / "airflow"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>{folder}/calls\nexit {status}\n')
    program.chmod(0o755)
    subprocess.run(script, env={"PATH": f"{folder}:/usr/bin:/bin", **variables}, check=True, timeout=60)
    calls = (folder / "calls").read_text().splitlines()
    assert all(call.startswith("users create --") for call in calls)
    return [dict(re.findall(r"--(\w+) (<[^>]*>\S*|\S+)", call)) for call in calls]


class TestKafka:
    def test_it_runs_with_zookeeper(self, helm: Helm) -> None:
        spec = find(helm.render(), "Kafka", PLATFORM)["spec"]
        assert (spec["kafka"]["replicas"], spec["zookeeper"]["replicas"]) == (1, 1)

    def test_in_production_a_broker_may_fail(self, helm: Helm) -> None:
        objects = helm.render(FILES / "values-production.yaml")
        spec = find(objects, "Kafka", PLATFORM)["spec"]
        assert (spec["kafka"]["replicas"], spec["zookeeper"]["replicas"]) == (3, 3)
        config = spec["kafka"]["config"]
        assert (config["default.replication.factor"], config["min.insync.replicas"]) == (3, 2)
        assert (config["offsets.topic.replication.factor"], config["transaction.state.log.min.isr"]) == (3, 2)
        for topic in (one for one in objects if one["kind"] == "KafkaTopic"):
            assert (topic["spec"]["replicas"], topic["spec"]["config"]["min.insync.replicas"]) == (3, 2)

    def test_topics_and_their_retention(self, helm: Helm) -> None:
        topics = {one["spec"]["topicName"]: one["spec"] for one in helm.render() if one["kind"] == "KafkaTopic"}
        assert topics.keys() == {"users", "users_rejected", "interactions", "interactions_rejected"}
        assert int(topics["interactions"]["config"]["retention.ms"]) == 30 * 24 * 60 * 60 * 1000
        assert int(topics["users"]["config"]["retention.ms"]) == 7 * 24 * 60 * 60 * 1000
        assert topics["users"]["config"]["cleanup.policy"] == "delete"

    def test_the_retention_of_rejected_records_is_configurable(self, helm: Helm) -> None:
        for values, days in (({}, 30), ({"rejected": {"retentionDays": 90}}, 90)):
            objects = helm.render(values)
            topics = {one["spec"]["topicName"]: one["spec"] for one in objects if one["kind"] == "KafkaTopic"}
            for topic in ("users_rejected", "interactions_rejected"):
                assert int(topics[topic]["config"]["retention.ms"]) == days * 24 * 60 * 60 * 1000
            assert environment(pods(objects, "Deployment/member-analyzer-collector"))["REJECTED_RETENTION_DAYS"] == str(
                days
            )
            assert find(objects, "ConfigMap", "member-analyzer-platform")["data"]["rejected-retention-days"] == str(
                days
            )

    def test_large_numbers_are_integers(self, helm: Helm) -> None:
        """Without conversion Helm renders large numbers as 1.048576e+06."""
        assert not re.search(r"\b\d\.\d+e\+\d+", helm.text({"stream": {"maxOffsetsPerTrigger": 5_000_000}}))

    def test_its_volumes_are_kept(self, rendered: list[Object]) -> None:
        spec = find(rendered, "Kafka", PLATFORM)["spec"]
        storages = [*spec["kafka"]["storage"]["volumes"], spec["zookeeper"]["storage"]]
        assert [one["deleteClaim"] for one in storages] == [False, False]


class TestCassandra:
    def test_in_production_it_has_a_replica_in_each_of_three_zones(self, helm: Helm) -> None:
        objects = helm.render(FILES / "values-production.yaml")
        [datacenter] = find(objects, "K8ssandraCluster", PLATFORM)["spec"]["cassandra"]["datacenters"]
        zones = jmespath.search('racks[].nodeAffinityLabels."topology.kubernetes.io/zone"', datacenter)
        assert (datacenter["metadata"]["name"], datacenter["size"], len(set(zones))) == ("dc1", 3, 3)
        assert environment(pods(objects, "Job/member-analyzer-provision-1"))["CASSANDRA_REPLICATION_FACTOR"] == "3"

    @pytest.mark.parametrize("values", [BACKUPS, FILES / "values-production.yaml"], ids=["backups", "production"])
    def test_medusa_is_configured(self, helm: Helm, values: Values) -> None:
        objects = helm.render(values)
        storage = find(objects, "K8ssandraCluster", PLATFORM)["spec"]["medusa"]["storageProperties"]
        assert storage["bucketName"]
        assert storage["storageSecretRef"]["name"]
        schedule = find(objects, "MedusaBackupSchedule", PLATFORM)["spec"]
        assert schedule["backupSpec"]["cassandraDatacenter"] == "dc1"
        assert len(schedule["cronSchedule"].split()) == 5

    def test_without_backups_there_is_no_medusa(self, helm: Helm) -> None:
        objects = helm.render()
        assert "medusa" not in find(objects, "K8ssandraCluster", PLATFORM)["spec"]
        assert [one for one in objects if one["kind"].startswith("Medusa")] == []

    def test_it_requires_logins_and_checks_permissions(self, helm: Helm) -> None:
        spec = find(helm.render(), "K8ssandraCluster", PLATFORM)["spec"]
        assert spec["auth"] is True
        assert spec["cassandra"]["config"]["cassandraYaml"]["authorizer"] == "CassandraAuthorizer"


class TestTheStream:
    def test_it_always_restarts(self, helm: Helm) -> None:
        assert find(helm.render(), "SparkApplication", "member-analyzer-stream")["spec"]["restartPolicy"] == {
            "type": "Always"
        }

    def test_the_names_of_spark_jobs_are_valid_service_names(self, rendered: list[Object]) -> None:
        names = [
            one["metadata"]["name"] for one in [*rendered, *embedded(rendered)] if one["kind"] == "SparkApplication"
        ]
        assert sorted(names) == ["member-analyzer-recount", "member-analyzer-stream"]
        assert all(re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name) for name in names)

    def test_by_default_driver_and_executors_share_the_volume_of_the_checkpoint(self, helm: Helm) -> None:
        objects = helm.render()
        assert find(objects, "PersistentVolumeClaim", "member-analyzer-stream-checkpoint")
        for role in ("driver", "executor"):
            pod = pods(objects, f"SparkApplication/member-analyzer-stream {role}")
            claims = {one["name"]: one.get("persistentVolumeClaim", {}).get("claimName") for one in pod.spec["volumes"]}
            mounts = {one["name"]: one["mountPath"] for one in pod.spec["containers"][0]["volumeMounts"]}
            [volume] = [name for name, claim in claims.items() if claim == "member-analyzer-stream-checkpoint"]
            assert mounts[volume] == CHECKPOINT
        driver = environment(pods(objects, "SparkApplication/member-analyzer-stream driver"))
        assert driver["STREAM_CHECKPOINT"] == f"file://{CHECKPOINT}"
        conf = find(objects, "SparkApplication", "member-analyzer-stream")["spec"]["sparkConf"]
        assert conf.items() >= CHECKPOINT_ON_DISK.items()

    def test_a_readwriteonce_volume_keeps_executors_on_the_node_of_the_driver(self, helm: Helm) -> None:
        spec = pods(helm.render(), "SparkApplication/member-analyzer-stream executor").spec
        [term] = spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        driver = pods(helm.render(), "SparkApplication/member-analyzer-stream driver").labels | {"spark-role": "driver"}
        assert term["labelSelector"]["matchLabels"].items() <= driver.items()
        assert term["topologyKey"] == "kubernetes.io/hostname"

    @pytest.mark.parametrize(
        "values",
        [BUCKET, {"stream": {"checkpoint": {"volume": {"accessMode": "ReadWriteMany"}}}}],
        ids=["bucket", "shared"],
    )
    def test_otherwise_executors_run_on_any_node(self, helm: Helm, values: Values) -> None:
        assert "affinity" not in pods(helm.render(values), "SparkApplication/member-analyzer-stream executor").spec

    def test_a_checkpoint_in_a_bucket_needs_credentials_and_no_volume(self, helm: Helm) -> None:
        objects = helm.render(BUCKET)
        claims = {one["metadata"]["name"] for one in objects if one["kind"] == "PersistentVolumeClaim"}
        assert "member-analyzer-stream-checkpoint" not in claims
        for role in ("driver", "executor"):
            variables = environment(pods(objects, f"SparkApplication/member-analyzer-stream {role}"))
            keys = [variables[name]["secretKeyRef"] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
            assert keys == [{"name": "bucket", "key": "access-key"}, {"name": "bucket", "key": "secret-key"}]
        assert (
            environment(pods(objects, "SparkApplication/member-analyzer-stream driver"))["STREAM_CHECKPOINT"]
            == "s3a://bucket/checkpoint"
        )
        conf = find(objects, "SparkApplication", "member-analyzer-stream")["spec"]["sparkConf"]
        assert conf["spark.hadoop.fs.s3a.endpoint"] == "http://s3:9000"
        assert not conf.keys() & CHECKPOINT_ON_DISK.keys()

    def test_dynamic_allocation_has_bounds(self, helm: Helm) -> None:
        bounds = {"enabled": True, "minExecutors": 2, "maxExecutors": 9}
        spec = find(
            helm.render(BUCKET, {"stream": {"dynamicAllocation": bounds}}), "SparkApplication", "member-analyzer-stream"
        )["spec"]
        assert bounds.items() <= spec["dynamicAllocation"].items()

    def test_all_settings_of_spark_are_strings(self, rendered: list[Object]) -> None:
        for one in [*rendered, *embedded(rendered)]:
            if one["kind"] == "SparkApplication":
                assert all(isinstance(value, str) for value in one["spec"]["sparkConf"].values())


class TestPostgres:
    def test_its_volume_is_kept(self, helm: Helm) -> None:
        spec = find(helm.render(), "StatefulSet", "member-analyzer-postgres")["spec"]
        assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}

    def test_an_external_server_replaces_the_bundled_one(self, helm: Helm) -> None:
        objects = helm.render(EXTERNAL_POSTGRES)
        assert [
            one["metadata"]["name"] for one in objects if one["metadata"]["name"].startswith(f"{PLATFORM}-postgres")
        ] == []
        registry = environment(pods(objects, "Deployment/member-analyzer-registry"))["REGISTRY_DATASOURCE_URL"]
        assert registry.startswith("jdbc:postgresql://postgres.example:6432/registry")
        for name in ("Job/member-analyzer-provision-1", "Pod/member-analyzer-test-audit"):
            landing = environment(pods(objects, name))
            assert (landing["LANDING_HOST"], landing["LANDING_PORT"]) == ("postgres.example", "6432")
            assert landing["LANDING_SSLMODE"] == "require"
        platform = find(objects, "ConfigMap", "member-analyzer-platform")["data"]
        assert (platform["postgres-host"], platform["postgres-port"]) == ("postgres.example", "6432")


class TestTheUserApi:
    @pytest.mark.parametrize(
        "values", [{"url": "https://api.example/"}, {"existingSecret": True}], ids=["url", "secret"]
    )
    def test_the_bundled_one_is_installed_only_without_a_real_one(self, helm: Helm, values: dict[str, Any]) -> None:
        def names(objects: list[Object]) -> set[str]:
            found = (f"{one['kind']} {one['metadata']['name']}" for one in objects)
            return {name for name in found if name.endswith("user-api")}

        assert {f"{kind} {PLATFORM}-user-api" for kind in ("Deployment", "Service")} <= names(helm.render())
        assert names(helm.render({"userApi": values})) <= {"Secret user-api"}


class TestAirflow:
    """The values of its chart."""

    @pytest.fixture
    def values(self, helm: Helm) -> dict[str, Any]:
        return helm.airflow_values()

    def test_every_task_runs_in_its_own_pod(self, values: dict[str, Any]) -> None:
        assert values["executor"] == "KubernetesExecutor"

    def test_jobs_are_not_hooks(self, values: dict[str, Any]) -> None:
        assert (values["migrateDatabaseJob"]["useHelmHooks"], values["createUserJob"]["useHelmHooks"]) == (False, False)

    def test_unused_parts_are_disabled(self, values: dict[str, Any]) -> None:
        for name in ("postgresql", "redis", "statsd", "triggerer"):
            assert values[name]["enabled"] is False

    def test_logs_and_graphs_are_on_volumes(self, helm: Helm, values: dict[str, Any]) -> None:
        claims = {one["metadata"]["name"] for one in helm.render() if one["kind"] == "PersistentVolumeClaim"}
        logs = values["logs"]["persistence"]
        assert (logs["enabled"], logs["existingClaim"] in claims) == (True, True)
        graphs = set(jmespath.search("workers.extraVolumes[].persistentVolumeClaim.claimName", values))
        assert graphs <= claims
        assert graphs == {"member-analyzer-graphs", "member-analyzer-imports"}

    def test_it_has_the_generated_logins_and_the_console_s_is_read_only(
        self, values: dict[str, Any], tmp_path: Path
    ) -> None:
        logins = jmespath.search("createUserJob.env[].[name, valueFrom.secretKeyRef.[name, key]]", values)
        given = {variable: f"<{secret} {key}>" for variable, (secret, key) in logins}
        made = created_logins(values["createUserJob"]["args"], given, tmp_path)
        assert [(one["role"], one["username"], one["password"]) for one in made] == [
            ("Admin", "<airflow-login username>", "<airflow-login password>"),
            ("Viewer", "<airflow-console username>", "<airflow-console password>"),
        ]
        assert "defaultUser" not in values.get("webserver", {})

    def test_the_job_fails_if_a_login_cannot_be_created(self, values: dict[str, Any], tmp_path: Path) -> None:
        names = jmespath.search("createUserJob.env[].name", values)
        with pytest.raises(subprocess.CalledProcessError):
            created_logins(values["createUserJob"]["args"], dict.fromkeys(names, "x"), tmp_path, status=1)

    def test_the_manifest_of_the_recount_is_mounted(self, helm: Helm, values: dict[str, Any]) -> None:
        [manifest] = [one["value"] for one in values["env"] if one["name"] == "SPARK_SUBMIT_MANIFEST"]
        folder, _, file = manifest.rpartition("/")
        for readers in ("workers", "scheduler", "dagProcessor"):
            [volume] = [one["name"] for one in values[readers]["extraVolumeMounts"] if one["mountPath"] == folder]
            [source] = [one["configMap"]["name"] for one in values[readers]["extraVolumes"] if one["name"] == volume]
            assert file in find(helm.render(), "ConfigMap", source)["data"]

    def test_the_configmap_of_the_platform_has_the_keys_that_tasks_read(
        self, helm: Helm, values: dict[str, Any]
    ) -> None:
        asked = jmespath.search("extraEnv[].valueFrom.configMapKeyRef.[name, key]", values)
        data = find(helm.render(), "ConfigMap", "member-analyzer-platform")["data"]
        assert asked
        assert [key for name, key in asked if name != "member-analyzer-platform" or key not in data] == []

    def test_its_service_has_the_name_in_the_notes(self, helm: Helm) -> None:
        if not has_dependencies(PLATFORM):
            pytest.skip("Airflow's chart is not downloaded")
        service = find(helm.render(), "Service", "member-analyzer-airflow-api-server")
        assert [port["port"] for port in service["spec"]["ports"]] == [8080]


def test_data_is_kept_on_uninstall(rendered: list[Object]) -> None:
    kept = ("PersistentVolumeClaim", "Kafka", "KafkaTopic", "K8ssandraCluster")
    lost = [
        f"{one['kind']} {one['metadata']['name']}"
        for one in rendered
        if one["kind"] in kept and one["metadata"].get("annotations", {}).get("helm.sh/resource-policy") != "keep"
    ]
    assert lost == []


def test_service_links_are_disabled(rendered: list[Object]) -> None:
    """The variables of service links conflict with settings of programs, for example KAFKA_PORT=tcp://..."""
    assert [pod.name for pod in workloads(rendered) if pod.spec.get("enableServiceLinks") is not False] == []


def test_images_are_pulled_with_the_pull_secrets(helm: Helm) -> None:
    objects = helm.render({"images": {"pullSecrets": [{"name": "pull"}]}}, own=True)
    plain = [pod for pod in workloads(objects) if not pod.name.startswith("SparkApplication/")]
    assert [pod.name for pod in plain if pod.spec.get("imagePullSecrets") != [{"name": "pull"}]] == []
    spark = [
        one["spec"]["imagePullSecrets"] for one in [*objects, *embedded(objects)] if one["kind"] == "SparkApplication"
    ]
    assert spark == [["pull"], ["pull"]]


def test_every_revision_has_its_own_provisioning_job(helm: Helm) -> None:
    """A Job is immutable."""
    job = find(helm.render(), "Job", "member-analyzer-provision-1")
    assert "helm.sh/hook" not in job["metadata"].get("annotations", {})
    assert {"landing", "schemas", "tables"} <= set(job["spec"]["template"]["spec"]["containers"][0]["command"])


def test_helm_test_audits_and_checks_the_web_programs(helm: Helm) -> None:
    tests = [one for one in helm.render() if one["metadata"].get("annotations", {}).get("helm.sh/hook") == "test"]
    commands = [" ".join(one["spec"]["containers"][0]["command"]) for one in tests]
    assert any(command.startswith("member-analyzer audit") for command in commands)
    assert any("http://member-analyzer-collector:8001/healthz" in command for command in commands)
    assert any("http://member-analyzer-console:8002/healthz" in command for command in commands)


def test_helm_test_is_retried_and_ends_before_the_timeout_of_helm(helm: Helm) -> None:
    tests = [one for one in helm.render() if one["metadata"].get("annotations", {}).get("helm.sh/hook") == "test"]
    assert {one["spec"]["restartPolicy"] for one in tests} == {"OnFailure"}
    [minutes] = re.findall(r"helm test .* --timeout (\d+)m$", (CHECKOUT / "README.md").read_text(), re.MULTILINE)
    assert all(one["spec"]["activeDeadlineSeconds"] < int(minutes) * 60 for one in tests)
