"""Writes a chart's values.schema.json from its values.yaml, which also contains the descriptions of the README.

    .venv/bin/python tests/charts/values_schema.py charts/operators charts/member-analyzer

Every key needs a comment directly above it, its description (helm-docs lists those that begin with `# --`). The type
is that of the default. A block between two lines `# @schema`, above the description, adds JSON Schema keywords in YAML;
one between two lines `# @schema.root`, at the top of the file, adds them to the root. The format is helm-schema's.
An object has no additional keys unless its block has `additionalProperties`, `properties` or `$ref`.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "map": "object", "seq": "array"}
CLOSED = {"additionalProperties", "properties", "$ref"}
HAS_TYPE = {"type", "const", "anyOf", "oneOf"}


class ValuesError(Exception):
    """A value in values.yaml lacks something that the schema needs."""


@dataclass(frozen=True)
class Comment:
    """The comment of a key: the keywords of its block, and its description."""

    keywords: dict[str, Any]
    description: str


@dataclass(frozen=True)
class Values:
    """A values.yaml as text and as a tree of nodes."""

    lines: list[str]
    root: yaml.MappingNode

    @classmethod
    def read(cls, file: Path) -> "Values":
        text = file.read_text()
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
        if not isinstance(root, yaml.MappingNode):
            raise ValuesError(f"{file} contains no values")
        return cls(text.splitlines(), root)

    def schema(self) -> dict[str, Any]:
        """The schema of all values, in JSON Schema draft 7, which every Helm 3 supports."""
        shape = self._object(self.root, "")
        shape["properties"]["global"] = {
            "description": "Global values, passed to all charts.",
            "type": "object",
        }
        return {"$schema": "http://json-schema.org/draft-07/schema#"} | self._root_keywords() | shape

    def _object(self, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        properties: dict[str, Any] = {}
        required = []
        for key, value in node.value:
            name = key.value
            comment = self._comment(key.start_mark.line, f"{path}{name}")
            if comment.keywords.pop("required", True):
                required.append(name)
            properties[name] = {"description": comment.description} | self._shape(value, comment, f"{path}{name}")
        return {"type": "object", "additionalProperties": False, "properties": properties, "required": required}

    def _shape(self, node: yaml.Node, comment: Comment, path: str) -> dict[str, Any]:
        keywords = comment.keywords
        if "$ref" in keywords:
            return keywords
        kind = node.tag.rpartition(":")[2]
        if isinstance(node, yaml.MappingNode) and not CLOSED & keywords.keys():
            if not node.value or node.flow_style:
                raise ValuesError(f"{path}: describe its keys with additionalProperties, properties or $ref")
            return self._object(node, f"{path}.") | keywords
        if isinstance(node, yaml.SequenceNode) and "items" not in keywords:
            kinds = {element.tag.rpartition(":")[2] for element in node.value}
            if len(kinds) != 1 or kinds & {"map", "seq", "null"}:
                raise ValuesError(f"{path}: describe its elements with items")
            keywords = {"items": {"type": TYPES[kinds.pop()]}} | keywords
        if HAS_TYPE & keywords.keys():
            return keywords
        if kind not in TYPES:
            raise ValuesError(f"{path}: its default has no type; add one with type")
        return {"type": TYPES[kind]} | keywords

    def _comment(self, line: int, path: str) -> Comment:
        first = line
        while first > 0 and self.lines[first - 1].lstrip().startswith("#"):
            first -= 1
        block: list[str] = []
        text: list[str] = []
        inside = False
        for written in self.lines[first:line]:
            content = written.lstrip().removeprefix("#")
            if content.strip() == "@schema":
                if text:
                    raise ValuesError(f"{path}: the description must be between the block and the key")
                inside = not inside
            elif inside:
                block.append(content)
            elif content.lstrip().startswith("-- "):
                text = [content.strip().removeprefix("-- ")]
            elif not content.lstrip().startswith("@"):
                text.append(content.strip())
        description = " ".join(part for part in text if part)
        if inside or not description:
            raise ValuesError(f"{path}: it needs a comment directly above it")
        return Comment(_keywords(block, path), description)

    def _root_keywords(self) -> dict[str, Any]:
        marks = [number for number, line in enumerate(self.lines) if line.strip() == "# @schema.root"]
        if not marks:
            return {}
        if len(marks) != 2:
            raise ValuesError("there must be two lines # @schema.root")
        return _keywords([line.removeprefix("#") for line in self.lines[marks[0] + 1 : marks[1]]], "@schema.root")


def _keywords(block: list[str], path: str) -> dict[str, Any]:
    try:
        keywords = yaml.safe_load("\n".join(block)) or {}
    except yaml.YAMLError as error:
        raise ValuesError(f"{path}: its block is not valid YAML: {error}") from error
    if not isinstance(keywords, dict):
        raise ValuesError(f"{path}: its block has no keywords")
    return keywords


def schema_text(chart: Path) -> str:
    """The content of the chart's values.schema.json."""
    return json.dumps(Values.read(chart / "values.yaml").schema(), indent=2, ensure_ascii=False) + "\n"


def main(charts: list[str]) -> None:
    """Write the schema of each chart."""
    for chart in map(Path, charts):
        try:
            (chart / "values.schema.json").write_text(schema_text(chart))
        except ValuesError as error:
            sys.exit(f"error: {chart / 'values.yaml'}: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
