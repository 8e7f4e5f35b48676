"""Client of the schema registry: registers and looks up schemas."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx2
from confluent_kafka.schema_registry import ConfigCompatibilityLevel, Schema, SchemaRegistryClient, ServerConfig
from confluent_kafka.schema_registry.error import SchemaRegistryError

from member_analyzer.records.wire import ValueReader
from member_analyzer.settings import RegistrySettings
from member_analyzer.streams.definition import TopicDefinition

NOT_FOUND = 404


class SchemaRefusedError(RuntimeError):
    """Raised when the registry rejects a schema; the message includes its explanation."""


class SchemaMissingError(RuntimeError):
    """Raised when a schema is not in the registry."""


# What the client raises if the registry is unavailable, or does not have what is looked up.
REGISTRY_ERRORS: tuple[type[Exception], ...] = (SchemaMissingError, SchemaRegistryError, httpx2.HTTPError)


@dataclass(frozen=True)
class SubjectVersions:
    """A subject: its compatibility level, and the schema id of each version."""

    name: str
    compatibility: str
    versions: Mapping[int, int]


def registry_client(settings: RegistrySettings, *, attempts: int = 4) -> SchemaRegistryClient:
    """Create a client of the Confluent-compatible API that tries each request `attempts` times."""
    # The client's HTTP session would use the proxy of the environment, which no option disables. With an explicit proxy
    # it ignores the environment; the session that would use that proxy is replaced before any request.
    unused = "http://127.0.0.1"
    client = SchemaRegistryClient({"url": settings.url, "max.retries": attempts - 1, "proxy": unused})
    rest = client._rest_client
    rest.session.close()
    rest.session = httpx2.Client(verify=rest.verify, auth=rest.auth, timeout=settings.timeout, trust_env=False)
    return client


def register_schema(client: SchemaRegistryClient, subject: str, avro: str) -> int:
    """Register the schema, unless it is already registered, and return its id.

    Sets the compatibility of the subject to BACKWARD. Raises SchemaRefusedError for an incompatible schema.
    """
    try:
        client.set_config(subject, ServerConfig(compatibility=ConfigCompatibilityLevel.BACKWARD))
        return int(client.register_schema(subject, Schema(avro, schema_type="AVRO")))
    except SchemaRegistryError as error:
        raise SchemaRefusedError(
            f"The registry rejected the schema of {subject}: {error.error_message} (HTTP {error.http_status_code})."
        ) from error


def find_schema_id(client: SchemaRegistryClient, subject: str, avro: str) -> int:
    """Return the id of a registered schema. Raises SchemaMissingError if it is not registered."""
    try:
        found = client.lookup_schema(subject, Schema(avro, schema_type="AVRO"))
    except SchemaRegistryError as error:
        if error.http_status_code == NOT_FOUND:
            raise SchemaMissingError(
                f"The schema of {subject} is not registered: register it with `member-analyzer provision`."
            ) from error
        raise
    if found.schema_id is None:
        raise SchemaMissingError(f"The registry returned no id for the schema of {subject}.")
    return int(found.schema_id)


def subject_schemas(client: SchemaRegistryClient, subject: str) -> dict[int, str]:
    """Return all versions of a subject, as schema id -> Avro schema; empty if the subject is unknown."""
    try:
        versions = client.get_versions(subject)
    except SchemaRegistryError as error:
        if error.http_status_code == NOT_FOUND:
            return {}
        raise
    registered = (client.get_version(subject, version) for version in versions)
    return {
        version.schema_id: version.schema.schema_str or "" for version in registered if version.schema_id is not None
    }


def value_reader(client: SchemaRegistryClient, definition: TopicDefinition) -> ValueReader:
    """Return a reader of a stream's values, with the schemas that its subject has now."""
    return ValueReader(subject_schemas(client, definition.subject), definition.schema)


def read_subjects(client: SchemaRegistryClient) -> list[SubjectVersions]:
    """Return all subjects, sorted by name."""
    return [
        SubjectVersions(
            subject,
            read_compatibility(client, subject),
            {number: client.get_version(subject, number).schema_id or 0 for number in client.get_versions(subject)},
        )
        for subject in sorted(client.get_subjects())
    ]


def read_compatibility(client: SchemaRegistryClient, subject: str) -> str:
    """Return the compatibility level of a subject, or else the registry's default."""
    try:
        rule = client.get_config(subject)
    except SchemaRegistryError as error:
        if error.http_status_code != NOT_FOUND:
            raise
        rule = client.get_config()
    level = rule.compatibility_level or rule.compatibility
    return str(getattr(level, "value", level) or "NONE")


def read_version(client: SchemaRegistryClient, subject: str, version: int) -> tuple[int, str]:
    """Return the schema id and the schema of a version. Raises SchemaMissingError."""
    try:
        found = client.get_version(subject, version)
    except SchemaRegistryError as error:
        if error.http_status_code == NOT_FOUND:
            raise SchemaMissingError(f"The registry has no version {version} of the subject {subject}.") from error
        raise
    return found.schema_id or 0, found.schema.schema_str or ""


def read_schema(client: SchemaRegistryClient, schema_id: int) -> str | None:
    """Return a schema by id, or None if the registry does not have it."""
    try:
        return client.get_schema(schema_id).schema_str
    except SchemaRegistryError as error:
        if error.http_status_code == NOT_FOUND:
            return None
        raise
