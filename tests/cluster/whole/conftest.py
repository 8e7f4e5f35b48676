"""The whole platform, installed with the commands of the README on an empty kind cluster, with all operators.

On an existing cluster the platform of the previous run is deleted first, with the commands of docs/kubernetes.md; the
operators are kept.
"""

import subprocess
import time
from collections.abc import Iterator

import pytest
from pytest_kind import KindCluster
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

import measurements
from installed import InstalledPlatform
from instructions import deletion_lines, install_lines, run_line
from member_analyzer.cluster.failure import ClusterError
from member_analyzer.operations.airflow import AirflowError
from member_analyzer.operations.provision import CONNECTION_ERRORS
from namespace import Namespace
from rendering import OPERATORS, PLATFORM
from tools import HELM

# Images with these prefixes are loaded onto the nodes if Docker has them; the cluster pulls the others.
OWNERS = ("quay.io/strimzi/", "quay.io/jetstack/", "ghcr.io/kubeflow/", "k8ssandra/")
FIRST = 500
# docs/cluster-tests.md has measured times; other machines may be slower.
FIRST_MEMBER_SECONDS = 1800


@pytest.fixture(scope="session")
def cluster(kind_cluster: KindCluster) -> Namespace:
    """The empty cluster."""
    return Namespace(kind_cluster.kubectl_path, HELM.path(), kind_cluster.kubeconfig_path.absolute(), "default")


@pytest.fixture(scope="session")
def operator_images(kind_cluster: KindCluster) -> None:
    """The images of the operators that Docker has."""
    listed = subprocess.run(
        ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"], capture_output=True, text=True, check=True
    )
    for image in listed.stdout.split():
        if image.startswith(OWNERS):
            kind_cluster.load_docker_image(image)


@pytest.fixture(scope="session")
def platform(cluster: Namespace, loaded_images: None, operator_images: None) -> Iterator[InstalledPlatform]:
    """The platform, with members that were processed as soon as possible."""
    releases = cluster.helm("list", "--all-namespaces", "--all", "--short").split()
    if PLATFORM in releases:
        for line in deletion_lines():
            run_line(cluster, line)
    operators, platform, test = install_lines()
    namespace = Namespace(cluster.kubectl_program, cluster.helm_program, cluster.kubeconfig, PLATFORM)
    running, began = InstalledPlatform(namespace), time.monotonic()
    is_first = OPERATORS not in releases
    if is_first:
        run_line(cluster, operators)
        measurements.note("operators ready, s", time.monotonic() - began)
    run_line(cluster, platform)
    process_first_members(running)
    if is_first:
        measurements.note("first analysed member after the first `helm install`, s", time.monotonic() - began)
    run_line(cluster, test)
    running.wait_until_ready()
    try:
        yield running
    finally:
        running.disconnect()


def process_first_members(platform: InstalledPlatform) -> None:
    """Fetch members with Airflow as soon as it accepts logins, and wait until they are in the tables."""
    patient = Retrying(
        retry=retry_if_exception_type((ClusterError, AirflowError, *CONNECTION_ERRORS)),
        wait=wait_fixed(2),
        stop=stop_after_delay(FIRST_MEMBER_SECONDS),
        reraise=True,
    )
    with platform.airflow_alone(patient) as airflow:
        airflow.wait_for_dags("user_create", seconds=300)
        airflow.start_run("user_create", {"seed": "first", "count": FIRST, "page_size": FIRST})
    platform.remember("first", FIRST, FIRST)
    patient(platform.connect)
    platform.namespace.wait(
        "the first members are counted", lambda: platform.totals() == {FIRST}, seconds=FIRST_MEMBER_SECONDS
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("figures")
    for name, value in measurements.read().items():
        terminalreporter.write_line(f"{name}: {value:.1f}" if isinstance(value, float) else f"{name}: {value}")
