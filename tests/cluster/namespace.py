"""kubectl and Helm for one namespace of the cluster."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes.client import ApiClient
from kubernetes.config import new_client_from_config
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from member_analyzer.cluster.connection import Cluster
from rendering import Object


class CommandError(Exception):
    """A command failed; the message is its output."""


@dataclass(frozen=True)
class Namespace:
    """A namespace and the access to its cluster."""

    kubectl_program: Path
    helm_program: Path
    kubeconfig: Path
    name: str

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """The output of kubectl. Raises CommandError."""
        return self._run([str(self.kubectl_program), "--namespace", self.name, *arguments], stdin)

    def helm(self, *arguments: str) -> str:
        """The output of Helm. Raises CommandError."""
        return self._run([str(self.helm_program), "--namespace", self.name, *arguments], None)

    def read(self, *arguments: str) -> Any:
        """The result of `kubectl get`."""
        return json.loads(self.kubectl("get", *arguments, "--output", "json"))

    def create(self, thing: Object) -> None:
        """Create an object, replacing one with the same name."""
        text = json.dumps(thing)
        self.kubectl("delete", "--filename", "-", "--ignore-not-found", "--wait", stdin=text)
        self.kubectl("create", "--filename", "-", stdin=text)

    def connect(self) -> Cluster:
        """The connection of `member-analyzer --namespace`."""
        client = new_client_from_config(config_file=str(self.kubeconfig))
        client.configuration.retries = 0
        return Cluster(ApiClient(client.configuration), self.name)

    def wait(self, what: str, condition: Callable[[], bool], *, seconds: float) -> None:
        """Wait for a condition. After a timeout raises CommandError with its description and all pods."""
        retrying = Retrying(
            stop=stop_after_delay(seconds), wait=wait_fixed(1), retry=retry_if_result(lambda met: not met)
        )
        try:
            retrying(condition)
        except RetryError:
            pods = self.kubectl("get", "pods", "--output", "wide")
            raise CommandError(f"not within {seconds:.0f} seconds: {what}\n{pods}") from None

    @property
    def environment(self) -> dict[str, str]:
        """The environment of programs that connect to the cluster."""
        return os.environ | {"KUBECONFIG": str(self.kubeconfig)}

    def _run(self, command: list[str], stdin: str | None) -> str:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=self.environment, check=False, timeout=600
        )
        if done.returncode != 0:
            raise CommandError(f"{' '.join(command[1:])}: {done.stderr.strip()}")
        return done.stdout
