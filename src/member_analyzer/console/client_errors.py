"""Messages for the errors of the servers' clients."""

import psycopg
from cassandra import OperationTimedOut
from cassandra.cluster import NoHostAvailable
from confluent_kafka import KafkaException

MAX_LENGTH = 300

# Part of a client's message -> the message to show.
MESSAGES = {
    "Broker transport failure": "Kafka brokers do not respond.",
    "Connection refused": "Connection refused.",
    "Read timed out": "Request timed out.",
}


def describe_error(error: BaseException) -> str:
    """The error as one line."""
    match error:
        case NoHostAvailable():
            # `errors` is a list of nodes or a dict of each node's error, depending on where the driver raises it.
            nodes = sorted(map(str, error.errors))
            text = f"No node responds: {', '.join(nodes)}." if nodes else "No node is up."
            causes = (
                dict.fromkeys(map(_describe_cause, error.errors.values())) if isinstance(error.errors, dict) else {}
            )
            text += "".join(f" {cause}" for cause in causes)
        case OperationTimedOut():
            text = "Request timed out."
        case psycopg.OperationalError() if "Connection refused" in str(error):
            text = "PostgreSQL refuses connections."
        case _:
            raw = error.args[0].str() if isinstance(error, KafkaException) else str(error)
            known = next((message for part, message in MESSAGES.items() if part in raw), None)
            text = known or _end_with_period(raw or type(error).__name__)
    text = " ".join(text.split())
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1]}…"


def _describe_cause(error: object) -> str:
    return describe_error(error) if isinstance(error, BaseException) else _end_with_period(str(error))


def _end_with_period(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
