"""Programs of the chart tests: from the PATH, or else built from source into var/tools."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
FOLDER = CHECKOUT / "var/tools"
BUILD_SECONDS = 900


class MissingToolError(Exception):
    """A program is not on the PATH and cannot be built."""


@dataclass(frozen=True)
class Tool:
    """A Go program, its package, and the version that the charts are tested with."""

    name: str
    package: str
    version: str

    def path(self) -> Path:
        """The path of the program, which is built if necessary. Raises MissingToolError."""
        if found := shutil.which(self.name):
            return Path(found)
        built = FOLDER / f"{self.name}-{self.version}" / self.name
        if not built.exists():
            self._build(built.parent)
        return built

    def _build(self, folder: Path) -> None:
        if not shutil.which("go"):
            raise MissingToolError(f"{self.name} is not on the PATH, and there is no Go to build it with")
        print(f"building {self.name} {self.version} (some minutes the first time)", file=sys.stderr)
        environment = os.environ | {"GOBIN": str(folder), "CGO_ENABLED": "0"}
        command = ["go", "install", "-trimpath", "-ldflags=-s -w", f"{self.package}@{self.version}"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS)
        if done.returncode != 0:
            raise MissingToolError(
                f"{self.name} is not on the PATH and cannot be built: {done.stderr.strip().splitlines()[-1]}"
            )


HELM = Tool("helm", "helm.sh/helm/v3/cmd/helm", "v3.22.0")
HELM_DOCS = Tool("helm-docs", "github.com/norwoodj/helm-docs/cmd/helm-docs", "v1.14.2")
KUBE_LINTER = Tool("kube-linter", "golang.stackrox.io/kube-linter/cmd/kube-linter", "v0.8.3")


if __name__ == "__main__":
    for tool in (HELM, HELM_DOCS, KUBE_LINTER):
        if tool.name in sys.argv[1:]:
            try:
                print(tool.path())
            except MissingToolError as missing:
                sys.exit(f"error: {missing}")
