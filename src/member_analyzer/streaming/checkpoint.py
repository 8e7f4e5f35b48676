"""A stream's checkpoint, wherever Hadoop finds it: which folders there are, and up to which offsets its queries came.

A generation has a folder of its own, and in it each query has one, as Spark lays them out.
"""

import json
from typing import Any

from pyspark.sql import SparkSession

from member_analyzer.records.offsets import Offsets


class Checkpoint:
    """The folder of one stream. Offsets are those of its one topic, by Kafka partition."""

    def __init__(self, spark: SparkSession, root: str, topic: str) -> None:
        java = spark.sparkContext._jvm
        # Looked up once: for each name that is used, py4j asks for a class of this name in every jar.
        self._path = java.org.apache.hadoop.fs.Path  # type: ignore[union-attr]
        self._streams = java.org.apache.commons.io.IOUtils  # type: ignore[union-attr]
        self._files = self._path(root).getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
        # A file and its checksum take the places of the ones before one after the other: a crash between the two would
        # leave a file that nobody may read any more.
        self._files.setWriteChecksum(False)
        self._topic = topic
        self.root = root

    def folder(self, generation: str, *query: str) -> str:
        """Where a generation, or one of its queries, keeps its checkpoint."""
        return "/".join((self.root, generation, *query))

    def empty(self) -> None:
        """Delete every generation."""
        for folder in self._find("*"):
            self._files.delete(folder.getPath(), True)

    def has_begun(self, generation: str, query: str) -> bool:
        """Whether a query began a batch."""
        return bool(self._find(f"{generation}/{query}/offsets/[0-9]*"))

    def has_committed(self, query: str) -> bool:
        """Whether a query ended a batch, in whichever generation."""
        return bool(self._find(f"*/{query}/commits/[0-9]*"))

    def has_uncommitted(self, generation: str, query: str) -> bool:
        """Whether a query began a batch that it did not end."""

        def newest(kind: str) -> int:
            found = self._find(f"{generation}/{query}/{kind}/[0-9]*")
            return max((int(file.getPath().getName()) for file in found), default=-1)

        return newest("offsets") > newest("commits")

    def read_ends(self, generation: str, query: str, batch: int) -> Offsets:
        """The next offsets behind a micro-batch, as Spark wrote them down before it began.

        The file is of three lines: a version, the query's settings, and its source's offsets.
        """
        file = self._files.open(self._path(f"{self.folder(generation, query)}/offsets/{batch}"))
        try:
            text = self._streams.toString(file, "UTF-8")
        finally:
            file.close()
        ends: dict[str, int] = json.loads(text.splitlines()[2])[self._topic]
        return {int(partition): end for partition, end in ends.items()}

    def read_committed_ends(self, generation: str, query: str) -> Offsets:
        """The next offsets behind a query's last batch that is over; empty without one."""
        batches = [int(file.getPath().getName()) for file in self._find(f"{generation}/{query}/commits/[0-9]*")]
        return self.read_ends(generation, query, max(batches)) if batches else {}

    def _find(self, pattern: str) -> list[Any]:
        return list(self._files.globStatus(self._path(self.root, pattern)) or [])
