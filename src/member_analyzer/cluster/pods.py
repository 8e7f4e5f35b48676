"""Why a pod is not ready, from its objects in the API."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from kubernetes.utils import parse_quantity

from member_analyzer.cluster.connection import Object
from member_analyzer.operations.restarts import LOOP, WINDOW

PULL_FAILURES = {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"}
STARTING = {"ContainerCreating", "PodInitializing"}
SIGKILL_EXIT_CODE = 137
MAX_MESSAGE_LENGTH = 300


@dataclass(frozen=True)
class PodContext:
    """What explains the state of pods: the namespace's events, oldest first, and its PersistentVolumeClaims."""

    events: list[Object] = field(default_factory=list)
    claims: list[Object] = field(default_factory=list)
    now: datetime | None = None

    def last_event(self, kind: str, name: str, *reasons: str, containing: str = "") -> str:
        """The message of an object's newest event with one of these reasons, by default of its newest warning."""
        for event in reversed(self.events):
            target = event.get("involvedObject", {})
            matches = event.get("reason") in reasons if reasons else event.get("type") == "Warning"
            message = str(event.get("message", ""))
            if matches and containing in message and (target.get("kind"), target.get("name")) == (kind, name):
                return message
        return ""


def event_time(event: Object) -> str:
    """When an event last occurred."""
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return max((str(time) for time in times if time), default=str(event["metadata"].get("creationTimestamp")))


def shorten(message: str) -> str:
    """A message on one line of limited length."""
    line = " ".join(message.split()).rstrip(". ")
    return line if len(line) <= MAX_MESSAGE_LENGTH else f"{line[:MAX_MESSAGE_LENGTH]}..."


def condition(resource: Object, kind: str) -> Object:
    """A condition of an object's status; empty if it is missing."""
    conditions = (resource.get("status") or {}).get("conditions") or []
    return next((one for one in conditions if one.get("type") == kind), {})


def is_ready(pod: Object) -> bool:
    """Whether the pod is ready and not terminating."""
    return bool(condition(pod, "Ready").get("status") == "True") and "deletionTimestamp" not in pod["metadata"]


def is_succeeded(pod: Object) -> bool:
    """Whether all containers have terminated successfully."""
    return bool((pod.get("status") or {}).get("phase") == "Succeeded")


def count_restarts(pod: Object) -> int:
    """The restarts of all its containers."""
    return sum(one.get("restartCount", 0) for one in (pod.get("status") or {}).get("containerStatuses") or ())


def pod_problem(pod: Object, context: PodContext) -> str:
    """Why a pod is not ready; empty if it is ready or has succeeded."""
    if is_ready(pod) or is_succeeded(pod):
        return ""
    if "deletionTimestamp" in pod["metadata"]:
        return "is terminating"
    status, name = pod.get("status") or {}, pod["metadata"]["name"]
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return scheduling_problem(pod, shorten(scheduled.get("message") or ""), context)
    for container in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        if problem := container_problem(pod, container, context):
            return problem
    if status.get("phase") == "Failed":
        return f"has failed: {shorten(status.get('message') or status.get('reason') or 'see its log')}"
    for container in status.get("initContainerStatuses") or ():
        if "running" in container.get("state", {}):
            return f"waits for its init container {container['name']}"
    for container in status.get("containerStatuses") or ():
        if "running" in container.get("state", {}) and not container.get("ready"):
            probe = shorten(context.last_event("Pod", name, "Unhealthy"))
            return f"is running but not ready{': ' + probe if probe else ''}"
    warning = shorten(context.last_event("Pod", name))
    return f"cannot start: {warning}" if warning else "is being created"


def scheduling_problem(pod: Object, message: str, context: PodContext) -> str:
    """Why a pod cannot be scheduled."""
    claims = [problem for name in claim_names(pod) if (problem := claim_problem(name, context))]
    if claims and ("persistentvolumeclaim" in message.lower() or "volume" in message.lower()):
        return "; ".join(claims)
    message = message.partition(" preemption:")[0].rstrip(". ")
    short = [resource for resource in ("memory", "cpu") if f"Insufficient {resource}" in message]
    if short:
        requests = " and ".join(f"{format_quantity(one, requested(pod, one))} of {one}" for one in short)
        return f"no node has {requests} free: add capacity or lower its requests ({message})"
    return f"cannot be scheduled: {message}"


def requested(pod: Object, resource: str) -> Decimal:
    """The memory (bytes) or CPU (cores) that a pod requests."""

    def requests(containers: list[Object]) -> Iterator[Decimal]:
        for container in containers:
            yield parse_quantity(((container.get("resources") or {}).get("requests") or {}).get(resource, 0))

    spec = pod["spec"]
    # Init containers run one by one before the others.
    initial = max(requests(spec.get("initContainers") or []), default=Decimal())
    return max(sum(requests(spec["containers"]), Decimal()), initial)


def format_quantity(resource: str, quantity: Decimal) -> str:
    """A quantity of memory or CPU with its unit."""
    return f"{quantity / 2**30:.1f} GiB" if resource == "memory" else f"{quantity:.1f} cores"


def claim_names(pod: Object) -> list[str]:
    """The names of the PersistentVolumeClaims that a pod mounts."""
    volumes = pod["spec"].get("volumes") or []
    return [one["persistentVolumeClaim"]["claimName"] for one in volumes if one.get("persistentVolumeClaim")]


def claim_problem(name: str, context: PodContext) -> str:
    """Why a PersistentVolumeClaim is not bound; empty if it is."""
    claim = next((one for one in context.claims if one["metadata"]["name"] == name), None)
    if claim is None:
        return f"there is no PersistentVolumeClaim {name}"
    if (claim.get("status") or {}).get("phase") == "Bound":
        return ""
    storage = claim["spec"].get("storageClassName")
    origin = f"of the storage class {storage}" if storage else "without a storage class (the cluster has no default)"
    reason = shorten(context.last_event("PersistentVolumeClaim", name, "ProvisioningFailed", "FailedBinding"))
    return f"the PersistentVolumeClaim {name} {origin} is not bound{': ' + reason if reason else ''}"


def container_problem(pod: Object, container: Object, context: PodContext) -> str:
    """Why a container is not running; empty if it runs, has succeeded or has not started yet."""
    name, state = container["name"], container.get("state") or {}
    waiting, reason = state.get("waiting") or {}, (state.get("waiting") or {}).get("reason", "")
    terminated = state.get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
    if reason in PULL_FAILURES:
        event = context.last_event("Pod", pod["metadata"]["name"], "Failed", containing="Failed to pull image")
        # Each layer of the runtime prefixes its own message; the cause comes last.
        cause = event.rpartition("failed to ")[2].partition(": ")[2] or waiting.get("message") or reason
        return f"the image {container['image']} cannot be pulled: {shorten(cause)}"
    if waiting and reason not in STARTING | {"CrashLoopBackOff"}:
        return f"its container {name} cannot be created: {shorten(waiting.get('message') or reason)}"
    restarts = container.get("restartCount", 0)
    # In a crash loop the container runs for some seconds each time.
    is_up = "running" in state and not (restarts >= LOOP and is_recent(terminated, context.now))
    if not terminated or terminated.get("exitCode") == 0 or is_up or reason in STARTING:
        return ""
    suffix = f", after {restarts} restarts" if restarts else ""
    limit = memory_limit(pod, name)
    if terminated.get("reason") == "OOMKilled":
        return f"its container {name} was OOM-killed at {limit}{suffix}: raise the limit"
    cause = terminated.get("reason") or "Error"
    if terminated.get("exitCode") == SIGKILL_EXIT_CODE:
        cause = f"killed, perhaps out of memory at {limit}"
    message = f" with the message: {shorten(terminated['message'])}" if terminated.get("message") else ""
    arguments = f"-n {pod['metadata'].get('namespace', '')} {pod['metadata']['name']} -c {name}"
    log = f"`kubectl logs {arguments}{' --previous' if restarts else ''}`"
    code = terminated.get("exitCode")
    return f"its container {name} exited with code {code} ({cause}){suffix}{message}; see {log}"


def is_recent(terminated: Object, now: datetime | None) -> bool:
    """Whether a container terminated within the period in which restarts count as a loop."""
    at = terminated.get("finishedAt")
    return bool(at) and now is not None and datetime.fromisoformat(str(at)) >= now - WINDOW


def memory_limit(pod: Object, container: str) -> str:
    """The memory limit of a container, in words."""
    spec = pod["spec"]
    for one in [*(spec.get("initContainers") or ()), *spec["containers"]]:
        if one["name"] == container:
            limit = ((one.get("resources") or {}).get("limits") or {}).get("memory")
            return f"its limit of {limit}" if limit else "its node's capacity"
    return "its limit"
