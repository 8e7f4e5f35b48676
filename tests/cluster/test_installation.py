"""A real API server validates the charts, and the parts of the platform run that need no operator."""

import base64
import json
import subprocess
import sys

import httpx2
import pytest

from combinations import COMBINATIONS
from installation import VALUES, install, make_namespace, read_rejected_pods, read_secrets, wait_for_servers
from member_analyzer.cluster.connection import Cluster
from member_analyzer.cluster.tunnel import open_service
from namespace import Namespace
from rendering import PLATFORM, Helm, Object, Values
from workloads import find

SECONDS = 300
DRY = "platform-dry"


@pytest.fixture(scope="module")
def dry(cluster: Namespace) -> Namespace:
    """A namespace in which objects are validated but not created."""
    namespace = make_namespace(cluster, DRY)
    # A pod is validated together with its ServiceAccount.
    namespace.kubectl("create", "serviceaccount", "member-analyzer-operations")
    return namespace


@pytest.fixture(scope="module")
def connection(platform: Namespace) -> Cluster:
    """The connection of `member-analyzer --namespace`."""
    return platform.connect()


@pytest.mark.parametrize("values", COMBINATIONS.values(), ids=COMBINATIONS.keys())
def test_the_api_server_accepts_every_object(dry: Namespace, helm: Helm, values: tuple[Values, ...]) -> None:
    rendered = helm.text(*values, namespace=dry.name)
    how = ("--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict")
    output = dry.kubectl("apply", *how, "--filename", "-", stdin=rendered)
    assert "kafka.kafka.strimzi.io/member-analyzer serverside-applied" in output
    assert len(output.splitlines()) == len(helm.render(*values, namespace=dry.name))


def test_no_pod_is_rejected(platform: Namespace) -> None:
    assert read_rejected_pods(platform) == []


def test_the_provisioning_does_what_it_can_and_waits_for_the_rest(platform: Namespace) -> None:
    def logged() -> set[tuple[str, str]]:
        lines = platform.kubectl(
            "logs", "--selector", "app.kubernetes.io/component=provision", "--tail=-1"
        ).splitlines()
        entries = [json.loads(line) for line in lines if line.startswith("{")]
        return {(line["event"], line.get("step", "")) for line in entries}

    wanted = {("provision.done", "landing"), ("provision.done", "schemas"), ("provision.waits", "tables")}
    platform.wait("the provisioning waits for Cassandra", lambda: wanted <= logged(), seconds=SECONDS)
    assert query_landing(platform, "SELECT count(*) FROM landing.users") >= 0


def test_the_registry_is_accessible_through_a_tunnel_and_has_the_schema(
    platform: Namespace, connection: Cluster
) -> None:
    with open_service(connection, "member-analyzer-registry", 8080) as port:
        address = f"http://127.0.0.1:{port}/apis/ccompat/v7/subjects"

        def is_registered() -> bool:
            return bool(httpx2.get(address).json() == ["users-value"])

        platform.wait("the schema is registered", is_registered, seconds=SECONDS)


def test_the_user_api_returns_users(connection: Cluster) -> None:
    with open_service(connection, "member-analyzer-user-api", 8000) as port:
        answer = httpx2.get(f"http://127.0.0.1:{port}/api/", params={"results": 3, "seed": "s"})
    assert len(answer.json()["results"]) == 3


@pytest.fixture(scope="module")
def task_pod(platform: Namespace, helm: Helm) -> Object:
    """A pod like those of tasks, without Kafka and Cassandra."""
    values = helm.airflow_values()
    image, workers = values["images"]["airflow"], values["workers"]
    given = [*values["extraEnv"], *workers["env"]]
    known = [one for one in given if not one["name"].startswith(("KAFKA", "CASSANDRA"))]
    mounted = {"recount"}
    secrets = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": ("airflow-metadata", "connection"),
        "AIRFLOW__CORE__FERNET_KEY": ("airflow-fernet-key", "fernet-key"),
        "AIRFLOW__API__SECRET_KEY": ("airflow-api-secret-key", "api-secret-key"),
        "AIRFLOW__API_AUTH__JWT_SECRET": ("airflow-jwt-secret", "jwt-secret"),
    }
    own = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
        for name, (secret, key) in secrets.items()
    ]
    plain = {"AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__DAGS_FOLDER": "/opt/airflow/dags"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        # The network policies admit these labels.
        "metadata": {"name": "task", "labels": {"tier": "airflow", "component": "worker"}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": values["securityContexts"]["pod"],
            "containers": [
                {
                    "name": "base",
                    "image": f"{image['repository']}:{image['tag']}",
                    "securityContext": values["securityContexts"]["containers"],
                    "env": [*known, *own, *values["env"], *({"name": n, "value": v} for n, v in plain.items())],
                    "volumeMounts": [one for one in workers["extraVolumeMounts"] if one["name"] in mounted],
                }
            ],
            "volumes": [one for one in workers["extraVolumes"] if one["name"] in mounted],
        },
    }


def run_pod(namespace: Namespace, pod: Object, name: str, script: str) -> str:
    """The output of a script in such a pod, after it has succeeded."""
    container = {**pod["spec"]["containers"][0], "args": ["bash", "-euc", script]}
    namespace.create(
        {
            **pod,
            "metadata": {**pod["metadata"], "name": name},
            "spec": {**pod["spec"], "containers": [container]},
        }
    )

    def phase() -> str:
        return str(namespace.read("pod", name)["status"].get("phase"))

    namespace.wait(f"the pod {name} has completed", lambda: phase() in ("Succeeded", "Failed"), seconds=SECONDS)
    logs = namespace.kubectl("logs", name)
    assert phase() == "Succeeded", logs
    return logs


def query_landing(platform: Namespace, query: str) -> int:
    """The numeric result of a query of the landing database."""
    output = platform.kubectl(
        *("exec", "member-analyzer-postgres-0", "--", "psql", "--username=postgres", "--host=/var/run/postgresql"),
        *("--dbname=member_analyzer", "--no-align", "--tuples-only", f"--command={query}"),
    )
    return int(output)


def test_airflow_lists_the_dags_and_submits_the_recount_to_the_spark_operator(
    platform: Namespace, task_pod: Object
) -> None:
    script = """
airflow db migrate >/tmp/migrate.log 2>&1 || { tail /tmp/migrate.log; exit 1; }
airflow dags reserialize >/tmp/reserialize.log 2>&1 || { tail /tmp/reserialize.log; exit 1; }
echo "LISTED $(airflow dags list --output json 2>/dev/null | tail -1)"
python - 2>/dev/null <<'END'
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag("/opt/airflow/dags")
print("ERRORS", json.dumps(bag.import_errors))
print("RECOUNT", bag.dags["user_analysis"].task_dict["recount"].task_type)
END
"""
    output = dict(
        line.split(" ", 1) for line in run_pod(platform, task_pod, "dags", script).splitlines() if " " in line
    )
    assert json.loads(output["ERRORS"]) == {}
    assert {dag["dag_id"] for dag in json.loads(output["LISTED"])} == {
        "user_create",
        "user_analysis",
        "generate_graphs",
    }
    assert output["RECOUNT"] == "SparkKubernetesOperator"


def test_a_task_lands_members_that_survive_an_uninstall(platform: Namespace, task_pod: Object, helm: Helm) -> None:
    before = query_landing(platform, "SELECT count(*) FROM landing.users")
    run_pod(
        platform,
        task_pod,
        "lands",
        'python -c "from member_analyzer.landing.intake import fetch_and_land; '
        "from member_analyzer.settings import LandingSettings, UserApiSettings; "
        "print(fetch_and_land(UserApiSettings(), LandingSettings(), count=2000, page_size=500, seed='cluster'))\"",
    )
    assert query_landing(platform, "SELECT count(*) FROM landing.users") == before + 2000

    passwords = read_secrets(platform)
    platform.helm("uninstall", PLATFORM, "--wait")
    install(platform, helm.copy(PLATFORM))
    wait_for_servers(platform)
    assert read_secrets(platform) == passwords
    assert query_landing(platform, "SELECT count(*) FROM landing.users") == before + 2000


def test_an_upgrade_keeps_every_secret(platform: Namespace, helm: Helm) -> None:
    before = read_secrets(platform)
    assert len(before) >= 12
    install(platform, helm.copy(PLATFORM), "upgrade")
    assert read_secrets(platform) == before
    assert len(base64.b64decode(before["member-analyzer-landing"]["password"])) == 32


def test_spark_runs_a_job_in_a_hardened_pod(platform: Namespace, helm: Helm) -> None:
    application = find(helm.render(VALUES), "SparkApplication", "member-analyzer-stream")
    template = application["spec"]["driver"]["template"]["spec"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "spark", "labels": {"app.kubernetes.io/component": "stream"}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": template["securityContext"],
            "containers": [
                {
                    "name": "spark",
                    "image": application["spec"]["image"],
                    "securityContext": template["containers"][0]["securityContext"],
                    "volumeMounts": [
                        one for one in template["containers"][0]["volumeMounts"] if one["name"] in ("temporary", "work")
                    ],
                }
            ],
            "volumes": [one for one in template["volumes"] if "emptyDir" in one],
        },
    }
    job = """
import member_analyzer.streaming.job
from pyspark.sql import SparkSession
from pyspark.sql.avro.functions import from_avro, to_avro
spark = SparkSession.builder.master("local[1]").getOrCreate()
rows = spark.range(1000).select(to_avro("id").alias("value")).select(from_avro("value", '"long"').alias("id"))
print("SUM", rows.groupBy().sum("id").first()[0], spark.version)
"""
    output = run_pod(platform, pod, "spark", f"cat >/tmp/job.py <<'END'\n{job}\nEND\nspark-submit /tmp/job.py")
    assert "SUM 499500 3.5.7" in output


def test_status_reports_what_components_wait_for(platform: Namespace) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "member_analyzer.cli", "--namespace", platform.name, "status"],
        capture_output=True,
        text=True,
        env=platform.environment | {"COLUMNS": "200"},
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert "ready" in rows["postgres"]
    assert "ready" in rows["registry"]
    assert "ready" in rows["user-api"]
    assert "Strimzi" in done.stdout
    assert "Spark operator" in done.stdout
