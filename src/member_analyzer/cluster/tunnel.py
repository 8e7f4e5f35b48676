"""Tunnels: ports of this machine that lead to ports of pods, through the cluster's API."""

import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import structlog

from member_analyzer.cluster.connection import Cluster, Object
from member_analyzer.cluster.failure import ClusterError

log = structlog.get_logger(__name__)

BYTES_AT_ONCE = 64 * 1024


class Target(NamedTuple):
    """A port of a pod."""

    pod: str
    port: int


def ready_target(service: Object, slices: list[Object], port: int) -> Target | None:
    """The first ready pod behind a port of a Service, by the Service's EndpointSlices."""
    names = {one.get("name") for one in service["spec"].get("ports") or () if one["port"] == port}
    ready = sorted(
        Target(endpoint["targetRef"]["name"], one["port"])
        for part in slices
        for one in part.get("ports") or ()
        if (one.get("name") or None) in names
        for endpoint in part.get("endpoints") or ()
        # Not said means ready.
        if endpoint.get("conditions", {}).get("ready") is not False
        and endpoint.get("targetRef", {}).get("kind") == "Pod"
    )
    return ready[0] if ready else None


def find_target(cluster: Cluster, service: str, port: int) -> Target:
    """A ready pod behind a Service, and its port."""
    found = cluster.find(cluster.own("services", service))
    if found is None:
        raise ClusterError(f"the namespace {cluster.namespace} has no Service {service}")
    slices = cluster.list(
        cluster.own("endpointslices", api="apis/discovery.k8s.io/v1"),
        labelSelector=f"kubernetes.io/service-name={service}",
    )
    target = ready_target(found, slices, port)
    if target is None:
        raise ClusterError(
            f"no pod behind the Service {service} in the namespace {cluster.namespace} is ready;"
            f" see `member-analyzer --namespace {cluster.namespace} status`"
        )
    return target


class Tunnel(socketserver.ThreadingTCPServer):
    """Listens on 127.0.0.1 and carries each connection to a pod, which is looked up anew each time."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, cluster: Cluster, find: Callable[[], Target], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Carrier)
        self.cluster = cluster
        self.find = find

    @property
    def port(self) -> int:
        """The port of this machine."""
        return int(self.server_address[1])


class Carrier(socketserver.BaseRequestHandler):
    """Carries one connection."""

    server: Tunnel
    request: socket.socket

    def handle(self) -> None:
        """Carry until either side is done."""
        try:
            target = self.server.find()
            far = self.server.cluster.forward(*target).socket(target.port)
        except ClusterError as error:
            log.info("tunnel.failed", reason=str(error))
            return
        back = threading.Thread(target=carry_back, args=(far, self.request), daemon=True)
        back.start()
        with suppress(OSError):
            while data := self.request.recv(BYTES_AT_ONCE):
                far.sendall(data)
        # What the pod still sends is taken until it has heard of the end, or the client library fails on it.
        with suppress(OSError):
            far.shutdown(socket.SHUT_WR)
        back.join()
        far.close()


def carry_back(far: socket.socket, near: socket.socket) -> None:
    """Carry what the pod sends; what nobody waits for any more is dropped."""
    with suppress(OSError):
        while data := far.recv(BYTES_AT_ONCE):
            with suppress(OSError):
                near.sendall(data)
    with suppress(OSError):
        near.shutdown(socket.SHUT_RDWR)


@contextmanager
def open_tunnel(cluster: Cluster, find: Callable[[], Target], port: int = 0) -> Iterator[int]:
    """A tunnel to what `find` finds; gives its port on this machine, a free one unless given."""
    try:
        tunnel = Tunnel(cluster, find, port)
    except OSError as error:
        raise ClusterError(
            f"port {port} of this machine, which the way into the cluster needs, cannot be taken: {error.strerror};"
            " does another `member-analyzer --namespace` use it?"
        ) from error
    with tunnel:
        threading.Thread(target=tunnel.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield tunnel.port
        finally:
            tunnel.shutdown()


@contextmanager
def open_service(cluster: Cluster, service: str, port: int) -> Iterator[int]:
    """A tunnel to a Service. Raises ClusterError where nothing is behind it, or where it may not be reached."""
    target = find_target(cluster, service, port)
    cluster.forward(*target).close()
    with open_tunnel(cluster, lambda: find_target(cluster, service, port)) as local:
        yield local
