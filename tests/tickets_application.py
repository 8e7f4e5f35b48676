"""The Spark application of the streams in `tickets`: runs them, or, with the argument `recount`, counts them again."""

import sys

from member_analyzer.analysis.connection import connect_cassandra
from member_analyzer.analysis.recount import recount
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.logs import configure_logs
from member_analyzer.settings import CassandraSettings, StreamSettings
from member_analyzer.spark.session import spark_session, stop_session
from member_analyzer.streaming.application import run_streams
from tickets import RETURNS, TICKETS

configure_logs()
if sys.argv[1:] == ["recount"]:
    spark = spark_session("recount_tickets", CassandraSettings(), StreamSettings())
    try:
        with connect_cassandra(CassandraSettings()) as session:
            for definition in (TICKETS, RETURNS):
                tables = AnalysisTables(session, CassandraSettings().keyspace, definition)
                recount(spark, tables, CassandraSettings())
    finally:
        stop_session(spark)
else:
    run_streams([TICKETS, RETURNS], name="tickets")
