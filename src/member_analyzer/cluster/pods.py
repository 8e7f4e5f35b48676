"""Why a pod is not ready, in words that a person can act on, from the objects that the API gives."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from kubernetes.utils import parse_quantity

from member_analyzer.cluster.connection import Object
from member_analyzer.operations.restarts import LOOP, WINDOW

PULLING = {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"}
BEGINNING = {"ContainerCreating", "PodInitializing"}
KILLED = 137
LONGEST = 300


@dataclass(frozen=True)
class Circumstances:
    """What else is told of pods: the namespace's events, oldest first, and its claims to volumes."""

    events: list[Object] = field(default_factory=list)
    claims: list[Object] = field(default_factory=list)
    now: datetime | None = None

    def last_event(self, kind: str, name: str, *reasons: str, saying: str = "") -> str:
        """The newest event of an object that says something, with one of these reasons, or else any warning."""
        for event in reversed(self.events):
            about = event.get("involvedObject", {})
            told = event.get("reason") in reasons if reasons else event.get("type") == "Warning"
            message = str(event.get("message", ""))
            if told and saying in message and (about.get("kind"), about.get("name")) == (kind, name):
                return message
        return ""


def event_time(event: Object) -> str:
    """When an event happened last."""
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return max((str(time) for time in times if time), default=str(event["metadata"].get("creationTimestamp")))


def shorten(message: str) -> str:
    """A message as one line of bounded length."""
    line = " ".join(message.split()).rstrip(". ")
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."


def condition(one: Object, kind: str) -> Object:
    """A condition in an object's status; an empty one where it is not told."""
    conditions = (one.get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each.get("type") == kind), {})


def is_ready(pod: Object) -> bool:
    """Whether all its containers serve."""
    return bool(condition(pod, "Ready").get("status") == "True") and "deletionTimestamp" not in pod["metadata"]


def is_done(pod: Object) -> bool:
    """Whether it has done what it was for."""
    return bool((pod.get("status") or {}).get("phase") == "Succeeded")


def count_restarts(pod: Object) -> int:
    """How often its containers were started again."""
    return sum(one.get("restartCount", 0) for one in (pod.get("status") or {}).get("containerStatuses") or ())


def pod_complaint(pod: Object, around: Circumstances) -> str:
    """What a pod waits for or fails of; empty where it is ready or done."""
    if is_ready(pod) or is_done(pod):
        return ""
    if "deletionTimestamp" in pod["metadata"]:
        return "is ending"
    status, name = pod.get("status") or {}, pod["metadata"]["name"]
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return scheduling_complaint(pod, shorten(scheduled.get("message") or ""), around)
    for one in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        if complaint := container_complaint(pod, one, around):
            return complaint
    if status.get("phase") == "Failed":
        return f"has failed: {shorten(status.get('message') or status.get('reason') or 'see its log')}"
    for one in status.get("initContainerStatuses") or ():
        if "running" in one.get("state", {}):
            return f"waits for its init container {one['name']}, which runs"
    for one in status.get("containerStatuses") or ():
        if "running" in one.get("state", {}) and not one.get("ready"):
            probe = shorten(around.last_event("Pod", name, "Unhealthy"))
            return f"runs but does not serve yet{': ' + probe if probe else ''}"
    warning = shorten(around.last_event("Pod", name))
    return f"cannot start: {warning}" if warning else "is being made"


def scheduling_complaint(pod: Object, message: str, around: Circumstances) -> str:
    """Why no node takes a pod."""
    claims = [complaint for name in claim_names(pod) if (complaint := claim_complaint(name, around))]
    if claims and ("persistentvolumeclaim" in message.lower() or "volume" in message.lower()):
        return "; ".join(claims)
    message = message.partition(" preemption:")[0].rstrip(". ")
    short = [what for what in ("memory", "cpu") if f"Insufficient {what}" in message]
    if short:
        wanted = " and ".join(f"{name_amount(what, requested(pod, what))} of {what}" for what in short)
        return f"no node has room for it; it asks for {wanted}: make room, or lower its requests ({message})"
    return f"no node takes it: {message}"


def requested(pod: Object, what: str) -> Decimal:
    """How much memory (bytes) or CPU (cores) a node has to keep free for a pod."""

    def ask(containers: list[Object]) -> Iterator[Decimal]:
        for one in containers:
            yield parse_quantity(((one.get("resources") or {}).get("requests") or {}).get(what, 0))

    spec = pod["spec"]
    # Init containers run before the others, one after the other.
    return max(sum(ask(spec["containers"]), Decimal()), max(ask(spec.get("initContainers") or []), default=Decimal()))


def name_amount(what: str, amount: Decimal) -> str:
    """An amount of memory or CPU as people write it."""
    return f"{amount / 2**30:.1f} GiB" if what == "memory" else f"{amount:.1f} cores"


def claim_names(pod: Object) -> list[str]:
    """The claims to volumes that a pod needs."""
    volumes = pod["spec"].get("volumes") or []
    return [one["persistentVolumeClaim"]["claimName"] for one in volumes if one.get("persistentVolumeClaim")]


def claim_complaint(name: str, around: Circumstances) -> str:
    """Why a claim has no volume; empty where it has one."""
    claim = next((one for one in around.claims if one["metadata"]["name"] == name), None)
    if claim is None:
        return f"there is no PersistentVolumeClaim {name}"
    if (claim.get("status") or {}).get("phase") == "Bound":
        return ""
    storage = claim["spec"].get("storageClassName")
    of = f"of the storage class {storage}" if storage else "without a storage class, as the cluster has no default"
    reason = shorten(around.last_event("PersistentVolumeClaim", name, "ProvisioningFailed", "FailedBinding"))
    return f"the PersistentVolumeClaim {name} {of} has no volume{': ' + reason if reason else ''}"


def container_complaint(pod: Object, container: Object, around: Circumstances) -> str:
    """Why a container does not run; empty where it runs, is done or has not had its turn."""
    name, state = container["name"], container.get("state") or {}
    waiting, reason = state.get("waiting") or {}, (state.get("waiting") or {}).get("reason", "")
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated") or {}
    if reason in PULLING:
        pull = around.last_event("Pod", pod["metadata"]["name"], "Failed", saying="Failed to pull image")
        # Each layer of the runtime has put its own failure in front of the cause.
        cause = pull.rpartition("failed to ")[2].partition(": ")[2] or waiting.get("message") or reason
        return f"the image {container['image']} cannot be pulled: {shorten(cause)}"
    if waiting and reason not in BEGINNING | {"CrashLoopBackOff"}:
        return f"its container {name} cannot be made: {shorten(waiting.get('message') or reason)}"
    times = container.get("restartCount", 0)
    # One in a loop runs for some seconds each time.
    is_up = "running" in state and not (times >= LOOP and is_recent(ended, around.now))
    if not ended or ended.get("exitCode") == 0 or is_up or reason in BEGINNING:
        return ""
    again = f", after {times} restarts" if times else ""
    if ended.get("reason") == "OOMKilled":
        return f"its container {name} took more memory than {memory_limit(pod, name)} and was killed{again}: raise that"
    cause = ended.get("reason") or "Error"
    if ended.get("exitCode") == KILLED:
        cause = f"killed, perhaps for lack of memory with {memory_limit(pod, name)}"
    said = f" and said: {shorten(ended['message'])}" if ended.get("message") else ""
    which = f"-n {pod['metadata'].get('namespace', '')} {pod['metadata']['name']} -c {name}"
    log = f"`kubectl logs {which}{' --previous' if times else ''}`"
    return f"its container {name} ended with exit code {ended.get('exitCode')} ({cause}){again}{said}; see {log}"


def is_recent(ended: Object, now: datetime | None) -> bool:
    """Whether a container ended within the minutes in which restarts count as a loop."""
    at = ended.get("finishedAt")
    return bool(at) and now is not None and datetime.fromisoformat(str(at)) >= now - WINDOW


def memory_limit(pod: Object, container: str) -> str:
    """The most memory that a container may take."""
    spec = pod["spec"]
    for one in [*(spec.get("initContainers") or ()), *spec["containers"]]:
        if one["name"] == container:
            limit = ((one.get("resources") or {}).get("limits") or {}).get("memory")
            return f"its limit of {limit}" if limit else "its node has"
    return "its limit"
