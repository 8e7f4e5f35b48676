"""What was answered to requests with an Idempotency-Key, so that a repeated request is answered the same."""

import hashlib
from datetime import timedelta
from http import HTTPStatus

from member_analyzer.landing import Connection
from member_analyzer.problem import ProblemError


def fingerprint(method: str, path: str, body: bytes) -> bytes:
    """What makes a request the same as another."""
    return hashlib.sha256(b"\0".join((method.encode(), path.encode(), body))).digest()


def find_answer(
    connection: Connection, api_key: str, idempotency_key: str, wanted: bytes, keep: timedelta
) -> bytes | None:
    """The answer to an earlier request of this key that is the same; waits for one that is being answered now.

    Nobody else answers a request of the same key until the transaction ends. Raises ProblemError (422) where the
    earlier request was another one.
    """
    # Two statements: the second has to see what was committed while the first waited.
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{api_key} {idempotency_key}",))
    row = connection.execute(
        "SELECT fingerprint, answer FROM landing.requests "
        "WHERE api_key = %s AND idempotency_key = %s AND answered_at > clock_timestamp() - %s",
        (api_key, idempotency_key, keep),
    ).fetchone()
    if row is None:
        return None
    if row[0] != wanted:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "This Idempotency-Key was used for another request: choose a new one for each request.",
        )
    return bytes(row[1])


def keep_answer(connection: Connection, api_key: str, idempotency_key: str, wanted: bytes, answer: bytes) -> None:
    """Keep the answer to a request; in the transaction that makes it true."""
    connection.execute(
        """
        INSERT INTO landing.requests (api_key, idempotency_key, fingerprint, answer) VALUES (%s, %s, %s, %s)
        ON CONFLICT (api_key, idempotency_key) DO UPDATE
        SET fingerprint = excluded.fingerprint, answer = excluded.answer, answered_at = excluded.answered_at
        """,
        (api_key, idempotency_key, wanted, answer),
    )


def forget_answers(connection: Connection, keep: timedelta) -> int:
    """Delete the answers that are older than this; gives how many."""
    return connection.execute(
        "DELETE FROM landing.requests WHERE answered_at < clock_timestamp() - %s", (keep,)
    ).rowcount
