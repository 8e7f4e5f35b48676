"""The Spark batch job of `user_analysis`: created_users against the live tables."""

from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.analysis.recount import RecountError, recount_members
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.logs import configure_logs, exit_with_error
from member_analyzer.settings import CassandraSettings, StreamSettings
from member_analyzer.spark.session import spark_session, stop_session
from member_analyzer.streaming.job import MEMBERS


def main() -> None:
    """Recount once."""
    configure_logs()
    cassandra = CassandraSettings()
    spark = spark_session("recount_members", cassandra, StreamSettings())
    try:
        with connect_cassandra(cassandra) as session:
            recount_members(spark, AnalysisTables(session, cassandra.keyspace, MEMBERS.record_type.name), cassandra)
    except RecountError as error:
        exit_with_error(error)
    finally:
        stop_session(spark)


if __name__ == "__main__":
    main()
