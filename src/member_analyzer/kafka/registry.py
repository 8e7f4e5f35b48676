"""The schema registry: registers the platform's schemas, and tells which schema wrote a record."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx2
from confluent_kafka.schema_registry import ConfigCompatibilityLevel, Schema, SchemaRegistryClient, ServerConfig
from confluent_kafka.schema_registry.error import SchemaRegistryError

from member_analyzer.settings import RegistrySettings

NOT_FOUND = 404


class SchemaRefusedError(RuntimeError):
    """Raised when the registry refuses a schema; its message is the registry's own explanation."""


class SchemaMissingError(RuntimeError):
    """Raised when a program's schema is not in the registry."""


@dataclass(frozen=True)
class SubjectVersions:
    """What is registered in a subject: id of each version's schema, and how a new version must agree with them."""

    name: str
    compatibility: str
    versions: Mapping[int, int]


def registry_client(settings: RegistrySettings, *, attempts: int = 4) -> SchemaRegistryClient:
    """A client of the registry's Confluent-compatible API, which asks so often before it gives up."""
    # Its own HTTP session would go through the environment's proxy, and it takes no setting against that. With a proxy
    # of its own it does not read the environment; the session that would use it is replaced before any request.
    unused = "http://127.0.0.1"
    client = SchemaRegistryClient({"url": settings.url, "max.retries": attempts - 1, "proxy": unused})
    rest = client._rest_client
    rest.session.close()
    rest.session = httpx2.Client(verify=rest.verify, auth=rest.auth, timeout=settings.timeout, trust_env=False)
    return client


def register_schema(client: SchemaRegistryClient, subject: str, avro: str) -> int:
    """Make the schema the subject's newest version, unless it is there already; gives its id.

    From then on a version must be able to read what the one before it wrote (BACKWARD). Raises SchemaRefusedError for
    one that is not.
    """
    try:
        client.set_config(subject, ServerConfig(compatibility=ConfigCompatibilityLevel.BACKWARD))
        return int(client.register_schema(subject, Schema(avro, schema_type="AVRO")))
    except SchemaRegistryError as error:
        raise SchemaRefusedError(
            f"The registry refused the schema of {subject}: {error.error_message} (HTTP {error.http_status_code})."
        ) from error


def find_schema_id(client: SchemaRegistryClient, subject: str, avro: str) -> int:
    """The id of a schema that is registered in a subject. Raises SchemaMissingError when it is not."""
    try:
        found = client.lookup_schema(subject, Schema(avro, schema_type="AVRO"))
    except SchemaRegistryError as error:
        if error.http_status_code == NOT_FOUND:
            raise SchemaMissingError(
                f"The registry does not know this program's schema of {subject}: register it with "
                "`member-analyzer provision`."
            ) from error
        raise
    if found.schema_id is None:
        raise SchemaMissingError(f"The registry gave no id for the schema of {subject}.")
    return int(found.schema_id)


def subject_schemas(client: SchemaRegistryClient, subject: str) -> dict[int, str]:
    """Every version of the subject: id of the schema -> Avro schema as JSON text. Empty for an unknown subject."""
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


def read_subjects(client: SchemaRegistryClient) -> list[SubjectVersions]:
    """Every subject, by name."""
    return [
        SubjectVersions(
            subject,
            read_compatibility(client, subject),
            {number: client.get_version(subject, number).schema_id or 0 for number in client.get_versions(subject)},
        )
        for subject in sorted(client.get_subjects())
    ]


def read_compatibility(client: SchemaRegistryClient, subject: str) -> str:
    """How a new version must agree with those before it, by the subject's own rule or by the registry's."""
    try:
        rule = client.get_config(subject)
    except SchemaRegistryError as error:
        if error.http_status_code != NOT_FOUND:
            raise
        rule = client.get_config()
    level = rule.compatibility_level or rule.compatibility
    return str(getattr(level, "value", level) or "NONE")


def read_version(client: SchemaRegistryClient, subject: str, version: int) -> tuple[int, str]:
    """One version of a subject: the id of its schema, and the schema as text. Raises SchemaMissingError."""
    try:
        found = client.get_version(subject, version)
    except SchemaRegistryError as error:
        if error.http_status_code == NOT_FOUND:
            raise SchemaMissingError(f"The registry has no version {version} of a subject {subject}.") from error
        raise
    return found.schema_id or 0, found.schema.schema_str or ""


def read_schema(client: SchemaRegistryClient, schema_id: int) -> str | None:
    """The schema of an id, as text; none where the registry does not know it."""
    try:
        return client.get_schema(schema_id).schema_str
    except SchemaRegistryError as error:
        if error.http_status_code == NOT_FOUND:
            return None
        raise
