"""The collector: follows OKX, stores what it sends and keeps its candles, for as long as it runs."""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Self

import structlog

from collector.okx.arguments import check_list, check_timeframes, check_url
from collector.okx.channels import Channels
from collector.okx.clock import ExchangeClock
from collector.okx.follower import Follower
from collector.okx.look_back import LookBack
from collector.okx.protocol import EXCHANGE
from collector.okx.reconcile import Reconciliation
from collector.okx.repair import Repair
from collector.okx.rest import OKXError, OKXRest
from collector.okx.writer import Writer
from collector.pipeline import Pipeline
from collector.tracker import Live
from repos.domain import DataType, InvalidValue, Timeframe, TradeRecord, label, of_type
from repos.errors import DatabaseOperationError
from repos.events import CollectorReport, Followed
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations, get_database_operations

REST_URL = "https://www.okx.com"
WS_URL = "wss://ws.okx.com:8443"
TIMEFRAMES = ("5s", "1m", "5m", "15m", "1h")
INSTRUMENT_TYPES = ("SPOT", "SWAP", "FUTURES")
REPORT_EVERY = 5.0
NEWS_WITHIN = 0.25
"""Seconds within which a channel that came or went is reported; those of one moment go together."""
INSTRUMENTS_EVERY = 24 * 3600.0
INSTRUMENTS_RETRY = 60.0
FLUSH_WITHIN = 2.0

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
        rest_url: str = REST_URL,
        ws_url: str = WS_URL,
    ) -> None:
        """`timeframes` are a symbol's; by default each has TIMEFRAMES. `force_update_candles` lets candles folded here
        replace those of another origin. `feed` is this process's, if it has one. Without `db` it is the process's
        own, which stays open when the collector stops.

        Raises:
            TypeError: What is to be a list is none, or one of other things.
            InvalidValue: Another argument is of another type, a symbol, timeframe or URL is none, or nothing would be
                stored.
        """
        check_list("symbols", symbols, str)
        check_list("data_types", data_types, DataType)
        for name, flag in (("store_raw_data", store_raw_data), ("force_update_candles", force_update_candles)):
            of_type(name, flag, bool)
        for name, part, kind in (("db", db, DatabaseOperations), ("feed", feed, Feed)):
            if part is not None:
                of_type(name, part, kind)
        check_url("rest_url", rest_url, "https", "http")
        check_url("ws_url", ws_url, "wss", "ws")
        self.symbols = [label(f"symbols[{place}]", each) for place, each in enumerate(dict.fromkeys(symbols))]
        if timeframes is not None:
            check_timeframes(timeframes, self.symbols)
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
        self._force_update = force_update_candles
        self._db = db or get_database_operations()
        self._feed = feed
        self._rest_url = rest_url
        self._ws_url = ws_url
        self.differences = 0
        """Candles found to differ from the exchange's own; one that changed and differs still counts again."""
        self._repair: Repair | None = None
        self._clock = ExchangeClock()
        self._changed = asyncio.Event()
        changed = self._changed.set
        self._writer = Writer(self._db, self._add, self._tick, changed, store_points=store_raw_data)
        self._followers = [
            Follower(channels, self._clock, self._writer.put, self._interrupt, changed)
            for channels in Channels.split(self.symbols, followed)
        ]
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
        of_pipeline = self._pipeline.malformed if self._started.is_set() else 0
        return of_pipeline + self._writer.refused + sum(each.malformed for each in self._followers)

    @property
    def stalls(self) -> int:
        """Channels found silent while the exchange went on."""
        return sum(each.stalls for each in self._followers)

    async def started(self) -> None:
        """Return when its work is set up, and this process's feed knows what it follows."""
        await self._started.wait()

    def report(self) -> CollectorReport:
        """How it is doing, and what it follows."""
        gaps = self.open_gaps()
        feeds = [row for each in self._followers for row in each.channels.health(gaps)]
        return CollectorReport(feeds, self._followed, self._writer.waiting())

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
            rest = await stack.enter_async_context(OKXRest(self._rest_url))
            repair = self._repair = Repair(self._timeframes, self._db, rest, self._clock.now)
            live = Live(self._clock.started, repair.report)
            self._look_back = LookBack(self._db, repair, self._timeframes, live.since)
            timeframes = self._timeframes.__getitem__
            force, latest = self._force_update, self._clock.latest
            self._pipeline = Pipeline(self._db, timeframes, live=live, force_update=force, now=latest)
            reconciliation = Reconciliation(self._timeframes, self._db, rest, repair, self._pipeline, self._differs)
            for follower in self._followers:
                follower.open(self._ws_url)
            stack.enter_context(feed.answer(self._pipeline.forming))
            stack.push_async_callback(self._finish, feed)
            feed.collectors.keep(self._source, self.report())
            self._started.set()
            async with asyncio.TaskGroup() as tasks:
                for follower in self._followers:
                    follower.start(tasks, rest)
                tasks.create_task(self._writer.run())
                tasks.create_task(repair.run(self._pipeline.add, self._pipeline.complete))
                tasks.create_task(reconciliation.run(self._clock.now))
                tasks.create_task(self._report(feed))
                tasks.create_task(self._clock.keep(rest))
                tasks.create_task(self._keep_instruments(rest))

    async def _add(self, records: Sequence[TradeRecord]) -> None:
        await self._look_back.before(records, self._clock.now())
        await self._pipeline.add(records)

    async def _tick(self) -> None:
        # While the exchange's clock is not known, only later trades end a candle.
        known = self._followers if self._clock.is_known else []
        heard_until = {symbol: moment for each in known for symbol, moment in each.heard_until().items()}
        await self._pipeline.tick(heard_until.get)

    def _interrupt(self, symbol: str) -> None:
        self._pipeline.interrupt(EXCHANGE, symbol)

    def _differs(self) -> None:
        self.differences += 1

    async def _finish(self, feed: Feed) -> None:
        try:
            async with asyncio.timeout(FLUSH_WITHIN):
                await self._writer.flush()
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
            for follower in self._followers:
                await follower.ask_again()
            await asyncio.sleep(wait)
