"""Tunnels into a cluster: the target pod and the forwarded bytes, against a fake cluster."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from member_analyzer.cluster.connection import Cluster
from member_analyzer.cluster.failure import ClusterError
from member_analyzer.cluster.tunnel import Target, find_target, open_tunnel, ready_target
from patience import DEADLINE

SERVICE = {"spec": {"ports": [{"name": "web", "port": 80}, {"name": "metrics", "port": 9090}]}}


def endpoint(pod: str, ready: bool | None = True) -> dict[str, Any]:
    return {"targetRef": {"kind": "Pod", "name": pod}, "conditions": {} if ready is None else {"ready": ready}}


def slice_of(*endpoints: dict[str, Any], port: int = 8000, name: str = "web") -> dict[str, Any]:
    return {"ports": [{"name": name, "port": port}], "endpoints": list(endpoints)}


def test_the_target_is_a_ready_pod_and_its_target_port() -> None:
    slices = [slice_of(endpoint("web-2"), endpoint("web-1"), endpoint("web-0", ready=False))]
    assert ready_target(SERVICE, slices, 80) == Target("web-1", 8000)


def test_an_endpoint_without_a_condition_is_ready() -> None:
    assert ready_target(SERVICE, [slice_of(endpoint("web-0", ready=None))], 80) == Target("web-0", 8000)


def test_the_port_is_found_by_name() -> None:
    slices = [slice_of(endpoint("web-0"), name="metrics"), slice_of(endpoint("web-0"), port=8080)]
    assert ready_target(SERVICE, slices, 80) == Target("web-0", 8080)


def test_the_only_port_of_a_service_needs_no_name() -> None:
    slices = [{"ports": [{"name": "", "port": 5432}], "endpoints": [endpoint("postgres-0")]}]
    assert ready_target({"spec": {"ports": [{"port": 5432}]}}, slices, 5432) == Target("postgres-0", 5432)


class FakeCluster:
    """A cluster with one Service that forwards every port to a local server."""

    namespace = "members"

    def __init__(self, slices: list[dict[str, Any]] | None = None, server: int = 0, service: Any = SERVICE) -> None:
        self.slices, self.server, self.service = slices or [], server, service

    def path(self, kinds: str, name: str = "", api: str = "") -> str:
        return kinds

    def get(self, path: str) -> Any:
        return self.service

    def list(self, path: str, **query: str) -> Any:
        return self.slices

    def port_forward(self, pod: str, port: int) -> Any:
        return SimpleNamespace(socket=lambda port: socket.create_connection(("127.0.0.1", self.server)))


def cluster(**options: Any) -> Cluster:
    return cast(Cluster, FakeCluster(**options))


def test_an_error_without_a_ready_pod() -> None:
    with pytest.raises(ClusterError, match="no pod behind the Service web in the namespace members is ready"):
        find_target(cluster(slices=[slice_of(endpoint("web-0", ready=False))]), "web", 80)


def test_an_error_without_the_service() -> None:
    with pytest.raises(ClusterError, match="the namespace members has no Service web"):
        find_target(cluster(service=None), "web", 80)


@contextmanager
def serving(handle: Any) -> Iterator[int]:
    handler = type("Handler", (socketserver.StreamRequestHandler,), {"handle": handle})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def echo(handler: socketserver.StreamRequestHandler) -> None:
    while data := handler.request.recv(4096):
        handler.request.sendall(data)


def dial(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)


def to_web() -> Target:
    return Target("web-0", 80)


def test_a_tunnel_forwards_concurrent_connections_in_both_directions() -> None:
    load = bytes(range(256)) * 8192
    with serving(echo) as server, open_tunnel(cluster(server=server), to_web) as port:
        clients = [dial(port) for _ in range(5)]
        for client in clients:
            threading.Thread(target=client.sendall, args=(load,)).start()
        for client in clients:
            with client, client.makefile("rb") as answers:
                assert answers.read(len(load)) == load


def test_a_connection_closed_by_the_pod_is_closed_for_the_client() -> None:
    def greet(handler: socketserver.StreamRequestHandler) -> None:
        handler.wfile.write(b"goodbye")

    with serving(greet) as server, open_tunnel(cluster(server=server), to_web) as port, dial(port) as client:
        assert client.makefile("rb").read() == b"goodbye"


def test_a_connection_closed_by_the_client_is_closed_for_the_pod() -> None:
    gone = threading.Event()

    def wait(handler: socketserver.StreamRequestHandler) -> None:
        handler.request.recv(1)
        gone.set()

    with serving(wait) as server, open_tunnel(cluster(server=server), to_web) as port:
        dial(port).close()
        assert gone.wait(DEADLINE)


def test_a_missing_pod_closes_the_connection_but_not_the_tunnel() -> None:
    targets: list[Target] = []

    def find() -> Target:
        targets.append(to_web())
        if len(targets) == 1:
            raise ClusterError("no pod is ready")
        return targets[-1]

    with serving(echo) as server, open_tunnel(cluster(server=server), find) as port:
        with dial(port) as first:
            assert first.recv(1) == b""
        with dial(port) as second:
            second.sendall(b"a")
            assert second.recv(1) == b"a"


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(ClusterError, match=f"local port {taken}"), open_tunnel(cluster(), to_web, taken):
            pass
