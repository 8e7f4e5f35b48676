"""Collector clients, members in both formats, and separate collectors for the tests."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import requests

from member_analyzer.collector.batch import Outcome
from member_analyzer.landing.api_keys import Right, create_key
from member_analyzer.local.environment import base_environment
from patience import DEADLINE, answers, holds
from running_platform import Platform


@dataclass(frozen=True)
class Client:
    """A client with an API key."""

    url: str
    key: str

    @property
    def name(self) -> str:
        return self.key.split("_")[1]

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.key}"} | options.pop("headers", {})
        return requests.request(method, f"{self.url}{path}", headers=headers, timeout=DEADLINE, **options)

    def post(self, records: Any, **headers: str) -> requests.Response:
        return self.request("POST", "/v1/users", json=records, headers=headers)

    def send(self, body: bytes, **headers: str) -> requests.Response:
        """Post bytes as JSON."""
        return self.request("POST", "/v1/users", data=body, headers={"Content-Type": "application/json"} | headers)

    def erase(self, key: str) -> requests.Response:
        return self.request("DELETE", f"/v1/users/{key}")

    def read(self, table: str, **parameters: Any) -> requests.Response:
        return self.request("GET", f"/v1/analysis/{table}", params=parameters)


def make_client(platform: Platform, *rights: Right, url: str | None = None) -> Client:
    """A client with a new key; by default with all rights."""
    key = create_key(platform.landing, f"test-{secrets.token_hex(6)}", rights or list(Right))
    return Client(url or f"http://127.0.0.1:{platform.home.settings.collector_port}", key)


@dataclass(frozen=True)
class OwnCollector:
    """A separate collector with different settings."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def own_collector(platform: Platform, port: int, log: Path, **settings: str) -> Iterator[OwnCollector]:
    """Run a separate collector within the block."""
    inherited = {
        name: value for name, value in base_environment(platform.home).items() if not name.startswith("COLLECTOR_")
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "member_analyzer.collector", "--port", str(port)],
            env=inherited | platform.environment("collector") | settings,
            stderr=output,
        )
    own = OwnCollector(f"http://127.0.0.1:{port}", process, log)
    try:
        assert holds(lambda: answers(f"{own.url}/healthz")), log.read_text()
        yield own
    finally:
        process.terminate()
        process.wait(DEADLINE)


def flat(user: dict[str, Any]) -> dict[str, Any]:
    """The flat record of a user in randomuser.me's format, with its counted fields and its name."""
    return {
        "id": user["login"]["uuid"],
        "gender": user["gender"],
        "date_of_birth": user["dob"]["date"][:10],
        "country": user["location"]["country"],
        "city": user["location"]["city"],
        "first_name": user["name"]["first"],
        "last_name": user["name"]["last"],
    }


def unflat(record: dict[str, Any], key: str) -> dict[str, Any]:
    """A flat record in randomuser.me's format, for `Platform.expect`."""
    return {
        "login": {"uuid": key},
        "gender": record["gender"],
        "dob": {"date": record["date_of_birth"]},
        "location": {"country": record["country"], "city": record["city"]},
    }


def statuses(response: requests.Response) -> list[Outcome]:
    """The outcome of each record."""
    assert response.status_code == 202, response.text
    return [Outcome(record["status"]) for record in response.json()["records"]]


def is_problem(response: requests.Response, status: int) -> bool:
    """Whether the response is a problem document with this status."""
    document = response.json()
    return (
        response.status_code == document["status"] == status
        and response.headers["Content-Type"] == "application/problem+json"
        and bool(document["title"] and document["detail"])
    )


def document(client: Client) -> dict[str, Any]:
    """The OpenAPI document of a collector."""
    described: dict[str, Any] = requests.get(f"{client.url}/openapi.json", timeout=60).json()
    return described


def check_answer(described: dict[str, Any], operation: dict[str, Any], answer: requests.Response) -> None:
    """Check that a response matches its schema in the OpenAPI document."""
    content = operation["responses"][str(answer.status_code)]["content"]
    schema = content[answer.headers["Content-Type"]]["schema"]
    validate_schema(described, schema, answer.json())


def validate_schema(described: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    # The schema's references point into the document's components.
    jsonschema.Draft202012Validator(schema | {"components": described["components"]}).validate(value)


FUZZ_EXAMPLES = int(os.environ.get("COLLECTOR_CASES", "600"))
