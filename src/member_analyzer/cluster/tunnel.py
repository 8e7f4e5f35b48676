"""Tunnels: local ports that forward to ports of pods through the cluster's API."""

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

BUFFER_BYTES = 64 * 1024


class Target(NamedTuple):
    """A port of a pod."""

    pod: str
    port: int


def ready_target(service: Object, slices: list[Object], port: int) -> Target | None:
    """The first ready pod behind a port of a Service, from the Service's EndpointSlices."""
    names = {one.get("name") for one in service["spec"].get("ports") or () if one["port"] == port}
    ready = sorted(
        Target(endpoint["targetRef"]["name"], one["port"])
        for part in slices
        for one in part.get("ports") or ()
        if (one.get("name") or None) in names
        for endpoint in part.get("endpoints") or ()
        # A missing condition means ready.
        if endpoint.get("conditions", {}).get("ready") is not False
        and endpoint.get("targetRef", {}).get("kind") == "Pod"
    )
    return ready[0] if ready else None


def find_target(cluster: Cluster, service: str, port: int) -> Target:
    """Find a ready pod behind a Service, and its port."""
    found = cluster.get(cluster.path("services", service))
    if found is None:
        raise ClusterError(f"the namespace {cluster.namespace} has no Service {service}")
    slices = cluster.list(
        cluster.path("endpointslices", api="apis/discovery.k8s.io/v1"),
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
    """Listens on 127.0.0.1 and forwards each connection to a pod, which is looked up for each connection."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, cluster: Cluster, find: Callable[[], Target], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Forwarder)
        self.cluster = cluster
        self.find = find

    @property
    def port(self) -> int:
        """The local port."""
        return int(self.server_address[1])


class Forwarder(socketserver.BaseRequestHandler):
    """Forwards one connection."""

    server: Tunnel
    request: socket.socket

    def handle(self) -> None:
        """Forward until both sides have closed."""
        try:
            target = self.server.find()
            remote = self.server.cluster.port_forward(*target).socket(target.port)
        except ClusterError as error:
            log.info("tunnel.failed", reason=str(error))
            return
        responses = threading.Thread(target=forward_responses, args=(remote, self.request), daemon=True)
        responses.start()
        with suppress(OSError):
            while data := self.request.recv(BUFFER_BYTES):
                remote.sendall(data)
        # The client library fails unless everything that the pod sends is read.
        with suppress(OSError):
            remote.shutdown(socket.SHUT_WR)
        responses.join()
        remote.close()


def forward_responses(remote: socket.socket, local: socket.socket) -> None:
    """Forward what the pod sends, and discard it once the client has closed."""
    with suppress(OSError):
        while data := remote.recv(BUFFER_BYTES):
            with suppress(OSError):
                local.sendall(data)
    with suppress(OSError):
        local.shutdown(socket.SHUT_RDWR)


@contextmanager
def open_tunnel(cluster: Cluster, find: Callable[[], Target], port: int = 0) -> Iterator[int]:
    """Open a tunnel to the target that `find` returns and yield its local port; 0 picks a free one."""
    try:
        tunnel = Tunnel(cluster, find, port)
    except OSError as error:
        raise ClusterError(
            f"the local port {port}, which a tunnel into the cluster needs, is unavailable: {error.strerror};"
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
    """Open a tunnel to a Service. Raises ClusterError if no pod is ready or port forwarding fails."""
    target = find_target(cluster, service, port)
    cluster.port_forward(*target).close()
    with open_tunnel(cluster, lambda: find_target(cluster, service, port)) as local:
        yield local
