"""A stream's checkpoint on any Hadoop file system: its folders, and the offsets of its queries.

Each generation has a folder, which contains Spark's checkpoint folder of each query.
"""

import json
from typing import Any

from pyspark.sql import SparkSession

from member_analyzer.records.offsets import Offsets


class Checkpoint:
    """The checkpoint folder of one stream. Offsets are those of its single topic."""

    def __init__(self, spark: SparkSession, root: str, topic: str) -> None:
        java = spark.sparkContext._jvm
        # Looked up once: py4j searches every jar for each name.
        self._path = java.org.apache.hadoop.fs.Path  # type: ignore[union-attr]
        self._streams = java.org.apache.commons.io.IOUtils  # type: ignore[union-attr]
        self._files = self._path(root).getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
        # A file and its checksum are not replaced atomically: a crash in between would leave a file that fails
        # verification.
        self._files.setWriteChecksum(False)
        self._topic = topic
        self.root = root

    def folder(self, generation: str, *query: str) -> str:
        """Return the folder of a generation, or of one of its queries."""
        return "/".join((self.root, generation, *query))

    def empty(self) -> None:
        """Delete all generations."""
        for folder in self._find("*"):
            self._files.delete(folder.getPath(), True)

    def has_begun(self, generation: str, query: str) -> bool:
        """Whether a query has begun a batch."""
        return bool(self._find(f"{generation}/{query}/offsets/[0-9]*"))

    def has_committed(self, query: str) -> bool:
        """Whether a query has committed a batch, in any generation."""
        return bool(self._find(f"*/{query}/commits/[0-9]*"))

    def has_uncommitted(self, generation: str, query: str) -> bool:
        """Whether a query has an uncommitted batch."""

        def newest(kind: str) -> int:
            found = self._find(f"{generation}/{query}/{kind}/[0-9]*")
            return max((int(file.getPath().getName()) for file in found), default=-1)

        return newest("offsets") > newest("commits")

    def read_ends(self, generation: str, query: str, batch: int) -> Offsets:
        """Read the end offsets of a micro-batch, which Spark writes before it begins.

        The file has three lines: a version, the query's settings, and the offsets of its source.
        """
        file = self._files.open(self._path(f"{self.folder(generation, query)}/offsets/{batch}"))
        try:
            text = self._streams.toString(file, "UTF-8")
        finally:
            file.close()
        ends: dict[str, int] = json.loads(text.splitlines()[2])[self._topic]
        return {int(partition): end for partition, end in ends.items()}

    def read_committed_ends(self, generation: str, query: str) -> Offsets:
        """Read the end offsets of a query's last committed batch; empty if there is none."""
        batches = [int(file.getPath().getName()) for file in self._find(f"{generation}/{query}/commits/[0-9]*")]
        return self.read_ends(generation, query, max(batches)) if batches else {}

    def _find(self, pattern: str) -> list[Any]:
        return list(self._files.globStatus(self._path(self.root, pattern)) or [])
