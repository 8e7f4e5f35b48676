"""A real kind cluster with the CRDs of all operators, and the platform installed on it, without the operators.

Only what needs no operator runs: PostgreSQL, the registry, the user API, the provisioning, and pods that the tests
create from the images. The namespaces enforce the Pod Security Standard "restricted".
"""

import subprocess

import pytest
from pytest_kind import KindCluster

from installation import install, make_namespace, wait_for_servers
from namespace import Namespace
from rendering import CHARTS, OPERATORS, PLATFORM, SHARED, Helm, dependency_folders
from tools import CHECKOUT, HELM

IMAGES = ("airflow", "spark", "web")


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm, and the charts."""
    return Helm(HELM.path(), tmp_path_factory.mktemp("charts"))


@pytest.fixture(scope="session")
def cluster(kind_cluster: KindCluster) -> Namespace:
    """The cluster, with the CRDs of all kinds in the charts."""
    found = Namespace(kind_cluster.kubectl_path, HELM.path(), kind_cluster.kubeconfig_path.absolute(), "default")
    folders = [folder for chart in (OPERATORS, PLATFORM) for folder in dependency_folders(chart) if folder.is_dir()]
    files = sorted(file for folder in folders or [SHARED] for file in folder.rglob("crds/**/*.yaml"))
    for file in (*files, CHARTS / OPERATORS / "crds" / "cert-manager.yaml") if folders else files:
        found.kubectl("apply", "--server-side", "--force-conflicts", "--filename", str(file))
    found.kubectl("wait", "--for=condition=Established", "customresourcedefinitions", "--all", "--timeout=60s")
    return found


@pytest.fixture(scope="session")
def loaded_images(kind_cluster: KindCluster, helm: Helm) -> None:
    """Builds the images of this project and loads them, and other images that Docker has, onto the nodes."""
    subprocess.run(["make", "--no-print-directory", "images"], cwd=CHECKOUT, check=True, timeout=3000)
    values = helm.values(PLATFORM)
    others = [values[part]["image"] for part in ("postgres", "registry")]
    named = [f"member-analyzer/{name}:{values['airflow']['images']['airflow']['tag']}" for name in IMAGES]
    for image in (*named, *(f"{one['repository']}:{one['tag']}" for one in others)):
        if subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode == 0:
            kind_cluster.load_docker_image(image)


@pytest.fixture(scope="session")
def platform(cluster: Namespace, helm: Helm, loaded_images: None) -> Namespace:
    """The platform, with the servers ready that need no operator."""
    namespace = make_namespace(cluster, PLATFORM)
    install(namespace, helm.copy(PLATFORM))
    wait_for_servers(namespace)
    return namespace
