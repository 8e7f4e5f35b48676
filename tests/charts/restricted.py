"""Checks pods against the Pod Security Standard "restricted"."""

from collections.abc import Iterator
from typing import Any

from workloads import Workload

VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range", "net.ipv4.tcp_syncookies",
}  # fmt: skip
SECCOMP = {"RuntimeDefault", "Localhost"}


def violations(workload: Workload) -> list[str]:
    """All violations of a pod and its containers."""
    spec = workload.spec
    pod = spec.get("securityContext") or {}
    found = [field for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)]
    found += [f"sysctl {one['name']}" for one in pod.get("sysctls", []) if one["name"] not in SYSCTLS]
    for volume in spec.get("volumes") or []:
        kinds = volume.keys() - {"name"}
        found += [f"volume {volume['name']}: {kind}" for kind in kinds - VOLUMES]
    for container in workload.containers:
        found += [f"{container['name']}: {violation}" for violation in container_violations(container, pod)]
    return found


def container_violations(container: dict[str, Any], pod: dict[str, Any]) -> Iterator[str]:
    """Violations of one container of a pod with this security context."""
    own = container.get("securityContext") or {}
    effective = pod | own
    if own.get("privileged"):
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if "ALL" not in own.get("capabilities", {}).get("drop", []):
        yield "capabilities are not dropped"
    if set(own.get("capabilities", {}).get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "capabilities are added"
    if effective.get("runAsNonRoot") is not True:
        yield "may run as root"
    if effective.get("runAsUser") == 0:
        yield "runs as root"
    if effective.get("seccompProfile", {}).get("type") not in SECCOMP:
        yield "no seccomp profile"
    if own.get("procMount", "Default") != "Default":
        yield "procMount"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "hostPort"
