"""What a server's client complains of, in words for people."""

import psycopg
from cassandra import OperationTimedOut
from cassandra.cluster import NoHostAvailable
from confluent_kafka import KafkaException

LONGEST = 300

# What the clients' own words come to.
PLAIN = {
    "Broker transport failure": "Kafka's brokers do not answer.",
    "Connection refused": "It refuses connections.",
    "Read timed out": "It did not answer in time.",
}


def explain(error: BaseException) -> str:
    """An error of a client on one line, as a message."""
    match error:
        case NoHostAvailable():
            # Some of its constructors give a list of nodes, others what each of them said.
            nodes = sorted(map(str, error.errors))
            text = f"No node answers: {', '.join(nodes)}." if nodes else "No node is known to be up."
            causes = dict.fromkeys(map(_cause, error.errors.values())) if isinstance(error.errors, dict) else {}
            text += "".join(f" {cause}" for cause in causes)
        case OperationTimedOut():
            text = "It did not answer in time."
        case psycopg.OperationalError() if "Connection refused" in str(error):
            text = "PostgreSQL refuses connections."
        case _:
            said = error.args[0].str() if isinstance(error, KafkaException) else str(error)
            plain = next((plain for words, plain in PLAIN.items() if words in said), None)
            text = plain or _sentence(said or type(error).__name__)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _cause(error: object) -> str:
    return explain(error) if isinstance(error, BaseException) else _sentence(str(error))


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
