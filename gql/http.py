"""The common case of GraphQL over HTTP, POST of JSON for JSON, with nothing between socket and operation."""

from typing import Any

import msgspec
import orjson
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send
from strawberry.types.execution import ExecutionResult


class Request(msgspec.Struct, rename="camel"):
    """What a client asks, over whatever transport."""

    query: str
    operation_name: str | None = None
    variables: dict[str, Any] | None = None
    extensions: dict[str, Any] | None = None


# msgspec keeps integers of any length, where orjson would make floats of them: a Decimal may have 38 digits.
_decode = msgspec.json.Decoder(Request).decode


def is_plain(scope: Scope) -> bool:
    """Whether JSON comes in a POST, and the client does not ask for a stream in return."""
    if scope["method"] != "POST":
        return False
    is_json = False
    for name, value in scope["headers"]:
        if name == b"content-type":
            is_json = value.partition(b";")[0].strip().lower() == b"application/json"
        elif name == b"accept" and (b"event-stream" in value or b"multipart" in value):
            return False
    return is_json


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


def replayed(body: bytes, receive: Receive) -> Receive:
    """`receive` as it was before the body was read."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return first.pop() if first else await receive()

    return again


def request_of(body: bytes) -> Request | None:
    """What is asked; None when the body is malformed."""
    try:
        return _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def printed(result: ExecutionResult) -> bytes:
    """What is sent of a result, over whatever transport: JSON. Its errors are as clients may see them."""
    content: dict[str, Any] = {"data": result.data}
    if result.errors:
        content["errors"] = [error.formatted for error in result.errors]
    if result.extensions:
        content["extensions"] = result.extensions
    return orjson.dumps(content)


async def send_json(send: Send, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """A whole response of status 200."""
    length = (b"content-length", b"%d" % len(body))
    start = [(b"content-type", b"application/json"), length, *headers]
    await send({"type": "http.response.start", "status": 200, "headers": start})
    await send({"type": "http.response.body", "body": body})
