"""Reads, decompresses and parses request bodies within size and time limits, whatever the headers claim."""

import codecs
import json
import zlib
from http import HTTPStatus
from typing import Any, NoReturn

import anyio
import orjson
from starlette.requests import Request

from member_analyzer.http.problem import ProblemError
from member_analyzer.streams.members.forms import is_random_user
from member_analyzer.streams.members.record import MEMBER

MAX_BODY_BYTES = 2**20
MAX_RECORDS = 1000
MAX_DISCARDED_BYTES = 2**23
BODY_TIMEOUT_SECONDS = 30
CHUNK_BYTES = 4096

CLOSE = {"Connection": "close"}


async def read_members(request: Request) -> bytes:
    """The bytes of a JSON body, still compressed. Raises ProblemError (408, 413, 415)."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the members with Content-Type: application/json.")
    if content_encoding(request) not in ("identity", "gzip"):
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "Send the members with Content-Encoding: gzip or without this header.",
            headers={"Accept-Encoding": "gzip, identity"},
        )
    return await read_body(request)


async def read_body(request: Request, limit: int = MAX_BODY_BYTES) -> bytes:
    """The bytes of a body, still compressed, of at most `limit` bytes. Raises ProblemError (408, 413)."""
    try:
        with anyio.fail_after(BODY_TIMEOUT_SECONDS):
            return await _read_stream(request, limit)
    except TimeoutError:
        raise ProblemError(
            HTTPStatus.REQUEST_TIMEOUT, f"The body did not arrive within {BODY_TIMEOUT_SECONDS} seconds.", headers=CLOSE
        ) from None


async def _read_stream(request: Request, limit: int) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_DISCARDED_BYTES:
            break
        # Closing the connection while the client still sends would lose the response, so read on for a while.
        if size <= limit:
            chunks.append(chunk)
    if size > limit:
        raise too_large(limit)
    return b"".join(chunks)


def content_encoding(request: Request) -> str:
    """The Content-Encoding of a request, in lower case."""
    return request.headers.get("content-encoding", "").strip().lower() or "identity"


def too_large(limit: int) -> ProblemError:
    """The problem of a body that is too large; its rest is not read, so the connection is closed."""
    detail = f"The body has more than {limit:,} bytes, before or after decompression."
    return ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, headers=CLOSE)


def decompress(body: bytes, limit: int = MAX_BODY_BYTES) -> bytes:
    """Decompress a gzip body to at most `limit` bytes. Raises ProblemError (400, 413)."""
    plain = bytearray()
    position = 0
    stream = zlib.decompressobj(wbits=31)
    while position < len(body):
        if stream.eof:
            stream = zlib.decompressobj(wbits=31)
        # In chunks, because zlib copies everything after a gzip member, and a body may contain thousands of empty ones.
        chunk = body[position : position + CHUNK_BYTES]
        try:
            plain += stream.decompress(chunk, limit + 1 - len(plain))
        except zlib.error:
            raise _unreadable("is not valid gzip") from None
        if len(plain) > limit:
            raise too_large(limit)
        position += len(chunk) - len(stream.unused_data)
    if body and not stream.eof:
        raise _unreadable("is truncated gzip")
    return bytes(plain)


def parse_records(body: bytes) -> list[object]:
    """The records of a body: one object, an array, or a complete user API response.

    Raises ProblemError (400, 422).
    """
    value = parse_json(body)
    if _is_user_api_response(value):
        value = value["results"]
    records = value if isinstance(value, list) else [value]
    if not isinstance(value, dict | list):
        _reject("neither a JSON object nor an array of objects")
    if not 1 <= len(records) <= MAX_RECORDS:
        _reject(f"an array of {len(records):,} records")
    return records


def _is_user_api_response(value: Any) -> bool:
    """Whether it is a user API response, and not a member with an additional field `results`."""
    if not isinstance(value, dict) or not isinstance(value.get("results"), list):
        return False
    return value.keys().isdisjoint(MEMBER.names) and not is_random_user(value)


def parse_json(body: bytes) -> Any:
    """The JSON value of a body. A byte order mark is skipped. Raises ProblemError (400)."""
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    # Python's parser accepts more: a lone surrogate or a number out of range then only invalidates its own record.
    try:
        return json.loads(body.decode(), parse_constant=_reject_constant)
    except json.JSONDecodeError as error:
        raise _unreadable(f"is not JSON: {error.msg} at character {error.pos}") from None
    except UnicodeDecodeError as error:
        raise _unreadable(f"is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise _unreadable("is nested too deeply") from None
    except ValueError as error:
        raise _unreadable(f"contains an invalid number: {error}") from None


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _reject(what: str) -> NoReturn:
    raise ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY, f"The body is {what}: send one member, or an array of 1 to {MAX_RECORDS:,}."
    )


def _unreadable(why: str) -> ProblemError:
    return ProblemError(HTTPStatus.BAD_REQUEST, f"The body {why}.")
