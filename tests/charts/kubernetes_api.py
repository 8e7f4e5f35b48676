"""A fake Kubernetes API that serves given objects, as Helm's `lookup` requests them."""

import base64
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

VERSION = {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}


def stored(thing: dict[str, Any]) -> dict[str, Any]:
    """The object as a cluster returns it: the text of a Secret is encoded as base64."""
    if thing["kind"] != "Secret":
        return thing
    texts = {key: base64.b64encode(text.encode()).decode() for key, text in thing.get("stringData", {}).items()}
    kept = {key: value for key, value in thing.items() if key != "stringData"}
    return kept | {"data": thing.get("data", {}) | texts}


def plural(kind: str) -> str:
    """The plural of a kind, as in paths."""
    lower = kind.lower()
    return f"{lower[:-1]}ies" if lower.endswith("y") else f"{lower}s"


class Answers:
    """The response to each path."""

    def __init__(self, things: Iterable[dict[str, Any]], namespace: str) -> None:
        kinds: dict[str, set[tuple[str, bool]]] = defaultdict(set)
        # Helm requests these even if there are none.
        kinds["v1"] |= {("Secret", True), ("ConfigMap", True), ("Namespace", False), ("Node", False)}
        self._paths: dict[str, Any] = {"/version": VERSION}
        lists: dict[str, list[Any]] = defaultdict(list)
        for thing in map(stored, things):
            version, kind = thing["apiVersion"], thing["kind"]
            namespaced = kind not in ("Namespace", "Node", "CustomResourceDefinition")
            kinds[version].add((kind, namespaced))
            where = f"/namespaces/{thing['metadata'].get('namespace', namespace)}" if namespaced else ""
            folder = f"{self._root(version)}{where}/{plural(kind)}"
            self._paths[f"{folder}/{thing['metadata']['name']}"] = thing
            lists[folder].append(thing)
        for folder, items in lists.items():
            self._paths[folder] = {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}
        for version, served in kinds.items():
            self._paths[self._root(version)] = {
                "kind": "APIResourceList",
                "groupVersion": version,
                "resources": [
                    {"name": plural(kind), "kind": kind, "namespaced": namespaced, "verbs": ["get", "list"]}
                    for kind, namespaced in sorted(served)
                ],
            }

    @staticmethod
    def _root(version: str) -> str:
        return f"/apis/{version}" if "/" in version else f"/api/{version}"

    def to(self, path: str) -> tuple[int, dict[str, Any]]:
        """The status and the body for a path."""
        if path in self._paths:
            return 200, self._paths[path]
        return 404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}


@contextmanager
def kubernetes_api(things: Iterable[dict[str, Any]], namespace: str) -> Iterator[str]:
    """Serve the objects, in the given namespace unless they have one. Yields the server's address."""
    answers = Answers(things, namespace)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.to(self.path.partition("?")[0])
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
