"""What a client asks, over whatever transport."""

from typing import Any

import msgspec


class Request(msgspec.Struct, rename="camel"):
    """The names are those of GraphQL over HTTP, and of the payload of a `subscribe` over a websocket."""

    query: str | None = None
    operation_name: str | None = None
    variables: dict[str, Any] | None = None
    extensions: dict[str, Any] | None = None
    document_id: str | None = None
    """Its document's hash, for its text."""

    @property
    def is_empty(self) -> bool:
        """Whether there is neither a document nor what may stand for one."""
        return not (self.query or self.extensions or self.document_id)
