"""Connections: how they are read, and how long they are waited for. uvicorn by itself waits for ever."""

import asyncio
import socket
import sys
from functools import partial
from http import HTTPStatus
from typing import Any, cast

from httptools import HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gql.door import LINGERING
from gql.errors import BAD_USER_INPUT
from gql.frames import Connection
from gql.guests import Guests, last_words
from gql.turns import SLICE, Flow, Unread

_HEAD = 65_536
"""Bytes of a request's head."""
_HEADERS = 100
_LINE = 8_000
"""Bytes of a line in a websocket's handshake: beyond 8,192 `websockets` fails, and uvicorn with it."""
_BLOCKED = 65_536
"""So many unsent bytes, and whoever writes waits: from here on the number can only fall, if the client reads."""


class HTTPConnection(HttpToolsProtocol):
    """uvicorn's, for its setting `http`: as partial(HTTPConnection, guests).

    It is read a slice at a time, so that others have their turn, and no further than to the end of a request until that
    is answered: what is kept meanwhile is what the network gave at once. Cut off is a request that does not arrive in
    time or whose head is too long, and a client that does not read.
    """

    flow: Flow

    def __init__(self, guests: Guests, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._guests = guests
        self._turns = guests.turns
        self._patience = guests.limits.request_seconds
        # Chunks may have a head as long as themselves; and what they make is measured elsewhere.
        self._most = _HEAD + 8 * guests.limits.body_bytes
        self._timer: asyncio.TimerHandle | None = None
        self._answering: RequestResponseCycle | None = None
        self._awaited_since: float | None = None
        self._idle_since: float | None = None
        self._unread = Unread()
        self._in_body = False
        self._body_left = 0
        self._received = 0
        self._last_words = _MALFORMED
        self._farewell: asyncio.TimerHandle | None = None
        self._taken = 0
        self._without_offer = b""
        self._unsent = 0
        self._unsent_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = Flow(transport, self._go_on)
        refusal = self._guests.come(self.client)
        if refusal is not None:
            transport.write(refusal)
            transport.close()
            return
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Who vanished acknowledges nothing: a stream's heartbeats would go on for a quarter of an hour.
            held: socket.socket = transport.get_extra_info("socket")
            held.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(self._patience * 1000))
        self._awaited_since = self.loop.time()
        self._timer = self.loop.call_later(self._patience, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._disconnect()
        self._forget()
        self._unread.clear()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        if cycle.scope["http_version"] == "1.0":
            cycle.waiting_for_100_continue = False  # nor may it be told that (RFC 9110, 10.1.1)
            app = partial(_without_chunks, cycle, app)
        super()._start_asgi_task(cycle, app)

    def data_received(self, data: bytes) -> None:
        if self._farewell is None:
            self._unread.add(data)
            if not self._turns.is_asked(self._read):
                self._read()

    def _read(self) -> None:
        """Parse a slice. What is left has to wait for others, the application, or the answer to what was asked."""
        left = SLICE
        while self._unread and left > 0 and self._is_wanted():
            piece = self._unread.take(self._body_left)
            left -= len(piece)
            self._idle_since = None
            if self._awaited_since is None:
                self._awaited_since = self.loop.time()
            self._received += len(piece)
            self._feed(piece)
            if self._received > (self._most if self._in_body else _HEAD):
                self._stop_flood()
        self._go_on()

    def _is_wanted(self) -> bool:
        """Whether there is use for more: a request that came whole is answered before the next is parsed."""
        is_answered = self.cycle is None or self.cycle.response_complete
        return (is_answered or self._in_body) and not self.flow.read_paused

    def _go_on(self) -> None:
        """Take nothing more from the network until everything is read."""
        if self.parser is None or self._farewell is not None or self.transport.is_closing():
            self._unread.clear()
        elif not self._unread and not self.flow.read_paused:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()
            if self._unread and self._is_wanted():
                self._turns.ask(self._read)

    def _feed(self, rest: memoryview) -> None:
        """Have it parsed. A request that offers an upgrade other than to a websocket goes on in HTTP/1.1, with its body
        (RFC 9110, 7.8): the parser would drop that, so a new one gets the same head without the offer."""
        while rest and self.parser is not None and self._farewell is None and not self.transport.is_closing():
            self._taken = len(rest)
            super().data_received(rest)  # type: ignore[arg-type]  # the parser takes any buffer
            rest = rest[self._taken :]
            if self._without_offer:
                head, self._without_offer = self._without_offer, b""
                self.parser = HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
                super().data_received(head)

    def _stop_flood(self) -> None:
        """A body that is answered already is thrown away instead: gql.door says for how long."""
        if not (self._in_body and self.cycle is not None and self.cycle.response_started):
            self._cut_off(_LONG_HEAD)

    def _unsupported_upgrade_warning(self) -> None:
        [self._taken] = cast("HttpParserUpgrade", sys.exception()).args

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._awaited_since is None:  # it came with the end of another
            self._awaited_since = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) == _HEADERS:
            self._last_words = _LONG_HEAD
            raise ValueError("too many headers")  # stops the parser, which has uvicorn refuse the request
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_body = True
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT" and not self._should_upgrade():
            kept = [b": ".join(header) for header in self.headers if header[0] != b"upgrade"]
            version = self.parser.get_http_version().encode()
            line = b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)
            self._without_offer = b"\r\n".join([line, *kept, b"", b""])
            return
        super().on_headers_complete()
        # Trailers, which come after a body in chunks, would get among the headers after those were looked at.
        self.scope["headers"] = self.headers.copy()
        self._body_left = next((int(value) for name, value in self.headers if name == b"content-length"), 0)

    def on_body(self, body: bytes) -> None:
        self._body_left -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._without_offer:
            return  # it is the parser's view that it ends here
        super().on_message_complete()
        self._awaited_since = None
        self._in_body = False
        self._body_left = 0
        self._received = 0

    def on_response_complete(self) -> None:
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        # As uvicorn's, without a timer of its own for the next request: _look sees to that.
        self.server_state.total_requests += 1
        self.flow.read_paused = False
        self._idle_since = self.loop.time()
        self._go_on()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 -- uvicorn's is plain text
        self._cut_off(self._last_words)

    def handle_websocket_upgrade(self) -> None:
        if max(len(self.url), *(len(name) + len(value) for name, value in self.headers)) > _LINE:
            self._cut_off(_LONG_HEAD)
            return
        super().handle_websocket_upgrade()
        self._awaited_since = None
        protocol = cast("asyncio.Protocol", self.transport.get_protocol())
        if isinstance(protocol, Connection):
            protocol.on_lost = self._leave
            protocol.turns = self._turns
        else:
            self._leave()
        self._forget()
        self.transport.resume_reading()
        if rest := self._unread.clear():  # it spoke before it was welcome
            protocol.data_received(rest)

    def _forget(self) -> None:
        """What refers to this connection, and would do so for ever."""
        self.parser = None  # type: ignore[assignment]
        self.flow.go_on = _nothing
        self._turns.drop(self._read)
        if self._farewell is not None:
            self._farewell.cancel()

    def _leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._guests.go(self.client)

    def _look(self) -> None:
        """See whether the client does its part. One timer a connection, not one a request: those would cost more."""
        now = self.loop.time()
        wait = self._patience
        if self._awaited_since is not None:
            wait -= now - self._awaited_since
            if wait <= 0:
                self._cut_off(_LATE)
                self._awaited_since, wait = None, self._patience
        elif self._idle_since is not None and now - self._idle_since >= self.timeout_keep_alive:
            self.transport.close()
        unsent = self.transport.get_write_buffer_size()
        if unsent < max(self._unsent, 1) or not (unsent >= _BLOCKED or self.transport.is_closing()):
            self._unsent_since = now
        elif now - self._unsent_since >= self._patience:
            self._disconnect()
            self.transport.abort()
        self._unsent = unsent
        self._timer = self.loop.call_later(wait, self._look)

    def _disconnect(self) -> None:
        """Have nothing more written. uvicorn does so for the last request that came, not for the one being answered."""
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()

    def _cut_off(self, final: bytes) -> None:
        """Say why, and close when the client has had time to read it: a connection that is closed with something unread
        is reset, and what was written last would be lost with it (RFC 9112, 9.6)."""
        if self._farewell is not None or self.transport.is_closing():
            return
        self._unread.clear()
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.close()
            return
        self._disconnect()
        self.transport.write(final)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.transport.resume_reading()
        self._farewell = self.loop.call_later(LINGERING, self.transport.close)


async def _without_chunks(cycle: RequestResponseCycle, app: Any, scope: Any, receive: Any, send: Any) -> None:
    """`app` for HTTP/1.0, which knows no chunks: an answer of unknown length ends by closing (RFC 9112, 6.1)."""
    has_length = False

    async def whole(message: Any) -> None:
        nonlocal has_length
        if message["type"] == "http.response.start":
            has_length = any(name.lower() == b"content-length" for name, _ in message.get("headers", ()))
            cycle.chunked_encoding = None if has_length else False
        elif not has_length:
            cycle.expected_content_length = len(message.get("body", b""))  # uvicorn counts down from what was announced
        await send(message)

    await app(scope, receive, whole)


def _nothing() -> None:
    pass


_LONG_HEAD = last_words(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "The request's head is too long", BAD_USER_INPUT)
_LATE = last_words(HTTPStatus.REQUEST_TIMEOUT, "The request did not arrive in time", BAD_USER_INPUT)
_MALFORMED = last_words(HTTPStatus.BAD_REQUEST, "That is not HTTP", BAD_USER_INPUT)
