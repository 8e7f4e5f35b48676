import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from missing import skip_or_fail
from rendering import CHARTS, OPERATORS, PLATFORM
from tools import HELM_DOCS, MissingToolError
from values_schema import Values, ValuesError, schema_text


@pytest.fixture(params=[OPERATORS, PLATFORM])
def chart(request: pytest.FixtureRequest) -> Path:
    return CHARTS / str(request.param)


def test_the_schema_is_up_to_date(chart: Path) -> None:
    assert (chart / "values.schema.json").read_text() == schema_text(chart), "run make chart-docs"


def test_the_readme_is_up_to_date(chart: Path, tmp_path: Path) -> None:
    try:
        program = HELM_DOCS.path()
    except MissingToolError as missing:
        skip_or_fail(str(missing))
    copied = tmp_path / chart.name
    shutil.copytree(chart, copied, ignore=shutil.ignore_patterns("charts", "README.md"))
    subprocess.run(
        [program, "--chart-search-root", tmp_path, "--sort-values-order", "file"], check=True, capture_output=True
    )
    assert (chart / "README.md").read_text() == (copied / "README.md").read_text(), "run make chart-docs"


def test_every_value_is_described(chart: Path) -> None:
    schema = json.loads((chart / "values.schema.json").read_text())
    nameless = [path for path, part in properties(schema, "") if not part.get("description", "").strip()]
    assert nameless == []


def properties(schema: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        for name, part in schema.get("properties", {}).items():
            yield f"{path}.{name}", part
        for name, part in schema.items():
            yield from properties(part, f"{path}.{name}")


def test_the_readme_lists_every_value(chart: Path) -> None:
    readme = (chart / "README.md").read_text()
    schema = json.loads((chart / "values.schema.json").read_text())
    missing = [path for path in leaves(schema, "") if f"| {path} |" not in readme and path != "global"]
    assert missing == []


def test_the_rows_of_the_readme_have_a_limited_length(chart: Path) -> None:
    """`# @default -- text` replaces a long default in the table."""
    rows = [line for line in (chart / "README.md").read_text().splitlines() if line.startswith("| ")]
    assert [row[:60] for row in rows if len(row) > 800] == []


def leaves(part: dict[str, Any], path: str) -> Iterator[str]:
    for name, one in part.get("properties", {}).items():
        place = f"{path}.{name}" if path else name
        if "properties" in one:
            yield from leaves(one, place)
        else:
            yield place


class TestTheSchemaOfValues:
    def written(self, tmp_path: Path, text: str) -> dict[str, Any]:
        file = tmp_path / "values.yaml"
        file.write_text(text)
        return Values.read(file).schema()

    def test_the_type_of_a_value_is_that_of_its_default(self, tmp_path: Path) -> None:
        text = "# -- A.\na: text\n# -- B.\nb: 1\n# -- C.\nc: true\n# -- D.\nd: 0.5\n# -- E.\ne: [x]\n"
        found = self.written(tmp_path, text)["properties"]
        types = {name: part["type"] for name, part in found.items() if name != "global"}
        assert types == {"a": "string", "b": "integer", "c": "boolean", "d": "number", "e": "array"}
        assert found["e"]["items"] == {"type": "string"}

    def test_an_object_requires_its_keys_and_allows_no_others(self, tmp_path: Path) -> None:
        found = self.written(tmp_path, "# Group.\na:\n  # -- B.\n  b: 1\n")["properties"]["a"]
        assert (found["additionalProperties"], found["required"], found["description"]) == (False, ["b"], "Group.")

    def test_a_block_adds_keywords_but_not_to_the_description(self, tmp_path: Path) -> None:
        text = "# @schema\n# enum: [x, y]\n# required: false\n# @schema\n# -- Said\n# so.\n# @default -- none\na: x\n"
        schema = self.written(tmp_path, text)
        assert schema["properties"]["a"] == {"description": "Said so.", "type": "string", "enum": ["x", "y"]}
        assert schema["required"] == []

    @pytest.mark.parametrize("keyword", ["additionalProperties: true", "properties: {}", '$ref: "#/definitions/d"'])
    def test_keys_of_an_object_with_its_own_schema_need_no_comments(self, tmp_path: Path, keyword: str) -> None:
        found = self.written(tmp_path, f"# @schema\n# {keyword}\n# @schema\n# -- A.\na:\n  b: 1\n")["properties"]["a"]
        assert "b" not in found.get("properties", {})
        assert yaml.safe_load(keyword).items() <= found.items()

    def test_definitions_are_at_the_root(self, tmp_path: Path) -> None:
        text = "# @schema.root\n# definitions: {d: {type: string}}\n# @schema.root\n\n# -- A.\na: x\n"
        assert self.written(tmp_path, text)["definitions"] == {"d": {"type": "string"}}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a: 1\n", "^a: it needs a comment"),
            ("# -- A.\n\na: 1\n", "^a: it needs a comment"),
            ("# A.\na:\n  b: 1\n", "^a.b: it needs a comment"),
            ("# -- A.\na: {}\n", "^a: describe its keys"),
            ("# -- A.\na: {b: 1}\n", "^a: describe its keys"),
            ("# -- A.\na: []\n", "^a: describe its elements"),
            ("# -- A.\na: [{b: 1}]\n", "^a: describe its elements"),
            ("# -- A.\na:\n", "^a: its default has no type"),
            ("# -- A.\n# @schema\n# enum: [1]\n# @schema\na: 1\n", "^a: the description must be between"),
            ("# @schema\n# enum: [1\n# @schema\n# -- A.\na: 1\n", "^a: its block is not valid YAML"),
            ("# @schema\n# enum: [1]\n# -- A.\na: 1\n", "^a: "),
        ],
    )
    def test_an_incomplete_value_is_reported_by_name(self, tmp_path: Path, text: str, message: str) -> None:
        with pytest.raises(ValuesError, match=message):
            self.written(tmp_path, text)
