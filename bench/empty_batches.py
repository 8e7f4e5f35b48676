"""Empty micro-batches of a Spark query, from a source that makes one row to a sink that takes it: the floor.

Prints, as JSON, the seconds from one micro-batch to the next and the seconds of a core that each took, once warm.
"""

import json
import tempfile
import time

import psutil
from processor import tree_seconds
from pyspark.sql import SparkSession

WARM_UP, MEASURED = 150, 150


def main() -> None:
    """Measure and print."""
    spark = SparkSession.builder.appName("empty_batches").config("spark.sql.shuffle.partitions", "2").getOrCreate()
    with tempfile.TemporaryDirectory() as checkpoint:
        query = (
            spark.readStream.format("rate-micro-batch")
            .option("rowsPerBatch", 1)
            .option("numPartitions", 1)
            .load()
            .writeStream.format("noop")
            .option("checkpointLocation", checkpoint)
            .start()
        )

        def wait_for(batch: int) -> tuple[float, float, int]:
            while (progress := query.lastProgress) is None or progress["batchId"] < batch:
                time.sleep(0.05)
            return time.monotonic(), tree_seconds(psutil.Process()), int(progress["batchId"])

        began, took, first = wait_for(WARM_UP)
        ended, taken, last = wait_for(first + MEASURED)
        query.stop()
    spark.stop()
    batches = last - first
    print(json.dumps({"seconds": (ended - began) / batches, "cpu": (taken - took) / batches}))


if __name__ == "__main__":
    main()
