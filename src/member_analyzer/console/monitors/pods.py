"""Lists pods from inside the cluster, with the service account of the console's pod.

A plain HTTP request: the Kubernetes client library would be a third of the image's size.
"""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests

from member_analyzer.console.monitoring import UnavailableError
from member_analyzer.http.sessions import direct_session

API = "https://kubernetes.default.svc"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT = 5


def list_pods(namespace: str, labels: str, api: str = API, account: Path = ACCOUNT) -> list[Mapping[str, Any]]:
    """The pods that match a label selector. Raises UnavailableError if the API does not return them."""
    try:
        # Read each time: Kubernetes rotates it.
        token = (account / "token").read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UnavailableError(
            f"The console has no service account, so it cannot list pods: {account} does not exist."
        ) from error
    try:
        with direct_session() as session:
            response = session.get(
                f"{api}/api/v1/namespaces/{namespace}/pods",
                params={"labelSelector": labels},
                headers={"Authorization": f"Bearer {token}"},
                verify=str(account / "ca.crt"),
                timeout=TIMEOUT,
            )
    except (requests.RequestException, OSError) as error:
        raise UnavailableError(f"The Kubernetes API does not respond ({type(error).__name__}).") from error
    if response.status_code != HTTPStatus.OK:
        raise UnavailableError(f"The Kubernetes API does not list pods: {response.status_code} {response.reason}.")
    pods: list[Mapping[str, Any]] = response.json()["items"]
    return pods
