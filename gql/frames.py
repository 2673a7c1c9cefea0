"""Websockets: read in turns, and frames made once and written to many connections."""

from collections.abc import Awaitable, Callable, Sequence
from struct import Struct
from typing import Any, cast

from starlette.status import WS_1008_POLICY_VIOLATION
from starlette.types import Message, Scope
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import DATA_OPCODES, Frame

from gql.turns import Turns

_EXTENSION = "candleql.connection"
_TEXT = 0x81
"""A whole text message (RFC 6455, 5.2), not compressed: the protocol allows that on any connection."""
_SHORT, _MEDIUM, _LONG = Struct("!BB"), Struct("!BBH"), Struct("!BBQ")


_SLICE = 512
"""Bytes that are read before others have their turn, if there was a frame in them: 85 frames at most."""
_SMALL = 64
"""Bytes of content below which a frame costs more to read than it says; pings and pongs always do."""
_SMALL_AT_ONCE = 1_000
_SMALL_A_SECOND = 100
_FAREWELL = 1.0
"""Seconds in which a client that is sent away may read why. What it says is thrown away meanwhile: a connection that
is closed with something unread is reset, and what was written last would be lost with it."""


class Connection(WebSocketsSansIOProtocol):
    """uvicorn's websocket, which also takes ready frames; for uvicorn's setting `ws`. `on_lost` hears of its end.

    It is read a slice at a time, and not while the application has a message to read. A client that sends more small
    frames than anybody needs is sent away with 1008, whatever it has said before.
    """

    on_lost: Callable[[], None] | None = None

    def __init__(self, *uvicorn: Any, **named: Any) -> None:
        super().__init__(*uvicorn, **named)
        self._unread = b""
        self.turns = Turns()
        """Those of all connections, once it is welcome."""
        self._is_sent_away = False
        self._small_left = float(_SMALL_AT_ONCE)
        self._small_since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        if not self.handshake_initiated:
            super().data_received(data)
        elif not self._is_sent_away:
            self._unread += data
            if not self.turns.is_asked(self._read):
                self._read()

    def _read(self) -> None:
        """Read until there was a frame. What is left has to wait for others, the handshake or the application."""
        while self._unread and self.handshake_complete and not self.read_paused:
            data, self._unread = self._unread[:_SLICE], self._unread[_SLICE:]
            self.conn.receive_data(data)
            if self.conn.parser_exc is not None:
                self._unread = b""
                self.handle_parser_exception()
            elif self.conn.events:
                self.handle_events()
                break
        self._go_on()

    def _go_on(self) -> None:
        """Take nothing more from the network until everything is read."""
        if self.transport.is_closing():
            self._unread = b""
        elif self._unread:
            self.transport.pause_reading()
            if self.handshake_complete and not self.read_paused:
                self.turns.ask(self._read)
        elif not self.read_paused:
            self.transport.resume_reading()

    def handle_events(self) -> None:
        if self._has_too_many_small(self.conn.events):
            self._send_away()
        else:
            super().handle_events()

    def _has_too_many_small(self, events: Sequence[object]) -> bool:
        now = self.loop.time()
        earned = _SMALL_A_SECOND * (now - self._small_since)
        self._small_left, self._small_since = min(self._small_left + earned, _SMALL_AT_ONCE), now
        self._small_left -= sum(isinstance(event, Frame) and _is_small(event) for event in events)
        return self._small_left < 0

    def _send_away(self) -> None:
        self._is_sent_away = True
        self._unread = b""
        self.frames = []
        self.stop_keepalive()
        reason = "Too many small frames"
        self.conn.fail(WS_1008_POLICY_VIOLATION, reason)
        self.conn.events.clear()
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.queue.put_nowait({"type": "websocket.disconnect", "code": WS_1008_POLICY_VIOLATION, "reason": reason})
        self.close_sent = True
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(_FAREWELL, self.transport.close)

    def handle_cont(self, event: Frame) -> None:
        if event.data or event.fin:  # uvicorn would keep the empty ones
            super().handle_cont(event)

    async def receive(self) -> Any:
        message = await super().receive()
        self._go_on()
        return message

    def connection_lost(self, exc: Exception | None) -> None:
        if self.on_lost is not None:
            self.on_lost()
        self.turns.drop(self._read)
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
        if message["type"] in ("websocket.accept", "websocket.close"):
            return self._send_and_go_on(message)
        return super().send(message)  # type: ignore[arg-type]  # Starlette's word for the same

    async def _send_and_go_on(self, message: Message) -> None:
        await super().send(message)  # type: ignore[arg-type]
        self._go_on()

    def write(self, frames: bytes) -> bool:
        """Write whole frames now; False, and nothing is written, while the client reads too slowly.

        On a connection that is closing they go nowhere.
        """
        if not self.writable.is_set():
            return False
        if not (self.close_sent or self.disconnected or self.transport.is_closing()):
            self.transport.write(frames)
        return True


def _is_small(frame: Frame) -> bool:
    return len(frame.data) < _SMALL or frame.opcode not in DATA_OPCODES


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
