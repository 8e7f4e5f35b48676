"""What makes a repeated request harmless: answers by Idempotency-Key, and the ids of records that came without one."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from http import HTTPStatus

from member_analyzer.http.problem import ProblemError
from member_analyzer.landing.connection import Connection


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


def fingerprint_records(api_key: str, records: Iterable[object]) -> list[bytes]:
    """What makes a record without an id the same as another: the API key, its content, and which of equal ones it is.

    The content is compared as JSON: neither white space nor the order of names matters. Equal records of one request
    are several members, so that the position among them counts.
    """
    earlier: Counter[bytes] = Counter()
    fingerprints = []
    for record in records:
        # ASCII, because a record may hold lone surrogates, which cannot be encoded.
        content = json.dumps(record, sort_keys=True, separators=(",", ":")).encode("ascii")
        fingerprints.append(hashlib.sha256(b"\0".join((api_key.encode(), b"%d" % earlier[content], content))).digest())
        earlier[content] += 1
    return fingerprints


def keep_ids(connection: Connection, ids: Mapping[bytes, str], keep: timedelta) -> dict[bytes, str]:
    """The id of each fingerprint: the one that it was given within this time, otherwise the one that is given now.

    Waits for a request with the same fingerprint that is being answered now, by this program or by another one, until
    it is committed or rolled back.
    """
    # Always in the same order, so that two requests with the same records never wait for each other.
    fingerprints = sorted(ids)
    rows = connection.execute(
        """
        INSERT INTO landing.given_ids AS kept (fingerprint, id)
        SELECT fingerprint, id FROM unnest(%(fingerprints)s::bytea[], %(ids)s::text[]) AS given (fingerprint, id)
        ON CONFLICT (fingerprint) DO UPDATE SET
            id = CASE WHEN kept.given_at > clock_timestamp() - %(keep)s::interval THEN kept.id ELSE excluded.id END,
            given_at = CASE
                WHEN kept.given_at > clock_timestamp() - %(keep)s::interval THEN kept.given_at ELSE excluded.given_at
            END
        RETURNING fingerprint, id
        """,
        {"fingerprints": fingerprints, "ids": [ids[one] for one in fingerprints], "keep": keep},
    )
    return {bytes(fingerprint): key for fingerprint, key in rows}


def forget_answers(connection: Connection, keep: timedelta) -> int:
    """Delete the answers and the given ids that are older than this; gives how many answers."""
    connection.execute("DELETE FROM landing.given_ids WHERE given_at < clock_timestamp() - %s::interval", (keep,))
    return connection.execute(
        "DELETE FROM landing.requests WHERE answered_at < clock_timestamp() - %s", (keep,)
    ).rowcount
