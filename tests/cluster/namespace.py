"""A namespace of the cluster that the tests install the charts on: kubectl and Helm, for it alone."""

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
    """A command against the cluster failed; carries its words."""


@dataclass(frozen=True)
class Namespace:
    """One namespace, and how its cluster is reached."""

    kubectl_program: Path
    helm_program: Path
    kubeconfig: Path
    name: str

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints; raises CommandError."""
        return self._run([str(self.kubectl_program), "--namespace", self.name, *arguments], stdin)

    def helm(self, *arguments: str) -> str:
        """What Helm prints; raises CommandError."""
        return self._run([str(self.helm_program), "--namespace", self.name, *arguments], None)

    def read(self, *arguments: str) -> Any:
        """What `kubectl get` finds."""
        return json.loads(self.kubectl("get", *arguments, "--output", "json"))

    def create(self, thing: Object) -> None:
        """Make an object, in place of one of its name."""
        text = json.dumps(thing)
        self.kubectl("delete", "--filename", "-", "--ignore-not-found", "--wait", stdin=text)
        self.kubectl("create", "--filename", "-", stdin=text)

    def connect(self) -> Cluster:
        """The namespace as `member-analyzer --namespace` reaches it."""
        client = new_client_from_config(config_file=str(self.kubeconfig))
        client.configuration.retries = 0
        return Cluster(ApiClient(client.configuration), self.name)

    def wait(self, what: str, condition: Callable[[], bool], *, seconds: float) -> None:
        """Wait for a condition; after so many seconds raises CommandError with what was waited for, and all pods."""
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
        """With which a program of this machine reaches the cluster."""
        return os.environ | {"KUBECONFIG": str(self.kubeconfig)}

    def _run(self, command: list[str], stdin: str | None) -> str:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=self.environment, check=False, timeout=600
        )
        if done.returncode != 0:
            raise CommandError(f"{' '.join(command[1:])}: {done.stderr.strip()}")
        return done.stdout
