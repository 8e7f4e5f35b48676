"""Kafka client options, for librdkafka and for Spark."""

from collections.abc import Mapping

from member_analyzer.settings import KafkaSettings


def client_options(settings: KafkaSettings) -> dict[str, str | int | float | bool]:
    """Return the connection options of librdkafka."""
    options: dict[str, str | int | float | bool] = {
        "bootstrap.servers": settings.bootstrap_servers,
        "security.protocol": settings.security_protocol,
        "sasl.mechanism": settings.sasl_mechanism,
        "sasl.username": settings.username,
        "sasl.password": settings.password.get_secret_value(),
    }
    if settings.ca_file is not None:
        options["ssl.ca.location"] = str(settings.ca_file)
    if not settings.verify_hostname:
        options["ssl.endpoint.identification.algorithm"] = "none"
    return options


def spark_options(settings: KafkaSettings) -> Mapping[str, str]:
    """Return the connection options of Spark's Kafka source and sink."""
    password = settings.password.get_secret_value().replace("\\", "\\\\").replace('"', '\\"')
    options = {
        "kafka.bootstrap.servers": settings.bootstrap_servers,
        "kafka.security.protocol": settings.security_protocol,
        "kafka.sasl.mechanism": settings.sasl_mechanism,
        "kafka.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required "
        f'username="{settings.username}" password="{password}";',
    }
    if settings.ca_file is not None:
        options |= {
            "kafka.ssl.truststore.type": "PEM",
            "kafka.ssl.truststore.location": str(settings.ca_file),
        }
    if not settings.verify_hostname:
        options["kafka.ssl.endpoint.identification.algorithm"] = ""
    return options
