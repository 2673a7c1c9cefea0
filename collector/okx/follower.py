"""Follows channels over the two websockets of the exchange that serve them."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from collector.okx.channels import BUSINESS, PUBLIC, Channels
from collector.okx.clock import ExchangeClock
from collector.okx.protocol import Arg, Malformed, Notice, Points, Refused, Subscribed, Trades
from collector.okx.rest import OKXRest
from collector.okx.session import UNKNOWN
from collector.okx.stream import Disconnected, OKXStream
from collector.okx.watchdog import Watchdog
from repos.events import Refusal

log = structlog.get_logger(__name__)


class Follower:
    """Keeps `channels` right, and hands on what they bring."""

    def __init__(
        self,
        channels: Channels,
        clock: ExchangeClock,
        received: Callable[[Trades | Points], Awaitable[None]],
        interrupted: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        """
        Args:
            channels: What is followed, as many as one connection to each endpoint may have.
            clock: Is told when what arrives was sent.
            received: Takes what arrives; no more is read before it returns.
            interrupted: Hears of each symbol whose trades may be missing from here on.
            changed: Hears when channels came or went.
        """
        self.channels = channels
        self._clock = clock
        self._received = received
        self._interrupted = interrupted
        self._changed = changed
        self._streams: dict[str, OKXStream] = {}
        self._unknown: set[Arg] = set()
        """What the exchange refused because it does not know it, which was told."""
        self.malformed = 0
        self.stalls = 0
        """Channels found silent while the exchange went on."""

    def open(self, ws_url: str) -> None:
        """Make streams of what is followed by now, anew at each start.

        Raises:
            websockets.exceptions.InvalidURI: `ws_url` is no websocket address.
        """
        self._streams = {
            endpoint: OKXStream(f"{ws_url}/ws/v5/{endpoint}", self.channels.args(endpoint))
            for endpoint in (PUBLIC, BUSINESS)
        }

    def start(self, tasks: asyncio.TaskGroup, rest: OKXRest) -> None:
        """Read and watch the streams in `tasks`, until these are cancelled."""
        for endpoint, stream in self._streams.items():
            tasks.create_task(self._follow(endpoint, stream))
            tasks.create_task(Watchdog(stream, rest, partial(self._stalled, endpoint)).run())

    async def ask_again(self) -> None:
        """Ask now for what the exchange did not know."""
        for stream in self._streams.values():
            await stream.ask_again()

    def heard_until(self) -> dict[str, datetime]:
        """By symbol, up to when, by the exchange's clock, its connection is known to have brought the trades sent."""
        now, clock = self._clock.now(), asyncio.get_running_loop().time()
        heard: dict[str, datetime] = {}
        for endpoint, stream in self._streams.items():
            if stream.session is not None:
                moment = now - timedelta(seconds=clock - stream.session.heard_until)
                heard.update(dict.fromkeys(self.channels.symbols_of_trades(endpoint), moment))
        return heard

    async def _follow(self, endpoint: str, stream: OKXStream) -> None:
        channels = self.channels
        async with aclosing(stream.events()) as events:
            async for event in events:
                match event:
                    case Trades(arg, records):
                        self._clock.hear(records[-1].trade.timestamp)
                        channels.received(endpoint, arg, self._clock.now(), records[-1].trade.timestamp)
                        await self._received(event)
                    case Points(arg, points):
                        channels.received(endpoint, arg, self._clock.now(), points[-1].timestamp)
                        await self._received(event)
                    case Malformed(reason, text):
                        self.malformed += 1
                        log.warning("Malformed frame", reason=reason, text=text)
                    case Subscribed(arg):
                        self._unknown.discard(arg)
                        channels.connected(endpoint, arg)
                        self._changed()
                    case Notice(code, message):
                        log.warning("OKX announces", endpoint=endpoint, code=code, reason=message)
                    case Refused(code, message, arg) if arg is not None:
                        await self._refused(endpoint, arg, code, message)
                    case Refused(code, message):  # not for good: it is asked for again, or one by one
                        log.warning("OKX could not answer", endpoint=endpoint, code=code, reason=message)
                    case Disconnected(reason):
                        log.warning("Disconnected", endpoint=endpoint, reason=reason)
                        for symbol in channels.symbols_of_trades(endpoint):
                            self._interrupted(symbol)
                        channels.disconnected(endpoint)
                        self._changed()

    async def _refused(self, endpoint: str, arg: Arg, code: str, message: str) -> None:
        """Follow what there is instead, if anything."""
        if arg not in self._unknown:  # it is asked for again and again, and told once
            log.error("OKX refused", endpoint=endpoint, arg=str(arg), code=code, reason=message)
        if code == UNKNOWN:
            self._unknown.add(arg)
        instead = self.channels.refused(endpoint, arg, Refusal(code, message[:200], datetime.now(UTC)))
        self._changed()
        if instead is not None:
            await self._streams[endpoint].unsubscribe(arg)
            if endpoint == BUSINESS:
                await self._streams[PUBLIC].subscribe(instead)
            else:
                self._streams[BUSINESS].postpone(instead)

    def _stalled(self, endpoint: str, arg: Arg) -> None:
        self.stalls += 1
        self.channels.stalled(endpoint, arg)
        if arg.channel.startswith("trades"):
            self._interrupted(arg.symbol)
        self._changed()
