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


def test_the_schema_is_what_the_comments_of_the_values_say(chart: Path) -> None:
    assert (chart / "values.schema.json").read_text() == schema_text(chart), "make chart-docs writes it anew"


def test_the_readme_is_what_the_comments_of_the_values_say(chart: Path, tmp_path: Path) -> None:
    try:
        program = HELM_DOCS.path()
    except MissingToolError as missing:
        skip_or_fail(str(missing))
    copied = tmp_path / chart.name
    shutil.copytree(chart, copied, ignore=shutil.ignore_patterns("charts", "README.md"))
    subprocess.run(
        [program, "--chart-search-root", tmp_path, "--sort-values-order", "file"], check=True, capture_output=True
    )
    assert (chart / "README.md").read_text() == (copied / "README.md").read_text(), "make chart-docs writes it anew"


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


def test_the_readme_stays_readable(chart: Path) -> None:
    """`# @default -- text` keeps the whole of a dependency's values out of the table."""
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

    def test_a_values_type_is_its_defaults(self, tmp_path: Path) -> None:
        text = "# -- A.\na: text\n# -- B.\nb: 1\n# -- C.\nc: true\n# -- D.\nd: 0.5\n# -- E.\ne: [x]\n"
        found = self.written(tmp_path, text)["properties"]
        types = {name: part["type"] for name, part in found.items() if name != "global"}
        assert types == {"a": "string", "b": "integer", "c": "boolean", "d": "number", "e": "array"}
        assert found["e"]["items"] == {"type": "string"}

    def test_an_object_takes_its_own_keys_only_and_all_of_them(self, tmp_path: Path) -> None:
        found = self.written(tmp_path, "# Group.\na:\n  # -- B.\n  b: 1\n")["properties"]["a"]
        assert (found["additionalProperties"], found["required"], found["description"]) == (False, ["b"], "Group.")

    def test_a_block_adds_keywords_and_is_no_part_of_the_description(self, tmp_path: Path) -> None:
        text = "# @schema\n# enum: [x, y]\n# required: false\n# @schema\n# -- Said\n# so.\n# @default -- none\na: x\n"
        schema = self.written(tmp_path, text)
        assert schema["properties"]["a"] == {"description": "Said so.", "type": "string", "enum": ["x", "y"]}
        assert schema["required"] == []

    @pytest.mark.parametrize("keyword", ["additionalProperties: true", "properties: {}", '$ref: "#/definitions/d"'])
    def test_a_block_about_the_whole_object_needs_no_comments_below_it(self, tmp_path: Path, keyword: str) -> None:
        found = self.written(tmp_path, f"# @schema\n# {keyword}\n# @schema\n# -- A.\na:\n  b: 1\n")["properties"]["a"]
        assert "b" not in found.get("properties", {})
        assert yaml.safe_load(keyword).items() <= found.items()

    def test_definitions_stand_at_the_head(self, tmp_path: Path) -> None:
        text = "# @schema.root\n# definitions: {d: {type: string}}\n# @schema.root\n\n# -- A.\na: x\n"
        assert self.written(tmp_path, text)["definitions"] == {"d": {"type": "string"}}

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("a: 1\n", "^a: a comment"),
            ("# -- A.\n\na: 1\n", "^a: a comment"),
            ("# A.\na:\n  b: 1\n", "^a.b: a comment"),
            ("# -- A.\na: {}\n", "^a: say what may stand in it"),
            ("# -- A.\na: {b: 1}\n", "^a: say what may stand in it"),
            ("# -- A.\na: []\n", "^a: say what its elements are"),
            ("# -- A.\na: [{b: 1}]\n", "^a: say what its elements are"),
            ("# -- A.\na:\n", "^a: its default tells no type"),
            ("# -- A.\n# @schema\n# enum: [1]\n# @schema\na: 1\n", "^a: the description has to stand below"),
            ("# @schema\n# enum: [1\n# @schema\n# -- A.\na: 1\n", "^a: its block is no YAML"),
            ("# @schema\n# enum: [1]\n# -- A.\na: 1\n", "^a: "),
        ],
    )
    def test_a_value_that_says_too_little_is_refused_by_its_name(self, tmp_path: Path, text: str, told: str) -> None:
        with pytest.raises(ValuesError, match=told):
            self.written(tmp_path, text)
