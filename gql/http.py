"""GraphQL over HTTP, by the draft of graphql/graphql-over-http: what is asked, in which words it is answered, and with
which status."""

from codecs import BOM_UTF8
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from math import ceil
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec
import orjson
from graphql import GraphQLError
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from strawberry.types.execution import ExecutionResult

from gql.errors import BAD_USER_INPUT, FORBIDDEN, INTERNAL, RATE_LIMITED, UNAUTHENTICATED, UNAVAILABLE, Refused
from gql.request import Request
from gql.results import has_data, printed

JSON = b"application/json; charset=utf-8"
RESPONSE = b"application/graphql-response+json; charset=utf-8"
EVENTS = b"text/event-stream"
_OFFERED = {b"application/graphql-response+json": RESPONSE, b"application/json": JSON, EVENTS: EVENTS}
_WILDCARDS = (b"*/*", b"application/*")

_STATUS = {
    UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    FORBIDDEN: HTTPStatus.FORBIDDEN,
    RATE_LIMITED: HTTPStatus.TOO_MANY_REQUESTS,
    UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""Of what is not answered at all, by the code of its first error, whatever the client reads."""

Headers = list[tuple[bytes, bytes]]


class HTTPAnswer(Exception):
    """A request is answered with this response, whatever its client reads; nothing was executed."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


class Accepted(NamedTuple):
    """What a client reads: the media type in which it wants a single answer, or None; a stream of events; a page."""

    media_type: bytes | None
    events: bool
    page: bool


# msgspec keeps integers of any length, where orjson would make floats of them: a Decimal may have 38 digits.
_decode = msgspec.json.Decoder(Request).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


def status_of(result: ExecutionResult, media_type: bytes) -> HTTPStatus:
    """The one policy. With data it is 200, even if some of it is missing: errors tell what.

    Without data the new media type says 400, where the old one keeps to 200 for a request that is well-formed, and a
    stream of events has begun.
    """
    if has_data(result):
        return HTTPStatus.OK
    [first, *_] = result.errors or [GraphQLError("")]
    status = _STATUS.get((first.extensions or {}).get("code", INTERNAL))
    return status or (HTTPStatus.BAD_REQUEST if media_type is RESPONSE else HTTPStatus.OK)


def media_of(scope: Scope) -> tuple[bytes | None, Accepted]:
    """The media type of the body, and what the client accepts.

    Raises:
        HTTPAnswer: The body is compressed.
    """
    content_type, accept = None, b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            content_type = value
        elif name == b"accept":
            accept = accept + b"," + value if accept else value
        elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            text = "The body must not be compressed: no Content-Encoding is taken"
            raise mistaken(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text, {"Accept-Encoding": "identity"})
    return content_type, accepted(accept)


@lru_cache(maxsize=256)
def is_json(content_type: bytes | None) -> bool:
    """Whether that is JSON in UTF-8."""
    media_type, *parameters = (part.strip().lower() for part in (content_type or b"").split(b";"))
    charsets = [part.partition(b"=")[2].strip(b'"') for part in parameters if part.startswith(b"charset=")]
    return media_type == b"application/json" and all(charset in (b"utf-8", b"utf8") for charset in charsets)


@lru_cache(maxsize=256)
def accepted(accept: bytes) -> Accepted:
    """What the header's text means (RFC 9110, 12.5.1); without one, or with a wildcard alone, JSON is assumed."""
    weights: dict[bytes, float] = {}
    for part in (accept or b"*/*").split(b","):
        media_type, *parameters = (piece.strip().lower() for piece in part.split(b";"))
        weights[media_type] = _weight(parameters)
    named = {ours: weights.pop(media_type, 0.0) for media_type, ours in _OFFERED.items()}
    if not named[JSON] and not named[RESPONSE]:
        named[JSON] = max((weights.get(wildcard, 0.0) for wildcard in _WILDCARDS), default=0.0)
    page = weights.get(b"text/html", 0.0) > max(named.values())  # as browsers weigh it, and no client of an API
    # Of equals the first: the new media type before the old one, and a stream of events last.
    media_type = max(named, key=lambda ours: named[ours])
    return Accepted(media_type if named[media_type] else None, named[EVENTS] > 0, page)


def _weight(parameters: list[bytes]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name.strip() == b"q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


async def body_of(receive: Receive) -> bytes:
    """The whole body.

    Raises:
        ClientDisconnect: The client went away before its end.
    """
    pieces = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)


def posted(body: bytes) -> Request:
    """What the JSON of a POST asks.

    Raises:
        HTTPAnswer: It is malformed.
    """
    try:
        return _decode(body.removeprefix(BOM_UTF8))  # which Windows' tools begin a file with
    except (msgspec.ValidationError, RecursionError) as error:
        wrong = str(error) or "nested too deeply"
        raise mistaken(HTTPStatus.BAD_REQUEST, f"The body is no GraphQL request: {wrong}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise mistaken(HTTPStatus.BAD_REQUEST, "The body is not JSON") from error


def asked_in(query_string: bytes) -> Request:
    """What the URL of a GET asks; empty parameters count as missing.

    Raises:
        HTTPAnswer: It is malformed.
    """
    try:
        given = dict(parse_qsl(query_string.decode(), errors="strict", max_num_fields=100))
        objects = {name: _decode_object(given[name]) for name in ("variables", "extensions") if name in given}
    except (ValueError, RecursionError) as error:  # msgspec's among them
        raise mistaken(HTTPStatus.BAD_REQUEST, "variables and extensions must be JSON objects") from error
    return Request(
        given.get("query"),
        given.get("operationName"),
        objects.get("variables"),
        objects.get("extensions"),
        given.get("documentId"),
    )


def mistaken(status: int, message: str, headers: Mapping[str, str] | None = None) -> HTTPAnswer:
    """The answer to a request that its client made wrong."""
    return HTTPAnswer(refusal(status, message, headers, code=BAD_USER_INPUT))


def json_response(content: object, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, JSON.decode())


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None, **extensions: str) -> Response:
    """An answer without data, for what went wrong outside of an operation."""
    return json_response({"errors": [{"message": message, "extensions": extensions}]}, status, headers)


async def send_result(send: Send, result: ExecutionResult, media_type: bytes, headers: Headers) -> None:
    """The whole response."""
    body = printed(result)
    status = 200
    if result.errors:
        status = status_of(result, media_type)
        headers = [*headers, *_headers_of(result, status)]
    start = [(b"content-type", media_type), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})


def response_of(refused: Refused) -> Response:
    """The whole response to what is not an operation."""
    result = ExecutionResult(None, refused.errors)
    status = status_of(result, RESPONSE)
    response = Response(printed(result), status, media_type=JSON.decode())
    response.raw_headers.extend(_headers_of(result, status))
    return response


def _headers_of(result: ExecutionResult, status: int) -> Headers:
    """What a status wants besides."""
    if status == HTTPStatus.UNAUTHORIZED:
        return [(b"www-authenticate", b"Bearer")]
    if status == HTTPStatus.TOO_MANY_REQUESTS and result.errors:
        seconds = (result.errors[0].extensions or {}).get("retryAfter", 1)
        return [(b"retry-after", b"%d" % ceil(seconds))]
    return []
