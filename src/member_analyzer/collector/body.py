"""The body of a request: read as it comes, never more of it than is allowed, whatever its headers say."""

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

LARGEST_BYTES = 2**20
MOST_RECORDS = 1000
MOST_DISCARDED_BYTES = 8 * LARGEST_BYTES
SECONDS_TO_SEND = 30
BYTES_AT_ONCE = 4096

LAST_ANSWER = {"Connection": "close"}

_TOO_LARGE = f"The body has more than {LARGEST_BYTES:,} bytes, or has more of them when it is decompressed."


async def read_body(request: Request) -> bytes:
    """The bytes of a JSON body, still compressed. Raises ProblemError: 408, 413, 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the members with Content-Type: application/json.")
    if encoding_of(request) not in ("identity", "gzip"):
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "Send the members with Content-Encoding: gzip, or without this header.",
            headers={"Accept-Encoding": "gzip, identity"},
        )
    try:
        with anyio.fail_after(SECONDS_TO_SEND):
            return await _read_stream(request)
    except TimeoutError:
        raise ProblemError(
            HTTPStatus.REQUEST_TIMEOUT, f"The body did not come within {SECONDS_TO_SEND} seconds.", headers=LAST_ANSWER
        ) from None


async def _read_stream(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MOST_DISCARDED_BYTES:
            break
        # Who sends too much is read on for a while, or the answer is lost together with the connection.
        if size <= LARGEST_BYTES:
            chunks.append(chunk)
    if size > LARGEST_BYTES:
        raise too_large()
    return b"".join(chunks)


def encoding_of(request: Request) -> str:
    """How the body is encoded, as its header says."""
    return request.headers.get("content-encoding", "").strip().lower() or "identity"


def too_large() -> ProblemError:
    """The problem of a body that is too large; what is left of it is not read, so the connection ends."""
    return ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE, headers=LAST_ANSWER)


def decompress(body: bytes) -> bytes:
    """What gzip made the body of, if that is not too large. Raises ProblemError: 400, 413."""
    plain = bytearray()
    position = 0
    stream = zlib.decompressobj(wbits=31)
    while position < len(body):
        if stream.eof:
            stream = zlib.decompressobj(wbits=31)
        # In pieces: what follows a member of gzip is copied, and a body may consist of thousands of empty ones.
        piece = body[position : position + BYTES_AT_ONCE]
        try:
            plain += stream.decompress(piece, LARGEST_BYTES + 1 - len(plain))
        except zlib.error:
            raise _unreadable("is not what gzip writes") from None
        if len(plain) > LARGEST_BYTES:
            raise too_large()
        position += len(piece) - len(stream.unused_data)
    if body and not stream.eof:
        raise _unreadable("ends before gzip's end")
    return bytes(plain)


def parse_records(body: bytes) -> list[object]:
    """The records of a body: of one object, of an array, or of the whole answer of a user API.

    A byte order mark before the JSON is skipped. Raises ProblemError: 400, 422.
    """
    value = _parse(body.removeprefix(codecs.BOM_UTF8))
    if _is_answer(value):
        value = value["results"]
    records = value if isinstance(value, list) else [value]
    if not isinstance(value, dict | list):
        _refuse("neither a JSON object nor an array of them")
    if not 1 <= len(records) <= MOST_RECORDS:
        _refuse(f"an array of {len(records):,} records")
    return records


def _is_answer(value: Any) -> bool:
    """Whether it is what a user API answers, and not a member with a field of that name, which members have not."""
    if not isinstance(value, dict) or not isinstance(value.get("results"), list):
        return False
    return value.keys().isdisjoint(MEMBER.names) and not is_random_user(value)


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    # It may still be JSON: a lone surrogate or a number out of range spoil their own record only.
    try:
        return json.loads(body.decode(), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise _unreadable(f"is not JSON: {error.msg} at character {error.pos}") from None
    except UnicodeDecodeError as error:
        raise _unreadable(f"is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise _unreadable("is nested too deeply") from None
    except ValueError as error:
        raise _unreadable(f"holds a number that cannot be read: {error}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _refuse(what: str) -> NoReturn:
    raise ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY, f"The body is {what}: send one member, or an array of 1 to {MOST_RECORDS:,}."
    )


def _unreadable(why: str) -> ProblemError:
    return ProblemError(HTTPStatus.BAD_REQUEST, f"The body {why}.")
