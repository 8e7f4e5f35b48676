"""Upgrades, uninstalls and new installations keep all members."""

import base64
import subprocess
from typing import Any

from pytest_kind import KindCluster

import measurements
from arrivals import Arrivals, arriving
from installation import install, read_secrets
from installed import InstalledPlatform
from names import secret_name
from rendering import CHARTS, PLATFORM

CHART = CHARTS / PLATFORM
NEXT = "next"
GENERATED = {
    secret_name(suffix)
    for suffix in (
        *("landing", "registry-database", "postgres-admin", "airflow-metadata", "airflow-login", "airflow-console"),
        *("landing-airflow", "landing-collector", "landing-console", "landing-operator", "landing-reader"),
        *("cassandra-superuser", "cassandra-stream", "cassandra-collector", "cassandra-console", "cassandra-reader"),
        *("console-logins", "airflow-fernet-key", "airflow-api-secret-key", "airflow-jwt-secret"),
    )
}


def read_generated(platform: InstalledPlatform) -> dict[str, Any]:
    """The Secrets of the chart, without those of the operators."""
    return {name: data for name, data in read_secrets(platform.namespace).items() if name in GENERATED}


def upgrade_under_load(platform: InstalledPlatform, seed: str, *changed: str) -> Arrivals:
    """Upgrade the release while members arrive, until the stream has restarted and everything is ready."""
    drivers = {one["metadata"]["uid"] for one in platform.pods("driver")}
    with arriving(platform, seed) as arrivals:
        arrivals.wait_for_more(100)
        install(platform.namespace, CHART, "upgrade", *changed)
        platform.wait_until_back("driver", drivers)
        arrivals.wait_for_more(100)
    settle(platform)
    return arrivals


def settle(platform: InstalledPlatform) -> None:
    """Wait until everything is ready, and reconnect."""
    platform.wait_until_ready()
    platform.connect()


def test_an_upgrade_with_changed_values_keeps_secrets_members_and_checkpoint(platform: InstalledPlatform) -> None:
    platform.connect()
    platform.check()
    secrets, progress = read_generated(platform), platform.tables.read_progress()
    assert secrets.keys() == GENERATED
    changed = ("--set", "stream.maxOffsetsPerTrigger=50000", "--set", "collector.requestsPerSecond=150")
    arrivals = upgrade_under_load(platform, "upgrade", *changed)
    assert read_generated(platform) == secrets
    platform.check()
    after = platform.tables.read_progress()
    # The stream continued from its checkpoint.
    assert all(after.written[partition] >= offset for partition, offset in progress.written.items())
    [driver] = platform.pods("driver")
    variables = {one["name"]: one.get("value") for one in driver["spec"]["containers"][0]["env"]}
    assert variables["STREAM_MAX_OFFSETS_PER_TRIGGER"] == "50000"
    measurements.note("retried requests during an upgrade", arrivals.retries)


def test_a_new_version_of_the_images_is_rolled_out_while_members_arrive(
    platform: InstalledPlatform, kind_cluster: KindCluster
) -> None:
    tag = platform.namespace.helm("show", "chart", str(CHART)).split("appVersion: ")[1].split()[0].strip('"')
    for name in ("airflow", "spark", "web"):
        subprocess.run(
            ["docker", "build", "--tag", f"member-analyzer/{name}:{NEXT}", "-"],
            input=f"FROM member-analyzer/{name}:{tag}\nLABEL version={NEXT}\n".encode(),
            check=True,
            capture_output=True,
        )
        kind_cluster.load_docker_image(f"member-analyzer/{name}:{NEXT}")
    images = ("images.spark.tag", "images.web.tag", "airflow.images.airflow.tag", "airflow.images.pod_template.tag")
    changed = [part for name in images for part in ("--set", f"{name}={NEXT}")]
    arrivals = upgrade_under_load(platform, "rollout", *changed)
    for part in ("driver", "executor", "collector", "console", "user-api", "scheduler", "api-server", "dag-processor"):
        for pod in platform.pods(part):
            assert pod["spec"]["containers"][0]["image"].endswith(f":{NEXT}"), part
    platform.check()
    measurements.note("retried requests during a rollout", arrivals.retries)


def test_a_new_installation_after_an_uninstall_has_all_members(platform: InstalledPlatform) -> None:
    platform.check()
    secrets = read_generated(platform)
    platform.disconnect()
    platform.namespace.helm("uninstall", PLATFORM, "--wait", "--timeout", "10m")
    install(platform.namespace, CHART)
    settle(platform)
    assert read_generated(platform) == secrets
    assert len(base64.b64decode(secrets[secret_name("landing")]["password"])) == 32
    platform.check()
    with arriving(platform, "again") as arrivals:
        arrivals.wait_for_more(100)
    platform.check()


def test_helm_test_passes(platform: InstalledPlatform) -> None:
    output = platform.namespace.helm("test", PLATFORM, "--timeout", "10m")
    assert output.count("Phase:          Succeeded") == 3, output
