"""One open websocket to OKX and the session on it."""

import asyncio
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from typing import Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from collector.okx.pace import Limit, Turns, turns_of
from collector.okx.protocol import PING, Arg, Event
from collector.okx.session import PONG_WITHIN, Session
from repos.proxies import proxy_for

CONNECTIONS = Limit(3, 1.0)
REQUESTS = Limit(480, 3600.0)
"""Subscribes and unsubscribes of one connection."""
OPEN_TIMEOUT = SEND_TIMEOUT = 10.0
CLOSE_TIMEOUT = 2.0
MAX_FRAME = 2**20
"""Bytes. The largest frame, a snapshot of 400 levels, takes about 40 thousand."""
TOGETHER = 100
"""Events, about, that are taken in one turn, between two looks at what is to be sent."""
_MOMENT = 0.05


class Connection:
    """A connection that is open, to be given its turn again and again, until one fails, and then closed."""

    session: Session

    def __init__(self, socket: ClientConnection, args: Iterable[Arg]) -> None:
        self.session = Session(args, asyncio.get_running_loop().time())
        self._socket = socket
        self._requests = Turns(REQUESTS)

    @classmethod
    async def open(cls, url: str, args: Iterable[Arg]) -> Self:
        """Connect to `url`, in the connection's place in the exchange's limits. `args` are looked at when it is open.

        Raises:
            OSError: The exchange can't be reached, in time.
            websockets.exceptions.WebSocketException: It does not want the connection.
        """
        async with turns_of("connections", CONNECTIONS):
            # No ping frames of websockets: the exchange counts text frames only.
            socket = await connect(
                url,
                proxy=proxy_for(url),
                user_agent_header="candleql",
                open_timeout=OPEN_TIMEOUT,
                close_timeout=CLOSE_TIMEOUT,
                ping_interval=None,
                max_size=MAX_FRAME,
            )
        return cls(socket, args)

    async def turn(self) -> list[Event]:
        """Send what is due, then take what is there, or wait for a frame until it is time to send again.

        Raises:
            TimeoutError: The exchange no longer answers, or takes nothing any more.
            websockets.exceptions.WebSocketException: The connection has ended.
        """
        clock = asyncio.get_running_loop().time
        await self._send()
        # While the session is ending another takes its place soon: it does not wait for long.
        until = clock() if self.session.is_ending else self.session.wake_at()
        events: list[Event] = []
        try:
            # At least a moment, so that a pong behind a backlog is read before it counts as missing.
            async with asyncio.timeout_at(max(until, clock() + _MOMENT)):
                events += self.session.received(await self._socket.recv(decode=True), clock())
                # A timeout costs as much as to parse a frame: those that wait already share one.
                while self._socket.recv_messages.frames and len(events) < TOGETHER:
                    events += self.session.received(await self._socket.recv(decode=True), clock())
        except TimeoutError:
            if not events and self.session.is_overdue(clock()):
                raise TimeoutError(f"no pong within {PONG_WITHIN:g} s") from None
        except WebSocketException:
            if not events:  # otherwise the next turn meets it again
                raise
        return events

    async def send_at_once(self) -> None:
        """Send what is due, without its turn. A connection that fails is left to its next turn."""
        with suppress(ConnectionClosed, TimeoutError):
            await self._send()

    async def close(self) -> list[Event]:
        """Close the connection, and return what the exchange had still sent."""
        clock = asyncio.get_running_loop().time
        events: list[Event] = []
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._socket.close())
            # What is unread must be, or the exchange's side of the closing handshake stays behind it.
            with suppress(ConnectionClosed):
                while True:
                    events += self.session.received(await self._socket.recv(decode=True), clock())
        return events

    async def _send(self) -> None:
        for frame in self.session.frames(asyncio.get_running_loop().time()):
            async with nullcontext() if frame == PING else self._requests, asyncio.timeout(SEND_TIMEOUT):
                await self._socket.send(frame)
