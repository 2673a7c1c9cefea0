"""Websocket frames made once and written to many connections."""

from collections.abc import Awaitable, Callable
from struct import Struct
from typing import cast

from starlette.types import Message, Scope
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_EXTENSION = "candleql.connection"
_TEXT = 0x81
"""A whole text message (RFC 6455, 5.2), not compressed: the protocol allows that on any connection."""
_SHORT, _MEDIUM, _LONG = Struct("!BB"), Struct("!BBH"), Struct("!BBQ")


class Connection(WebSocketsSansIOProtocol):
    """uvicorn's websocket, which also takes ready frames; for uvicorn's setting `ws`. `on_lost` hears of its end."""

    on_lost: Callable[[], None] | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self.on_lost is not None:
            self.on_lost()
        super().connection_lost(exc)
        self.conn.receive_eof()  # ends its parser, which would refer to it for ever

    async def run_asgi(self) -> None:
        extensions = {**(self.scope["extensions"] or {}), _EXTENSION: cast("dict[object, object]", self)}
        self.scope["extensions"] = extensions
        try:
            await super().run_asgi()
        finally:
            del extensions[_EXTENSION]  # or scope and connection would refer to each other for ever

    def send(self, message: Message) -> Awaitable[None]:  # type: ignore[override]
        # uvicorn takes a handshake that was refused by a whole answer for one that was forgotten, and logs an error.
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True
        return super().send(message)  # type: ignore[arg-type]  # Starlette's word for the same

    def write(self, frames: bytes) -> bool:
        """Write whole frames now; False, and nothing is written, while the client reads too slowly.

        On a connection that is closing they go nowhere.
        """
        if not self.writable.is_set():
            return False
        if not (self.close_sent or self.disconnected or self.transport.is_closing()):
            self.transport.write(frames)
        return True


def connection_of(scope: Scope) -> Connection | None:
    """The connection under an application's websocket; None under another server than ours."""
    return cast("Connection | None", scope.get("extensions", {}).get(_EXTENSION))


def text_frame(text: bytes) -> bytes:
    """The frame of a message from a server, which is not masked."""
    size = len(text)
    if size < 126:
        return _SHORT.pack(_TEXT, size) + text
    if size < 1 << 16:
        return _MEDIUM.pack(_TEXT, 126, size) + text
    return _LONG.pack(_TEXT, 127, size) + text
