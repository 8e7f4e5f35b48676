"""Reads the pods of a namespace from inside the cluster, as the service account of the console's own pod.

One request to Kubernetes' API: its client library would be a third of the web programs' image.
"""

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests

from member_analyzer.console.watch import AwayError
from member_analyzer.http.sessions import direct_session

API = "https://kubernetes.default.svc"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT = 5


def list_pods(namespace: str, labels: str, api: str = API, account: Path = ACCOUNT) -> list[Mapping[str, Any]]:
    """The pods with these labels, as the API gives them. Raises AwayError where it gives none."""
    try:
        # Kubernetes writes a new one every hour.
        token = (account / "token").read_text(encoding="utf-8").strip()
    except OSError as error:
        raise AwayError(
            f"The console has no service account, so it cannot read pods: there is no {account}."
        ) from error
    try:
        with direct_session() as session:
            answer = session.get(
                f"{api}/api/v1/namespaces/{namespace}/pods",
                params={"labelSelector": labels},
                headers={"Authorization": f"Bearer {token}"},
                verify=str(account / "ca.crt"),
                timeout=TIMEOUT,
            )
    except (requests.RequestException, OSError) as error:
        raise AwayError(f"Kubernetes does not answer ({type(error).__name__}).") from error
    if answer.status_code != HTTPStatus.OK:
        raise AwayError(f"Kubernetes does not tell of the pods: it answers {answer.status_code} {answer.reason}.")
    pods: list[Mapping[str, Any]] = answer.json()["items"]
    return pods
