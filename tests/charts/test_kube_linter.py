import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from combinations import COMBINATIONS
from rendering import CHARTS, PLATFORM, Helm, Object
from tools import KUBE_LINTER, MissingToolError

CONFIGURATION = CHARTS / ".kube-linter.yaml"


@pytest.fixture(scope="module")
def kube_linter() -> Path:
    try:
        return KUBE_LINTER.path()
    except MissingToolError as missing:
        pytest.skip(str(missing))


def findings(kube_linter: Path, objects: list[Object], folder: Path) -> list[str]:
    for one in objects:
        one["metadata"].setdefault("namespace", PLATFORM)
    file = folder / "rendered.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    command = [str(kube_linter), "lint", "--config", str(CONFIGURATION), "--format", "json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    # With findings, a message follows the report.
    report, _ = json.JSONDecoder().raw_decode(done.stdout)
    return [
        f"{one['Check']}: {one['Object']['K8sObject']['Name']}: {one['Diagnostic']['Message']}"
        for one in report["Reports"] or []
    ]


@pytest.mark.parametrize("name", ["default", "production", "backups", "several of everything"])
def test_kube_linter_finds_nothing(helm: Helm, kube_linter: Path, tmp_path: Path, name: str) -> None:
    assert findings(kube_linter, helm.render(*COMBINATIONS[name], own=True), tmp_path) == []


def test_kube_linter_finds_a_privileged_container(helm: Helm, kube_linter: Path, tmp_path: Path) -> None:
    objects: list[Any] = [one for one in helm.render(own=True) if one["kind"] == "Deployment"]
    objects[0]["spec"]["template"]["spec"]["containers"][0]["securityContext"]["privileged"] = True
    assert any("privileged-container" in one for one in findings(kube_linter, objects, tmp_path))


def test_every_excluded_check_has_a_reason() -> None:
    lines = CONFIGURATION.read_text().splitlines()
    for number, line in enumerate(lines):
        if line.startswith("    - "):
            above = [text for text in lines[:number] if not text.startswith("    - ")]
            assert above[-1].startswith("    # "), line
