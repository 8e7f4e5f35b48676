"""Spark batch job: recounts the rows of the given streams, or all, and compares the live tables."""

import sys

from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.analysis.recount import RecountError, recount
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.logs import configure_logs, exit_with_error
from member_analyzer.settings import CassandraSettings, StreamSettings
from member_analyzer.spark.session import spark_session, stop_session
from member_analyzer.streams.catalog import STREAMS, find_stream


def main() -> None:
    """Recount the streams once."""
    configure_logs()
    cassandra = CassandraSettings()
    try:
        definitions = [find_stream(name) for name in sys.argv[1:] or STREAMS]
        spark = spark_session("recount", cassandra, StreamSettings())
        try:
            with connect_cassandra(cassandra) as session:
                for definition in definitions:
                    recount(spark, AnalysisTables(session, cassandra.keyspace, definition), cassandra)
        finally:
            stop_session(spark)
    except (RecountError, LookupError) as error:
        exit_with_error(error)


if __name__ == "__main__":
    main()
