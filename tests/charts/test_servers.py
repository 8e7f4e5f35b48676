"""What each server and job is told, as far as the design settles it."""

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
    """The variables of a pod's only container, written down or from where they are taken."""
    [container] = pod.spec["containers"]
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container.get("env", [])}


def made_logins(script: list[str], variables: dict[str, str], folder: Path, status: int = 0) -> list[dict[str, str]]:
    """The options of each call of `airflow users create` in a script, which finds an `airflow` that notes them down."""
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

    def test_in_production_a_broker_may_fail_and_nothing_is_lost(self, helm: Helm) -> None:
        objects = helm.render(FILES / "values-production.yaml")
        spec = find(objects, "Kafka", PLATFORM)["spec"]
        assert (spec["kafka"]["replicas"], spec["zookeeper"]["replicas"]) == (3, 3)
        config = spec["kafka"]["config"]
        assert (config["default.replication.factor"], config["min.insync.replicas"]) == (3, 2)
        assert (config["offsets.topic.replication.factor"], config["transaction.state.log.min.isr"]) == (3, 2)
        for topic in (one for one in objects if one["kind"] == "KafkaTopic"):
            assert (topic["spec"]["replicas"], topic["spec"]["config"]["min.insync.replicas"]) == (3, 2)

    def test_the_topics_are_those_of_the_design_and_users_keeps_a_week(self, helm: Helm) -> None:
        topics = {one["spec"]["topicName"]: one["spec"] for one in helm.render() if one["kind"] == "KafkaTopic"}
        assert topics.keys() == {"users", "users_rejected"}
        assert int(topics["users"]["config"]["retention.ms"]) == 7 * 24 * 60 * 60 * 1000
        assert topics["users"]["config"]["cleanup.policy"] == "delete"

    def test_rejected_records_are_kept_as_long_as_the_values_say(self, helm: Helm) -> None:
        for values, days in (({}, 30), ({"rejected": {"retentionDays": 90}}, 90)):
            objects = helm.render(values)
            topics = {one["spec"]["topicName"]: one["spec"] for one in objects if one["kind"] == "KafkaTopic"}
            assert int(topics["users_rejected"]["config"]["retention.ms"]) == days * 24 * 60 * 60 * 1000
            assert environment(pods(objects, "Deployment/member-analyzer-collector"))["REJECTED_RETENTION_DAYS"] == str(
                days
            )
            assert find(objects, "ConfigMap", "member-analyzer-platform")["data"]["rejected-retention-days"] == str(
                days
            )

    def test_numbers_stay_numbers_however_large_they_are(self, helm: Helm) -> None:
        """Helm writes large numbers as 1.048576e+06 where nobody takes care."""
        assert not re.search(r"\b\d\.\d+e\+\d+", helm.text({"stream": {"maxOffsetsPerTrigger": 5_000_000}}))

    def test_its_volumes_outlive_it(self, rendered: list[Object]) -> None:
        spec = find(rendered, "Kafka", PLATFORM)["spec"]
        storages = [*spec["kafka"]["storage"]["volumes"], spec["zookeeper"]["storage"]]
        assert [one["deleteClaim"] for one in storages] == [False, False]


class TestCassandra:
    def test_in_production_it_has_a_copy_in_each_of_three_zones_and_backups(self, helm: Helm) -> None:
        objects = helm.render(FILES / "values-production.yaml")
        [datacenter] = find(objects, "K8ssandraCluster", PLATFORM)["spec"]["cassandra"]["datacenters"]
        zones = jmespath.search('racks[].nodeAffinityLabels."topology.kubernetes.io/zone"', datacenter)
        assert (datacenter["metadata"]["name"], datacenter["size"], len(set(zones))) == ("dc1", 3, 3)
        assert environment(pods(objects, "Job/member-analyzer-provision-1"))["CASSANDRA_REPLICATION_FACTOR"] == "3"

    @pytest.mark.parametrize("values", [BACKUPS, FILES / "values-production.yaml"], ids=["backups", "production"])
    def test_medusa_takes_backups_where_it_is_told_to(self, helm: Helm, values: Values) -> None:
        objects = helm.render(values)
        storage = find(objects, "K8ssandraCluster", PLATFORM)["spec"]["medusa"]["storageProperties"]
        assert storage["bucketName"]
        assert storage["storageSecretRef"]["name"]
        schedule = find(objects, "MedusaBackupSchedule", PLATFORM)["spec"]
        assert schedule["backupSpec"]["cassandraDatacenter"] == "dc1"
        assert len(schedule["cronSchedule"].split()) == 5

    def test_without_backups_there_is_nothing_of_medusa(self, helm: Helm) -> None:
        objects = helm.render()
        assert "medusa" not in find(objects, "K8ssandraCluster", PLATFORM)["spec"]
        assert [one for one in objects if one["kind"].startswith("Medusa")] == []

    def test_it_asks_for_a_login_and_has_rights(self, helm: Helm) -> None:
        spec = find(helm.render(), "K8ssandraCluster", PLATFORM)["spec"]
        assert spec["auth"] is True
        assert spec["cassandra"]["config"]["cassandraYaml"]["authorizer"] == "CassandraAuthorizer"


class TestTheStream:
    def test_it_begins_again_whenever_it_ends(self, helm: Helm) -> None:
        assert find(helm.render(), "SparkApplication", "member-analyzer-stream")["spec"]["restartPolicy"] == {
            "type": "Always"
        }

    def test_the_names_of_spark_jobs_are_those_of_services(self, rendered: list[Object]) -> None:
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

    def test_a_volume_of_one_node_keeps_the_executors_with_the_driver(self, helm: Helm) -> None:
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
    def test_otherwise_they_go_wherever_there_is_room(self, helm: Helm, values: Values) -> None:
        assert "affinity" not in pods(helm.render(values), "SparkApplication/member-analyzer-stream executor").spec

    def test_a_checkpoint_in_a_bucket_needs_no_volume_but_the_keys_of_the_bucket(self, helm: Helm) -> None:
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

    def test_dynamic_allocation_is_between_the_bounds_that_are_set(self, helm: Helm) -> None:
        bounds = {"enabled": True, "minExecutors": 2, "maxExecutors": 9}
        spec = find(
            helm.render(BUCKET, {"stream": {"dynamicAllocation": bounds}}), "SparkApplication", "member-analyzer-stream"
        )["spec"]
        assert bounds.items() <= spec["dynamicAllocation"].items()

    def test_all_of_sparks_settings_are_texts(self, rendered: list[Object]) -> None:
        for one in [*rendered, *embedded(rendered)]:
            if one["kind"] == "SparkApplication":
                assert all(isinstance(value, str) for value in one["spec"]["sparkConf"].values())


class TestPostgres:
    def test_its_volume_outlives_it(self, helm: Helm) -> None:
        spec = find(helm.render(), "StatefulSet", "member-analyzer-postgres")["spec"]
        assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}

    def test_with_a_server_of_ones_own_there_is_none_and_everybody_goes_there(self, helm: Helm) -> None:
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
    def test_the_bundled_one_runs_only_where_no_real_one_is_set(self, helm: Helm, values: dict[str, Any]) -> None:
        def names(objects: list[Object]) -> set[str]:
            found = (f"{one['kind']} {one['metadata']['name']}" for one in objects)
            return {name for name in found if name.endswith("user-api")}

        assert {f"{kind} {PLATFORM}-user-api" for kind in ("Deployment", "Service")} <= names(helm.render())
        assert names(helm.render({"userApi": values})) <= {"Secret user-api"}


class TestAirflow:
    """What our values hand to its chart."""

    @pytest.fixture
    def values(self, helm: Helm) -> dict[str, Any]:
        return helm.airflow_values()

    def test_every_task_is_a_pod_of_its_own(self, values: dict[str, Any]) -> None:
        assert values["executor"] == "KubernetesExecutor"

    def test_nothing_waits_for_a_hook_that_waits_for_it(self, values: dict[str, Any]) -> None:
        assert (values["migrateDatabaseJob"]["useHelmHooks"], values["createUserJob"]["useHelmHooks"]) == (False, False)

    def test_what_is_not_needed_is_not_there(self, values: dict[str, Any]) -> None:
        for name in ("postgresql", "redis", "statsd", "triggerer"):
            assert values[name]["enabled"] is False

    def test_the_logs_and_the_graphs_of_a_task_outlive_its_pod(self, helm: Helm, values: dict[str, Any]) -> None:
        claims = {one["metadata"]["name"] for one in helm.render() if one["kind"] == "PersistentVolumeClaim"}
        logs = values["logs"]["persistence"]
        assert (logs["enabled"], logs["existingClaim"] in claims) == (True, True)
        graphs = set(jmespath.search("workers.extraVolumes[].persistentVolumeClaim.claimName", values))
        assert graphs <= claims
        assert graphs

    def test_its_logins_are_the_generated_ones_and_the_consoles_may_only_look(
        self, values: dict[str, Any], tmp_path: Path
    ) -> None:
        logins = jmespath.search("createUserJob.env[].[name, valueFrom.secretKeyRef.[name, key]]", values)
        given = {variable: f"<{secret} {key}>" for variable, (secret, key) in logins}
        made = made_logins(values["createUserJob"]["args"], given, tmp_path)
        assert [(one["role"], one["username"], one["password"]) for one in made] == [
            ("Admin", "<airflow-login username>", "<airflow-login password>"),
            ("Viewer", "<airflow-console username>", "<airflow-console password>"),
        ]
        assert "defaultUser" not in values.get("webserver", {})

    def test_a_login_that_cannot_be_made_fails_the_job(self, values: dict[str, Any], tmp_path: Path) -> None:
        names = jmespath.search("createUserJob.env[].name", values)
        with pytest.raises(subprocess.CalledProcessError):
            made_logins(values["createUserJob"]["args"], dict.fromkeys(names, "x"), tmp_path, status=1)

    def test_the_task_finds_the_recount_where_it_is_told_to(self, helm: Helm, values: dict[str, Any]) -> None:
        [manifest] = [one["value"] for one in values["env"] if one["name"] == "SPARK_SUBMIT_MANIFEST"]
        folder, _, file = manifest.rpartition("/")
        for readers in ("workers", "scheduler", "dagProcessor"):
            [volume] = [one["name"] for one in values[readers]["extraVolumeMounts"] if one["mountPath"] == folder]
            [source] = [one["configMap"]["name"] for one in values[readers]["extraVolumes"] if one["name"] == volume]
            assert file in find(helm.render(), "ConfigMap", source)["data"]

    def test_what_the_tasks_read_from_the_platforms_configuration_is_there(
        self, helm: Helm, values: dict[str, Any]
    ) -> None:
        asked = jmespath.search("extraEnv[].valueFrom.configMapKeyRef.[name, key]", values)
        data = find(helm.render(), "ConfigMap", "member-analyzer-platform")["data"]
        assert asked
        assert [key for name, key in asked if name != "member-analyzer-platform" or key not in data] == []

    def test_its_pages_are_served_under_the_name_that_the_notes_tell(self, helm: Helm) -> None:
        if not has_dependencies(PLATFORM):
            pytest.skip("helm dependency update has not brought Airflow's chart")
        service = find(helm.render(), "Service", "member-analyzer-airflow-api-server")
        assert [port["port"] for port in service["spec"]["ports"]] == [8080]


def test_an_uninstallation_leaves_whatever_members_are_kept_in(rendered: list[Object]) -> None:
    kept = ("PersistentVolumeClaim", "Kafka", "KafkaTopic", "K8ssandraCluster")
    lost = [
        f"{one['kind']} {one['metadata']['name']}"
        for one in rendered
        if one["kind"] in kept and one["metadata"].get("annotations", {}).get("helm.sh/resource-policy") != "keep"
    ]
    assert lost == []


def test_nobody_is_told_the_addresses_of_all_services(rendered: list[Object]) -> None:
    """Kubernetes' variables for Services look like settings of programs: KAFKA_PORT=tcp://... breaks who reads it."""
    assert [pod.name for pod in workloads(rendered) if pod.spec.get("enableServiceLinks") is not False] == []


def test_the_images_of_a_registry_of_ones_own_are_pulled_with_its_secret(helm: Helm) -> None:
    objects = helm.render({"images": {"pullSecrets": [{"name": "pull"}]}}, own=True)
    plain = [pod for pod in workloads(objects) if not pod.name.startswith("SparkApplication/")]
    assert [pod.name for pod in plain if pod.spec.get("imagePullSecrets") != [{"name": "pull"}]] == []
    spark = [
        one["spec"]["imagePullSecrets"] for one in [*objects, *embedded(objects)] if one["kind"] == "SparkApplication"
    ]
    assert spark == [["pull"], ["pull"]]


def test_every_upgrade_provisions_anew(helm: Helm) -> None:
    """A Job cannot be changed, so that each revision needs one of its own."""
    job = find(helm.render(), "Job", "member-analyzer-provision-1")
    assert "helm.sh/hook" not in job["metadata"].get("annotations", {})
    assert {"landing", "schemas", "tables"} <= set(job["spec"]["template"]["spec"]["containers"][0]["command"])


def test_helm_test_asks_whether_everything_agrees(helm: Helm) -> None:
    tests = [one for one in helm.render() if one["metadata"].get("annotations", {}).get("helm.sh/hook") == "test"]
    commands = [" ".join(one["spec"]["containers"][0]["command"]) for one in tests]
    assert any(command.startswith("member-analyzer audit") for command in commands)
    assert any("http://member-analyzer-collector:8001/healthz" in command for command in commands)
    assert any("http://member-analyzer-console:8002/healthz" in command for command in commands)


def test_helm_test_is_duplicate_while_servers_come_up_and_ends_before_helm_gives_up(helm: Helm) -> None:
    tests = [one for one in helm.render() if one["metadata"].get("annotations", {}).get("helm.sh/hook") == "test"]
    assert {one["spec"]["restartPolicy"] for one in tests} == {"OnFailure"}
    [minutes] = re.findall(r"helm test .* --timeout (\d+)m$", (CHECKOUT / "README.md").read_text(), re.MULTILINE)
    assert all(one["spec"]["activeDeadlineSeconds"] < int(minutes) * 60 for one in tests)
