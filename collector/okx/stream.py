"""A websocket connection to OKX kept alive: it reconnects, hands over to another and subscribes again by itself."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from dataclasses import dataclass
from math import inf

import structlog
from websockets.client import backoff
from websockets.exceptions import WebSocketException
from websockets.uri import parse_uri

from collector.okx.connection import TOGETHER, Connection
from collector.okx.protocol import Arg, Event, Refused
from collector.okx.session import UNKNOWN, Session

STABLE_AFTER = 10.0
"""A connection that still tells something after so many seconds is a good one: the next reconnect is quick again."""
SUBSCRIBED_WITHIN = 15.0
"""Seconds after which a connection takes over, even if the exchange has not answered for every arg."""

log = structlog.get_logger(__name__)


def _quickly_at_first() -> Iterator[float]:
    for delay in backoff(initial_delay=1.0, min_delay=1.0, max_delay=30.0, factor=2.0):
        # At random, because all of an exchange's clients lose their connections at once.
        yield delay * random.uniform(0.5, 1.0)  # noqa: S311 -- it need not be unguessable


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection is open, the first or one that took over. What is subscribed on it is told next."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is gone, or an attempt to open one failed. Another follows."""

    reason: str


StreamEvent = Event | Connected | Disconnected


class OKXStream:
    """A websocket of OKX and what it is subscribed to.

    While nothing is wanted it stays unconnected, because the server hangs up on a connection without subscription.

    A connection whose end the exchange announces, or that reconnect() gives up, serves on until another is subscribed
    to all that is wanted: then what the old one had still to say comes out, Connected, and what the new one said until
    then. Nothing is lost in between, and some comes twice.

    Args:
        url: Such as wss://ws.okx.com:8443/ws/v5/public.
        args: Wanted from the start.
        delays: Makes the seconds to wait before each reconnect, anew after a stable connection. The first is up to
            a second; later ones double to half a minute, and each is shortened at random by up to a half.

    Raises:
        websockets.exceptions.InvalidURI: `url` is no websocket address.
    """

    def __init__(
        self,
        url: str,
        args: Iterable[Arg] = (),
        *,
        delays: Callable[[], Iterator[float]] = _quickly_at_first,
    ) -> None:
        parse_uri(url)
        self.url = url
        self._connections: list[Connection] = []
        """Those that are open: the one whose events are told, and the one that is to take over."""
        self._successor: asyncio.Task[list[Event]] | None = None
        self._delays = delays
        self._wanted: dict[Arg, None] = {}
        self._anything_wanted = asyncio.Event()
        self._want(args)

    @property
    def session(self) -> Session | None:
        """The state of the connection whose events are told, None while there is none."""
        return self._connections[0].session if self._connections else None

    async def events(self) -> AsyncGenerator[StreamEvent, None]:
        """What happens, in order and without end. Cancelling or aclose() closes the connection.

        Iterate without long pauses: pings are sent, and pongs read, between one event and the next. An arg that the
        exchange refuses comes out as a Refused and is wanted no more, unless the exchange does not know its symbol,
        which may be listed later; the others go on.
        """
        clock = asyncio.get_running_loop().time
        delays = self._delays()
        while True:
            await self._anything_wanted.wait()
            try:
                try:
                    await self._open()
                    stable_at = clock() + STABLE_AFTER
                    yield Connected()
                    while self._wanted:
                        connection = self._connections[0]
                        events = await connection.turn()
                        if connection.session.last_message_at >= stable_at:
                            delays, stable_at = self._delays(), inf
                        self._unwant(_refused(events))
                        for event in events:
                            yield event
                        if len(events) >= TOGETHER:
                            await asyncio.sleep(0)  # a backlog alone would keep the loop from everybody else
                        if connection.session.is_ending:
                            for told in await self._hand_over():
                                yield told
                finally:
                    await self._hang_up()
                reason = "nothing is wanted any more"
            except (OSError, WebSocketException) as error:
                reason = f"{type(error).__name__}: {error}"
            yield Disconnected(reason)
            await asyncio.sleep(next(delays))

    async def subscribe(self, *args: Arg) -> None:
        """Want these args too, on this connection and on those that follow."""
        self._want(args)
        for connection in list(self._connections):
            connection.session.subscribe(args)
            await connection.send_at_once()

    def postpone(self, *args: Arg) -> None:
        """Want these args too, which the exchange does not know yet: in a few minutes, or on the next connection."""
        self._want(args)
        for connection in self._connections:
            connection.session.postpone(args, asyncio.get_running_loop().time())

    async def ask_again(self) -> None:
        """Ask at once for those that the exchange did not know."""
        for connection in list(self._connections):
            connection.session.ask_again()
            await connection.send_at_once()

    async def unsubscribe(self, *args: Arg) -> None:
        """Want these args no more."""
        self._unwant(args)
        for connection in list(self._connections):
            connection.session.unsubscribe(args)
            await connection.send_at_once()

    async def resubscribe(self, *args: Arg) -> None:
        """Have the exchange end its subscriptions of these args, those that are active, and begin others."""
        for connection in list(self._connections):
            connection.session.resubscribe(args)
            await connection.send_at_once()

    def reconnect(self) -> None:
        """Have another connection take over. It is begun when this one is heard of next, by a pong at the latest."""
        if self.session is not None:
            self.session.is_ending = True

    def _want(self, args: Iterable[Arg]) -> None:
        self._wanted.update(dict.fromkeys(args))
        if self._wanted:
            self._anything_wanted.set()

    def _unwant(self, args: Iterable[Arg]) -> None:
        for arg in args:
            self._wanted.pop(arg, None)
        if not self._wanted:
            self._anything_wanted.clear()

    async def _open(self) -> Connection:
        connection = await Connection.open(self.url, self._wanted)
        self._connections.append(connection)
        return connection

    async def _hand_over(self) -> list[StreamEvent]:
        """Let the connection go if another is ready: what is to be told then. Until it is, nothing."""
        if self._successor is None:
            self._successor = asyncio.create_task(self._prepare())
        if not self._successor.done():
            return []
        first_events, self._successor = self._successor.result(), None
        self._unwant(_refused(first_events))
        last_events = await self._connections[0].close()
        del self._connections[0]
        return [*last_events, Connected(), *first_events]

    async def _prepare(self) -> list[Event]:
        """Open another connection and have it subscribed: what it says until then."""
        clock = asyncio.get_running_loop().time
        delays = self._delays()
        while True:
            try:
                connection = await self._open()
                events: list[Event] = []
                until = clock() + SUBSCRIBED_WITHIN
                while connection.session.pending and clock() < until:
                    events += await connection.turn()
            except (OSError, WebSocketException) as error:
                log.warning("No connection to take over yet", url=self.url, reason=f"{type(error).__name__}: {error}")
                for failed in self._connections[1:]:
                    self._connections.remove(failed)
                    await failed.close()
                await asyncio.sleep(next(delays))
            else:
                return events

    async def _hang_up(self) -> None:
        if self._successor is not None:
            self._successor.cancel()
            await asyncio.wait((self._successor,))
            self._successor = None
        while self._connections:
            await self._connections.pop().close()


def _refused(events: Iterable[Event]) -> list[Arg]:
    """The args that are refused for good."""
    refusals = [event for event in events if isinstance(event, Refused) and event.code != UNKNOWN]
    return [refusal.arg for refusal in refusals if refusal.arg is not None]
