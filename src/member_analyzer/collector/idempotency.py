"""Idempotent requests: responses by Idempotency-Key, and stable ids for records that were sent without one."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from http import HTTPStatus

from member_analyzer.http.problem import ProblemError
from member_analyzer.landing.connection import Connection


def fingerprint_request(method: str, path: str, body: bytes) -> bytes:
    """A hash that is equal for equal requests."""
    return hashlib.sha256(b"\0".join((method.encode(), path.encode(), body))).digest()


def find_response(
    connection: Connection, api_key: str, idempotency_key: str, fingerprint: bytes, retention: timedelta
) -> bytes | None:
    """The stored response to the same request with this key; waits for one that is being processed now.

    It holds a lock on the key until the transaction ends. Raises ProblemError (422) if the key was used for a different
    request.
    """
    # Two statements: the second one must see what was committed while the first one waited.
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{api_key} {idempotency_key}",))
    row = connection.execute(
        "SELECT fingerprint, answer FROM landing.requests "
        "WHERE api_key = %s AND idempotency_key = %s AND answered_at > clock_timestamp() - %s",
        (api_key, idempotency_key, retention),
    ).fetchone()
    if row is None:
        return None
    if row[0] != fingerprint:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "This Idempotency-Key was used for a different request: use a new one for each request.",
        )
    return bytes(row[1])


def store_response(
    connection: Connection, api_key: str, idempotency_key: str, fingerprint: bytes, response: bytes
) -> None:
    """Store the response to a request; call it in the transaction that lands the request's records."""
    connection.execute(
        """
        INSERT INTO landing.requests (api_key, idempotency_key, fingerprint, answer) VALUES (%s, %s, %s, %s)
        ON CONFLICT (api_key, idempotency_key) DO UPDATE
        SET fingerprint = excluded.fingerprint, answer = excluded.answer, answered_at = excluded.answered_at
        """,
        (api_key, idempotency_key, fingerprint, response),
    )


def fingerprint_records(api_key: str, records: Iterable[object]) -> list[bytes]:
    """A hash for each record without an id, of the API key, the record's content, and its rank among equal records.

    The content is compared as JSON: neither white space nor the order of names matters. Equal records in one request
    are different members, which their ranks tell apart.
    """
    earlier: Counter[bytes] = Counter()
    fingerprints = []
    for record in records:
        # ASCII, because a record may contain lone surrogates, which cannot be encoded.
        content = json.dumps(record, sort_keys=True, separators=(",", ":")).encode("ascii")
        fingerprints.append(hashlib.sha256(b"\0".join((api_key.encode(), b"%d" % earlier[content], content))).digest())
        earlier[content] += 1
    return fingerprints


def assign_ids(connection: Connection, ids: Mapping[bytes, str], retention: timedelta) -> dict[bytes, str]:
    """The id of each fingerprint: the one assigned within the retention, otherwise the given one.

    Waits until a concurrent request with the same fingerprint, in this process or another one, commits or rolls back.
    """
    # Always in the same order, so that two requests with the same records cannot deadlock.
    fingerprints = sorted(ids)
    rows = connection.execute(
        """
        INSERT INTO landing.given_ids AS kept (fingerprint, id)
        SELECT fingerprint, id FROM unnest(%(fingerprints)s::bytea[], %(ids)s::text[]) AS given (fingerprint, id)
        ON CONFLICT (fingerprint) DO UPDATE SET
            id = CASE WHEN kept.given_at > clock_timestamp() - %(retention)s::interval
                THEN kept.id ELSE excluded.id END,
            given_at = CASE WHEN kept.given_at > clock_timestamp() - %(retention)s::interval
                THEN kept.given_at ELSE excluded.given_at END
        RETURNING fingerprint, id
        """,
        {"fingerprints": fingerprints, "ids": [ids[one] for one in fingerprints], "retention": retention},
    )
    return {bytes(fingerprint): key for fingerprint, key in rows}


def delete_expired(connection: Connection, retention: timedelta) -> int:
    """Delete responses and assigned ids that are older than the retention; return the number of responses."""
    connection.execute("DELETE FROM landing.given_ids WHERE given_at < clock_timestamp() - %s::interval", (retention,))
    return connection.execute(
        "DELETE FROM landing.requests WHERE answered_at < clock_timestamp() - %s", (retention,)
    ).rowcount
