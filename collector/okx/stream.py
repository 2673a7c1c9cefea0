"""One websocket connection to OKX, kept alive: it pings, reconnects and subscribes again by itself."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from limits import RateLimitItemPerHour, RateLimitItemPerSecond
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import backoff
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.uri import parse_uri

from collector.okx.pace import Pace
from collector.okx.protocol import PING, Arg, Event, Refused
from collector.okx.session import PONG_WITHIN, Session

CONNECTIONS = RateLimitItemPerSecond(3)
REQUESTS = RateLimitItemPerHour(480)
"""Subscribes and unsubscribes of one connection."""
OPEN_TIMEOUT = SEND_TIMEOUT = 10.0
CLOSE_TIMEOUT = 2.0
MAX_FRAME = 2**20
"""Bytes. The largest frame, a snapshot of 400 levels, takes about 40 thousand."""
TOGETHER = 100
"""Events, about, that are taken in one turn, between two looks at what is to be sent."""
STABLE_AFTER = 60.0
"""A connection that lasted this long was a good one: the next reconnect is quick again."""

_quickly_at_first = partial(backoff, initial_delay=1.0, min_delay=1.0, max_delay=60.0, factor=2.0)


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection is open. Nothing is subscribed yet."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is gone, or an attempt to open one failed. Another follows."""

    reason: str


StreamEvent = Event | Connected | Disconnected


class OKXStream:
    """A websocket of OKX and what it is subscribed to.

    While nothing is wanted it stays unconnected, because the server hangs up on a connection without subscription.

    Args:
        url: Such as wss://ws.okx.com:8443/ws/v5/public.
        args: Wanted from the start.
        pace: The process's rate windows.
        delays: Makes the seconds to wait before each reconnect, anew after a stable connection. The first is up to
            a second, at random; later ones double to a minute.

    Raises:
        websockets.exceptions.InvalidURI: `url` is no websocket address.
    """

    session: Session | None
    """The state of the connection that is open."""

    def __init__(
        self,
        url: str,
        args: Iterable[Arg] = (),
        *,
        pace: Pace,
        delays: Callable[[], Iterator[float]] = _quickly_at_first,
    ) -> None:
        parse_uri(url)
        self.url = url
        self.session = None
        self._socket: ClientConnection | None = None
        self._pace = pace
        self._delays = delays
        self._wanted: dict[Arg, None] = {}
        self._anything_wanted = asyncio.Event()
        self._want(args)

    async def events(self) -> AsyncGenerator[StreamEvent, None]:
        """What happens, in order and without end. Cancelling or aclose() closes the connection.

        Iterate without long pauses: pings are sent, and pongs read, between one event and the next. An arg that the
        exchange refuses comes out as a Refused and is wanted no more; the others go on.
        """
        clock = asyncio.get_running_loop().time
        delays = self._delays()
        while True:
            await self._anything_wanted.wait()
            await self._pace.wait(CONNECTIONS, "okx")
            began = clock()
            try:
                socket = await self._connect()
                try:
                    session = Session(self._wanted, clock())
                    self.session, self._socket = session, socket
                    yield Connected()
                    while self._wanted and not session.is_ending:
                        events = await self._turn(socket, session)
                        for event in events:
                            yield event
                        if len(events) >= TOGETHER:
                            await asyncio.sleep(0)  # a backlog alone would keep the loop from everybody else
                finally:
                    self.session = self._socket = None
                    await _close(socket)
                reason = "the exchange announced its end" if session.is_ending else "nothing is wanted any more"
            except (OSError, WebSocketException) as error:
                reason = f"{type(error).__name__}: {error}"
            yield Disconnected(reason)
            if clock() - began >= STABLE_AFTER:
                delays = self._delays()
            await asyncio.sleep(next(delays))

    async def subscribe(self, *args: Arg) -> None:
        """Want these args too, on this connection and on those that follow."""
        self._want(args)
        if self._socket is not None and self.session is not None:
            self.session.subscribe(args)
            await self._send_at_once(self._socket, self.session)

    async def unsubscribe(self, *args: Arg) -> None:
        """Want these args no more."""
        self._unwant(args)
        if self._socket is not None and self.session is not None:
            self.session.unsubscribe(args)
            await self._send_at_once(self._socket, self.session)

    def _want(self, args: Iterable[Arg]) -> None:
        self._wanted.update(dict.fromkeys(args))
        if self._wanted:
            self._anything_wanted.set()

    def _unwant(self, args: Iterable[Arg]) -> None:
        for arg in args:
            self._wanted.pop(arg, None)
        if not self._wanted:
            self._anything_wanted.clear()

    def _connect(self) -> connect:
        # No ping frames of websockets: the exchange counts text frames only.
        return connect(
            self.url,
            user_agent_header="candleql",
            open_timeout=OPEN_TIMEOUT,
            close_timeout=CLOSE_TIMEOUT,
            ping_interval=None,
            max_size=MAX_FRAME,
        )

    async def _turn(self, socket: ClientConnection, session: Session) -> list[Event]:
        """Send what is due, then take what is there, or wait for a frame until it is time to send again."""
        clock = asyncio.get_running_loop().time
        await self._send(socket, session)
        events: list[Event] = []
        try:
            # At least a moment, so that a pong behind a backlog is read before it counts as missing.
            async with asyncio.timeout_at(max(session.wake_at(), clock() + 0.05)):
                events += session.received(await socket.recv(decode=True), clock())
                # A timeout costs as much as to parse a frame: those that wait already share one.
                while socket.recv_messages.frames and len(events) < TOGETHER:
                    events += session.received(await socket.recv(decode=True), clock())
        except TimeoutError:
            if not events and session.is_overdue(clock()):
                raise TimeoutError(f"no pong within {PONG_WITHIN:g} s") from None
        except WebSocketException:
            if not events:  # otherwise the next turn meets it again
                raise
        self._unwant(event.arg for event in events if isinstance(event, Refused) and event.arg is not None)
        return events

    async def _send(self, socket: ClientConnection, session: Session) -> None:
        for frame in session.frames(asyncio.get_running_loop().time()):
            if frame != PING:
                await self._pace.wait(REQUESTS, str(socket.id))
            async with asyncio.timeout(SEND_TIMEOUT):
                await socket.send(frame)

    async def _send_at_once(self, socket: ClientConnection, session: Session) -> None:
        with suppress(ConnectionClosed, TimeoutError):  # events() notices, and the next connection asks for all
            await self._send(socket, session)


async def _close(socket: ClientConnection) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(socket.close())
        # What is unread must be, or the exchange's side of the closing handshake stays behind it.
        with suppress(ConnectionClosed):
            while True:
                await socket.recv()
