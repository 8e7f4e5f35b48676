"""Validates rendered objects against the schemas of Kubernetes and of CustomResourceDefinitions.

Unknown fields are errors, as in strict validation by the API server. The CRDs come from the dependencies, or else from
../shared/crds.
"""

import json
import tarfile
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from rendering import KUBERNETES, OPERATORS, PLATFORM, SHARED, Object, dependency_folders

# Fields that every object may have.
METADATA = ("name", "namespace", "labels", "annotations", "finalizers")
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
HEAD = {
    "apiVersion": {"type": "string"},
    "kind": {"type": "string"},
    "metadata": {
        "type": "object",
        "required": ["name"],
        "additionalProperties": False,
        "properties": {name: {} for name in METADATA} | {"labels": TEXTS, "annotations": TEXTS},
    },
}


class UnknownKindError(Exception):
    """There is no schema for objects of this kind."""


def validation_errors(thing: Object) -> list[str]:
    """Validation errors, each with its path. Raises UnknownKindError."""
    return _errors(json.dumps(thing))


@cache
def _errors(text: str) -> list[str]:
    # Most objects do not depend on the values.
    thing = json.loads(text)
    try:
        kubernetes_validate.validate(thing, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [_describe(error)]
    except kubernetes_validate.SchemaNotFoundError:
        validator = jsonschema.Draft202012Validator(_schema(thing["apiVersion"], thing["kind"]))
        return [_describe(error) for error in validator.iter_errors(thing)]
    return []


def _describe(error: jsonschema.ValidationError) -> str:
    return f"{'.'.join(map(str, error.absolute_path)) or 'the object'}: {error.message[:300]}"


@cache
def _schema(api_version: str, kind: str) -> dict[str, Any]:
    group, _, version = api_version.partition("/")
    for definition in _definitions():
        spec = definition["spec"]
        if (spec["group"], spec["names"]["kind"]) == (group, kind):
            for served in spec["versions"]:
                if served["name"] == version and served["served"]:
                    return closed(served["schema"]["openAPIV3Schema"], is_object=True)
    raise UnknownKindError(f"no definition of {kind} in {api_version}")


@cache
def _definitions() -> list[Object]:
    documents = [document for text in _texts() for document in yaml.load_all(text, Loader=yaml.CSafeLoader)]
    return [one for one in documents if one and one.get("kind") == "CustomResourceDefinition"]


def _texts() -> Iterator[str]:
    for chart in (OPERATORS, PLATFORM):
        for folder in dependency_folders(chart):
            if folder.is_dir():
                yield from (file.read_text() for file in sorted(folder.rglob("crds/*.yaml")))
            else:
                with tarfile.open(folder) as archive:
                    for name in archive.getnames():
                        if "/crds/" in name and name.endswith(".yaml") and (content := archive.extractfile(name)):
                            yield content.read().decode()
    yield from (file.read_text() for file in sorted((SHARED / "crds").rglob("*.yaml")))


def closed(schema: dict[str, Any], is_object: bool = False) -> dict[str, Any]:
    """A structural schema as JSON Schema that rejects unknown fields; `is_object` adds the fields of every object."""
    if schema.get("x-kubernetes-int-or-string"):
        kept = {key: value for key, value in schema.items() if key in ("pattern", "enum")}
        return kept | {"type": ["integer", "string", *(["null"] if schema.get("nullable") else [])]}
    own = {key: value for key, value in schema.items() if not key.startswith("x-") and key != "nullable"}
    is_object = is_object or schema.get("x-kubernetes-embedded-resource", False)
    if properties := schema.get("properties"):
        own["properties"] = {name: closed(one) for name, one in properties.items()}
    if is_object:
        own["properties"] = own.get("properties", {}) | HEAD
        own["required"] = sorted({*own.get("required", []), "apiVersion", "kind", "metadata"})
    if isinstance(schema.get("items"), dict):
        own["items"] = closed(schema["items"])
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        own["additionalProperties"] = closed(more)
    elif own.get("type") == "object" and more is None and not schema.get("x-kubernetes-preserve-unknown-fields"):
        own["additionalProperties"] = False
    if schema.get("nullable") and "type" in own:
        own["type"] = [own["type"], "null"]
    return own
