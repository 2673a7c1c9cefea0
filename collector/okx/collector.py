"""The collector: follows OKX, stores what it sends and keeps its candles, for as long as it runs."""

import asyncio
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Self

import structlog

from collector.okx.channels import BUSINESS, PUBLIC, Channels
from collector.okx.clock import ExchangeClock
from collector.okx.look_back import LookBack
from collector.okx.pace import Pace
from collector.okx.protocol import EXCHANGE, Arg, Malformed, Notice, Points, Refused, Subscribed, Trades
from collector.okx.reconcile import Reconciliation
from collector.okx.repair import Repair
from collector.okx.rest import OKXError, OKXRest
from collector.okx.session import UNKNOWN
from collector.okx.stream import Disconnected, OKXStream
from collector.okx.watchdog import Watchdog
from collector.pipeline import Pipeline
from collector.tracker import Live
from repos.domain import DataType, InvalidValue, MarketDataPoint, Timeframe, shown
from repos.errors import DatabaseOperationError, DataRefused, cause_of
from repos.events import CollectorReport, Followed, Refusal, Waiting
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations, get_database_operations
from repos.refused import store_rest

REST_URL = "https://www.okx.com"
WS_URL = "wss://ws.okx.com:8443"
TIMEFRAMES = ("5s", "1m", "5m", "15m", "1h")
INSTRUMENT_TYPES = ("SPOT", "SWAP", "FUTURES")
TICK = 0.1
"""Seconds after which a quiet market is looked at."""
REPORT_EVERY = 5.0
NEWS_WITHIN = 0.25
"""Seconds within which a channel that came or went is reported; those of one moment go together."""
INSTRUMENTS_EVERY = 24 * 3600.0
INSTRUMENTS_RETRY = 60.0
DATABASE_RETRY = 1.0
SLOW = timedelta(seconds=5)
"""A batch that is being stored for so long is said to wait, whether or not the database has failed yet."""
FLUSH_WITHIN = 2.0
_BATCH = 2_000
_WAITING = 4_000
"""Frames kept for a slow database. Then nothing more is read, and what the exchange drops is recovered by id."""

log = structlog.get_logger(__name__)


class AlreadyStarted(RuntimeError):
    """A collector that runs was to be started."""


class OKXCollector:
    """Follows symbols of OKX from start() to stop(), or while `async with` lasts.

    Trades are always stored, once, and folded into candles of every timeframe. Other data types are followed where
    their raw data is stored.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        data_types: Sequence[DataType] = (DataType.TRADE,),
        store_raw_data: bool = False,
        force_update_candles: bool = False,
        *,
        timeframes: Mapping[str, Sequence[str]] | None = None,
        db: DatabaseOperations | None = None,
        feed: Feed | None = None,
        pace: Pace | None = None,
        rest_url: str = REST_URL,
        ws_url: str = WS_URL,
    ) -> None:
        """`timeframes` are a symbol's; by default each has TIMEFRAMES. `force_update_candles` lets candles folded here
        replace those of another origin. `feed` is this process's, if it has one; `pace` is for collectors that run
        side by side. Without `db` it is the process's own, which stays open when the collector stops.

        Raises:
            TypeError: symbols is no list of strings, or data_types no list of DataType.
            InvalidValue: A timeframe is none, or nothing would be stored.
        """
        _check_kinds(symbols, data_types)
        self.symbols = list(dict.fromkeys(symbols))
        self._timeframes = {
            symbol: [Timeframe(text) for text in (timeframes or {}).get(symbol, TIMEFRAMES)] for symbol in self.symbols
        }
        followed = {data_type for data_type in data_types if store_raw_data or data_type is DataType.TRADE}
        if not followed:
            raise InvalidValue("data_types", "nothing would be stored: add DataType.TRADE, or set store_raw_data")
        self._followed = [
            Followed(EXCHANGE, symbol, tuple(kept) if DataType.TRADE in followed else (), tuple(followed))
            for symbol, kept in self._timeframes.items()
        ]
        self._source = secrets.token_hex(8)
        self._store_raw_data = store_raw_data
        self._force_update = force_update_candles
        self._db = db or get_database_operations()
        self._feed = feed
        self._pace = pace or Pace()
        self._rest_url = rest_url
        self._ws_url = ws_url
        self._malformed = 0
        self._storing_since: datetime | None = None
        self._failure = ""
        """Why what is stored since then is tried again; empty before that."""
        self.stalls = 0
        """Channels found silent while the exchange went on."""
        self.differences = 0
        """Candles found to differ from the exchange's own; one that changed and differs still counts again."""
        self._repair: Repair | None = None
        self._unknown: set[Arg] = set()
        """What the exchange refused because it does not know it, which was told."""
        self._channels = Channels.split(self.symbols, followed)
        self._inbox: asyncio.Queue[Trades | Points] = asyncio.Queue(_WAITING)
        self._batch: list[Trades | Points] = []
        self._clock = ExchangeClock()
        self._changed = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._started = asyncio.Event()

    async def start(self) -> None:
        """Begin to follow the exchange, in the background. Returns when its work is set up, not when it is connected.

        Raises:
            AlreadyStarted: It was, and was not stopped since.
            DatabaseOperationError: The database can't be used. It can be started again.
        """
        if self._running is not None:
            raise AlreadyStarted("this collector was started before; stop() it first")
        self._started.clear()
        running = self._running = asyncio.create_task(self.run())
        started = asyncio.create_task(self._started.wait())
        try:
            await asyncio.wait((running, started), return_when=asyncio.FIRST_COMPLETED)
            if not started.done():
                await running
        except BaseException:
            await self._cancelled()
            raise
        finally:
            started.cancel()

    async def stop(self) -> None:
        """Stop following, and return when everything received is stored.

        Raises:
            Exception: What had ended the collector before.
        """
        await self._cancelled()

    async def _cancelled(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def malformed(self) -> int:
        """Frames and objects that could not be read, or that the database refused."""
        return self._malformed + (self._pipeline.malformed if self._started.is_set() else 0)

    async def started(self) -> None:
        """Return when its work is set up, and this process's feed knows what it follows."""
        await self._started.wait()

    def report(self) -> CollectorReport:
        """How it is doing, and what it follows."""
        gaps = self.open_gaps()
        feeds = [row for channels in self._channels for row in channels.health(gaps)]
        return CollectorReport(feeds, self._followed, self._waiting())

    def _waiting(self) -> Waiting | None:
        since = self._storing_since
        if since is None or not (self._failure or datetime.now(UTC) - since >= SLOW):
            return None
        return Waiting(since, self._failure or "The database does not answer")

    def open_gaps(self) -> dict[str, int]:
        """By symbol, the gaps in its trades that are not recovered yet; empty before the start."""
        return self._repair.open_gaps() if self._repair else {}

    async def run(self) -> None:
        """Follow the exchange until cancelled, then store what was received.

        Raises:
            DatabaseOperationError: The database can't be used at the start. Later on it is waited for.
        """
        async with AsyncExitStack() as stack:
            await self._db.open()
            feed = self._feed
            if feed is None:
                feed = await stack.enter_async_context(Feed(self._db))
            rest = await stack.enter_async_context(OKXRest(self._rest_url, pace=self._pace))
            repair = self._repair = Repair(self._timeframes, self._db, rest, self._clock.now)
            live = Live(self._clock.started, repair.report)
            self._look_back = LookBack(self._db, repair, self._timeframes, live.since)
            timeframes = self._timeframes.__getitem__
            force, latest = self._force_update, self._clock.latest
            self._pipeline = Pipeline(self._db, timeframes, live=live, force_update=force, now=latest)
            reconciliation = Reconciliation(self._timeframes, self._db, rest, repair, self._pipeline, self._differs)
            self._streams = [(channels, self._streams_of(channels)) for channels in self._channels]
            stack.enter_context(feed.answer(self._pipeline.forming))
            stack.push_async_callback(self._finish, feed)
            feed.collectors.keep(self._source, self.report())
            self._started.set()
            async with asyncio.TaskGroup() as tasks:
                for channels, streams in self._streams:
                    for endpoint, stream in streams.items():
                        tasks.create_task(self._follow(endpoint, streams, channels))
                        stalled = partial(self._stalled, endpoint, channels)
                        tasks.create_task(Watchdog(stream, rest, stalled).run())
                tasks.create_task(self._write())
                tasks.create_task(repair.run(self._pipeline.add, self._pipeline.complete))
                tasks.create_task(reconciliation.run(self._clock.now))
                tasks.create_task(self._report(feed))
                tasks.create_task(self._clock.keep(rest))
                tasks.create_task(self._keep_instruments(rest))

    def _streams_of(self, channels: Channels) -> dict[str, OKXStream]:
        return {
            endpoint: OKXStream(f"{self._ws_url}/ws/v5/{endpoint}", channels.args(endpoint), pace=self._pace)
            for endpoint in (PUBLIC, BUSINESS)
        }

    async def _follow(self, endpoint: str, streams: Mapping[str, OKXStream], channels: Channels) -> None:
        async with aclosing(streams[endpoint].events()) as events:
            async for event in events:
                match event:
                    case Trades(arg, records):
                        self._clock.hear(records[-1].trade.timestamp)
                        channels.received(endpoint, arg, self._clock.now(), records[-1].trade.timestamp)
                        await self._inbox.put(event)
                    case Points(arg, points):
                        channels.received(endpoint, arg, self._clock.now(), points[-1].timestamp)
                        if self._store_raw_data:
                            await self._inbox.put(event)
                    case Malformed(reason, text):
                        self._malformed += 1
                        log.warning("Malformed frame", reason=reason, text=text)
                    case Subscribed(arg):
                        self._unknown.discard(arg)
                        channels.connected(endpoint, arg)
                        self._changed.set()
                    case Notice(code, message):
                        log.warning("OKX announces", endpoint=endpoint, code=code, reason=message)
                    case Refused(code, message, arg) if arg is not None:
                        if arg not in self._unknown:  # it is asked for again and again, and told once
                            log.error("OKX refused", endpoint=endpoint, arg=str(arg), code=code, reason=message)
                        if code == UNKNOWN:
                            self._unknown.add(arg)
                        instead = channels.refused(endpoint, arg, Refusal(code, message[:200], datetime.now(UTC)))
                        self._changed.set()
                        if instead is not None:
                            await streams[endpoint].unsubscribe(arg)
                            if endpoint == BUSINESS:
                                await streams[PUBLIC].subscribe(instead)
                            else:
                                streams[BUSINESS].postpone(instead)
                    case Refused(code, message):  # not for good: it is asked for again, or one by one
                        log.warning("OKX could not answer", endpoint=endpoint, code=code, reason=message)
                    case Disconnected(reason):
                        log.warning("Disconnected", endpoint=endpoint, reason=reason)
                        for symbol in channels.symbols_of_trades(endpoint):
                            self._pipeline.interrupt(EXCHANGE, symbol)
                        channels.disconnected(endpoint)
                        self._changed.set()

    def _stalled(self, endpoint: str, channels: Channels, arg: Arg) -> None:
        self.stalls += 1
        channels.stalled(endpoint, arg)
        if arg.channel.startswith("trades"):
            self._pipeline.interrupt(EXCHANGE, arg.symbol)
        self._changed.set()

    def _differs(self) -> None:
        self.differences += 1

    async def _write(self) -> None:
        """Store what arrives in batches: whatever came while the last one was written."""
        while True:
            if not self._batch:  # otherwise the last one is still to be stored
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK):
                        self._batch.append(await self._inbox.get())
            self._storing_since = self._storing_since or datetime.now(UTC)
            try:
                await self._store()
                if self._inbox.empty():
                    await self._pipeline.tick(self._heard_until().get)
                self._storing_since = None
                if self._failure:
                    self._failure = ""
                    self._changed.set()
            except DatabaseOperationError as error:
                if self._failure != (cause := cause_of(error)):
                    self._failure = cause
                    self._changed.set()
                log.warning("The database is waited for", reason=str(error), frames=self._inbox.qsize())
                await asyncio.sleep(DATABASE_RETRY)

    async def _store(self) -> None:
        while not self._inbox.empty() and len(self._batch) < _BATCH:
            self._batch.append(self._inbox.get_nowait())
        records = [record for event in self._batch if isinstance(event, Trades) for record in event.records]
        points = [point for event in self._batch if isinstance(event, Points) for point in event.points]
        if records:
            await self._look_back.before(records, self._clock.now())
            await self._pipeline.add(records)
        if points:
            await store_rest(points, self._store_points, self._refused)
        self._batch.clear()

    async def _store_points(self, points: Sequence[MarketDataPoint]) -> None:
        await self._db.raw_trades.insert_points(points)

    def _refused(self, point: MarketDataPoint, error: DataRefused) -> None:
        self._malformed += 1
        log.warning("Malformed object, the database refuses it", reason=str(error), text=repr(point.data))

    async def _finish(self, feed: Feed) -> None:
        try:
            async with asyncio.timeout(FLUSH_WITHIN):
                while self._batch or not self._inbox.empty():
                    await self._store()
                await feed.report(self._source, None)
        except (TimeoutError, DatabaseOperationError) as error:
            log.warning("Stopped before all was stored; the next start recovers it", reason=str(error))
        finally:
            feed.collectors.keep(self._source, None)

    async def _report(self, feed: Feed) -> None:
        while True:
            try:
                await feed.report(self._source, self.report())
            except DatabaseOperationError as error:
                log.warning("The state of the channels was not told", reason=str(error))
            await asyncio.sleep(NEWS_WITHIN)
            with suppress(TimeoutError):
                async with asyncio.timeout(REPORT_EVERY - NEWS_WITHIN):
                    await self._changed.wait()
            self._changed.clear()

    async def _keep_instruments(self, rest: OKXRest) -> None:
        while True:
            wait = INSTRUMENTS_EVERY
            for kind in INSTRUMENT_TYPES:
                try:
                    await self._db.instruments.upsert(await rest.instruments(kind))
                except (OKXError, DatabaseOperationError) as error:
                    log.warning("Instruments are not known", type=kind, reason=str(error))
                    wait = INSTRUMENTS_RETRY
            for _, streams in self._streams:
                for stream in streams.values():
                    await stream.ask_again()
            await asyncio.sleep(wait)

    def _heard_until(self) -> dict[str, datetime]:
        """By symbol, up to when, by the exchange's clock, its connection is known to have brought what was sent.

        Empty while that clock is not known: then only later trades end a candle.
        """
        if not self._clock.is_known:
            return {}
        now, clock = self._clock.now(), asyncio.get_running_loop().time()
        heard: dict[str, datetime] = {}
        for channels, streams in self._streams:
            for endpoint, stream in streams.items():
                if stream.session is not None:
                    moment = now - timedelta(seconds=clock - stream.session.heard_until)
                    heard.update(dict.fromkeys(channels.symbols_of_trades(endpoint), moment))
        return heard


def _check_kinds(symbols: object, data_types: object) -> None:
    for name, values, kind in (("symbols", symbols, str), ("data_types", data_types, DataType)):
        if isinstance(values, str) or not isinstance(values, Iterable):
            raise TypeError(f"{name}: {shown(values)} is no list of {kind.__name__}")
        for place, value in enumerate(values):
            if not isinstance(value, kind):
                raise TypeError(f"{name}[{place}]: {shown(value)} is no {kind.__name__}")
