"""The Spark Structured Streaming job: from the topic `users` into Cassandra. Submitted with spark-submit or Python."""

from member_analyzer.analysis.connection import await_cassandra, connect_cassandra
from member_analyzer.analysis.tables import AnalysisTables
from member_analyzer.kafka.reader import open_topic_reader
from member_analyzer.kafka.registry import registry_client
from member_analyzer.logs import configure_logs, exit_with_error
from member_analyzer.settings import CassandraSettings, KafkaSettings, RegistrySettings, StreamSettings
from member_analyzer.spark.session import spark_session, stop_session
from member_analyzer.streaming.dead_letters import DeadLetterProducer
from member_analyzer.streaming.job import MEMBERS, StreamError, StreamJob, StreamServers

# Among the groups that the stream's user may use.
READER_GROUP = "member-analyzer-stream-reader"


def main() -> None:
    """Run the stream until it is stopped."""
    configure_logs()
    cassandra, settings = CassandraSettings(), StreamSettings()
    # Java and its executors would only be in the way of a Cassandra that is coming up.
    await_cassandra(cassandra, settings.cassandra_wait)
    spark = spark_session("members_stream", cassandra, settings)
    try:
        with connect_cassandra(cassandra) as session, open_topic_reader(KafkaSettings(), group=READER_GROUP) as topics:
            tables = AnalysisTables(session, cassandra.keyspace, MEMBERS.record_type.name)
            registry = registry_client(RegistrySettings())
            dead_letters = DeadLetterProducer(KafkaSettings(), MEMBERS.rejected)
            servers = StreamServers(spark, KafkaSettings(), registry, cassandra, tables, topics, dead_letters)
            StreamJob(MEMBERS, servers, settings).run()
    except StreamError as error:
        exit_with_error(error)
    finally:
        stop_session(spark)


if __name__ == "__main__":
    main()
