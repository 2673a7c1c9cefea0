"""What a client says in graphql-transport-ws (PROTOCOL.md of enisdenjo/graphql-ws), message by message."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from gql.request import Request

Name = Annotated[str, msgspec.Meta(min_length=1)]
Payload = dict[str, Any] | None


class Init(msgspec.Struct, tag="connection_init"):
    payload: Payload = None


class Ping(msgspec.Struct, tag="ping"):
    payload: Payload = None


class Pong(msgspec.Struct, tag="pong"):
    payload: Payload = None


class Subscribe(msgspec.Struct, tag="subscribe"):
    id: Name
    payload: Request


class Complete(msgspec.Struct, tag="complete"):
    id: Name


Message = Init | Ping | Pong | Subscribe | Complete
_decode: Callable[[str], Message] = msgspec.json.Decoder(Message).decode


class Closed(Exception):
    """The connection ends here, with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def read(text: str | None) -> Message:
    """The message of a frame; None stands for one that is no text.

    Raises:
        Closed: It is none of the protocol.
    """
    if text is None:
        raise Closed(4400, "A message must be text")
    try:
        return _decode(text)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Closed(4400, f"Malformed message: {error}") from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Closed(4400, "A message must be JSON") from error
