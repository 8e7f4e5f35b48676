"""The passwords and keys of a platform, generated at its first start, in a file that only its owner can read."""

import base64
import json
import os
import secrets
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from member_analyzer.local.failure import LocalError


def make_password(random_bytes: int = 24) -> str:
    """A random password that needs no quoting."""
    # Some programs would take a leading dash for an option.
    return "p" + secrets.token_urlsafe(random_bytes)


def make_signing_key() -> str:
    """A key for HMAC with SHA-512, which must be as long as its output (RFC 7518, section 3.2)."""
    return make_password(64)


def make_fernet_key() -> str:
    """A key for Airflow's Fernet encryption."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


# Users of earlier versions.
RETIRED = {"kafka_publisher"}


class Passwords(BaseModel):
    """One field per user or key; missing fields are generated when the file is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    zookeeper_kafka: str = Field(default_factory=make_password)
    kafka_admin: str = Field(default_factory=make_password)
    kafka_airflow: str = Field(default_factory=make_password)
    kafka_collector: str = Field(default_factory=make_password)
    kafka_operator: str = Field(default_factory=make_password)
    kafka_stream: str = Field(default_factory=make_password)
    kafka_reader: str = Field(default_factory=make_password)
    kafka_console: str = Field(default_factory=make_password)
    postgres_superuser: str = Field(default_factory=make_password)
    postgres_airflow: str = Field(default_factory=make_password)
    postgres_member_analyzer: str = Field(default_factory=make_password)
    landing_airflow: str = Field(default_factory=make_password)
    landing_collector: str = Field(default_factory=make_password)
    landing_console: str = Field(default_factory=make_password)
    landing_operator: str = Field(default_factory=make_password)
    landing_reader: str = Field(default_factory=make_password)
    cassandra_admin: str = Field(default_factory=make_password)
    cassandra_stream: str = Field(default_factory=make_password)
    cassandra_collector: str = Field(default_factory=make_password)
    cassandra_console: str = Field(default_factory=make_password)
    cassandra_reader: str = Field(default_factory=make_password)
    airflow_admin: str = Field(default_factory=make_password)
    airflow_console: str = Field(default_factory=make_password)
    airflow_jwt_secret: str = Field(default_factory=make_signing_key)
    airflow_api_secret: str = Field(default_factory=make_password)
    airflow_fernet_key: str = Field(default_factory=make_fernet_key)
    console_viewer: str = Field(default_factory=make_password)
    console_operator: str = Field(default_factory=make_password)
    console_session_secret: str = Field(default_factory=make_signing_key)


def load_passwords(path: Path) -> Passwords:
    """The passwords stored at `path`; missing ones are generated and stored."""
    try:
        stored = json.loads(path.read_text()) if path.exists() else {}
        passwords = Passwords.model_validate({name: one for name, one in stored.items() if name not in RETIRED})
    except (AttributeError, ValueError, ValidationError) as error:
        raise LocalError(
            f"{path} is not a valid passwords file; restore it, or delete the data with `member-analyzer reset`"
        ) from error
    if passwords.model_dump() != stored:
        write_private(path, passwords.model_dump_json(indent=2) + "\n")
    return passwords


def write_private(path: Path, text: str) -> None:
    """Atomically write a file that only the owner can read."""
    unfinished = path.with_name(path.name + ".new")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    unfinished.replace(path)
