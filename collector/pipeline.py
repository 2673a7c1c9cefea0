"""From trades to stored candles and news of forming ones: the one path of the live collector and of a replay."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from collector.candles import Bucket
from collector.refold import NEAR, fill, spans
from collector.tracker import Live, Tracker
from repos.domain import AHEAD, EPOCH, Candle, Gap, InvalidValue, Series, Timeframe, Trade, TradeRecord
from repos.errors import DataRefused
from repos.feed.news import FormingNews
from repos.operations import DatabaseOperations
from repos.refused import store_rest

LATENESS = timedelta(seconds=2)
"""In a quiet market the clock ends a candle this long after its end: trades on their way still count."""
ANNOUNCE_EVERY = 0.25
"""Seconds between two announcements of one forming candle."""
# A crash can leave trades stored whose candles are not: those of the last batch. It begins after the last candle, and
# is shorter than the first of these times, unless it had waited for the database.
_CATCH_UP, _CATCH_UP_AT_MOST = timedelta(minutes=1), timedelta(hours=1)
# A long bucket is read in pieces of about so many trades, so that memory stays bounded and other tasks have their turn.
_PIECE = timedelta(minutes=5)
_MANY = 5_000

log = structlog.get_logger(__name__)


class Pipeline:
    """Stores trades, folds them into candles of every timeframe, stores those that ended and announces the others.

    With `live` a candle is stored only when an unbroken run of trades covers it, and holes are reported. Without, in a
    replay, every candle with a trade is stored, folded from all stored trades of its time.

    Calls wait for each other. When the database fails they raise DatabaseOperationError and nothing is lost: trades of
    a failed add() are to be added again, and candles that could not be stored are tried again by the next call.
    """

    def __init__(
        self,
        db: DatabaseOperations,
        timeframes: Callable[[str], Sequence[Timeframe]],
        *,
        live: Live | None = None,
        force_update: bool = False,
        announce: bool = True,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime | None] = lambda: datetime.now(UTC),
    ) -> None:
        """`timeframes` are those of a symbol. `force_update` lets candles folded here replace those of another origin.

        `announce` tells forming candles; `clock` gives the seconds that pace it. `now` is the exchange's
        clock, None where it is not known: trades more than a minute ahead of it are malformed.
        """
        self.candles_written = 0
        self.malformed = 0
        self._db = db
        self._timeframes = timeframes
        self._live = live
        self._force_update = force_update
        self._announce = announce
        self._clock = clock
        self._now = now
        self._trackers: dict[tuple[str, str], Tracker] = {}
        self._unsettled: dict[Tracker, None] = {}
        self._unannounced: dict[Tracker, None] = {}
        self._lock = asyncio.Lock()

    async def add(self, records: Sequence[TradeRecord]) -> list[Trade]:
        """Store trades, in any order, fold them, and store the candles that ended; the trades that are new.

        A trade from the future, or that the database refuses, is counted in `malformed`, logged and left out.

        Raises:
            DatabaseOperationError: The database failed. Adding the same records again is right.
        """
        async with self._lock:
            given: dict[tuple[str, str], dict[tuple[int, int, datetime], Trade]] = {}
            stored: list[Trade] = []

            async def store(batch: Sequence[TradeRecord]) -> None:
                keys = dict.fromkeys((trade.exchange, trade.symbol) for trade, _ in batch)
                for key in keys:
                    if key not in self._trackers:
                        self._trackers[key] = await self._open(*key)
                stored.extend(await self._db.tape.insert(batch))
                for trade, _ in batch:
                    given.setdefault((trade.exchange, trade.symbol), {})[_identity(trade)] = trade

            now = self._now()
            # One trade from the future would end the life of its candles.
            future = [record for record in records if now and record.trade.timestamp > now + AHEAD]
            if future:
                records = [record for record in records if now and record.trade.timestamp <= now + AHEAD]
            await store_rest(records, store, self._refused)
            for trade in stored:
                given[trade.exchange, trade.symbol][_identity(trade)] = trade
            for key, trades in given.items():
                tracker = self._trackers[key]
                repeated = tracker.take(trades[ids] for ids in sorted(trades))
                # Seen before and yet new to the store: it had lost them, as a failover can.
                for trade in set(repeated).intersection(stored):
                    tracker.reread(trade.timestamp)
                self._unsettled[tracker] = self._unannounced[tracker] = None
            await self._settle()
            await self._tell()
            for record in future:
                self._refused(record, f"it happens more than a minute ahead of the exchange's clock, {now}")
        return stored

    async def tick(self, now: Callable[[str], datetime | None]) -> None:
        """Store what ended in a quiet market, and announce what waits for its turn. To be called a few times a second.

        `now` is the exchange's clock, as far as no trade of a symbol that it sent by then is missing or waits to be
        added; None where that is not known.

        Raises:
            DatabaseOperationError: The database failed; the next call tries again.
        """
        async with self._lock:
            for tracker in self._trackers.values():
                moment = now(tracker.symbol)
                if moment is not None and tracker.pass_time(moment - LATENESS):
                    self._unsettled[tracker] = None
            await self._settle()
            await self._tell()

    async def refold(self, exchange: str, symbol: str, moment: datetime) -> None:
        """Fold the candles that hold `moment` anew from the stored trades, and store those that ended.

        Raises:
            DatabaseOperationError: The database failed; the next call of any kind tries again.
        """
        async with self._lock:
            tracker = self._trackers.get((exchange, symbol))
            if tracker is not None:
                tracker.reread(moment)
                self._unsettled[tracker] = None
                await self._settle()

    async def complete(self, gap: Gap) -> None:
        """Every trade of `gap`, which was reported, has been added; store and announce what waited for that.

        Raises:
            DatabaseOperationError: The database failed; the next call of any kind tries again.
        """
        async with self._lock:
            tracker = self._trackers.get((gap.exchange, gap.symbol))
            if tracker is not None:
                tracker.complete(gap)
                self._unsettled[tracker] = self._unannounced[tracker] = None
                await self._settle()
                await self._tell()

    async def finish(self) -> None:
        """Store every candle that is still open: a replay has come to its end.

        Raises:
            DatabaseOperationError: The database failed; calling again is right.
        """
        async with self._lock:
            await self._read(self._trackers.values())
            await self._store((tracker, list(tracker.buckets.values())) for tracker in self._trackers.values())

    def rewind(self) -> None:
        """A replay goes on with another recording, perhaps of an earlier time."""
        for tracker in self._trackers.values():
            tracker.rewind()

    def interrupt(self, exchange: str, symbol: str) -> None:
        """The feed of the symbol's trades broke: until more of them are added, time alone ends none of its candles."""
        tracker = self._trackers.get((exchange, symbol))
        if tracker is not None:
            tracker.is_interrupted = True

    def forming(self, series: Series) -> Candle | None:
        """The candle of `series` that is forming, if one is and all its trades so far are known."""
        tracker = self._trackers.get((series.exchange, series.symbol))
        for bucket in tracker.forming() if tracker else ():
            if bucket.series == series:
                return _candle(bucket, is_final=False)
        return None

    def _refused(self, record: TradeRecord, reason: DataRefused | str) -> None:
        self.malformed += 1
        log.warning("Malformed trade, it is left out", reason=str(reason), text=record.raw)

    def _latest(self) -> datetime:
        """When what is stored can have happened at the latest; one from the future says nothing of now."""
        return (self._now() or datetime.now(UTC)) + AHEAD

    async def _open(self, exchange: str, symbol: str) -> Tracker:
        timeframes = self._timeframes(symbol)
        tracker = Tracker(exchange, symbol, timeframes, self._live)
        if self._live and (last := await self._db.tape.last(exchange, symbol, self._latest())):
            # Where the last run ended: what comes next shows whether trades are missing in between.
            stored = await self._db.market_data.latest([Series(exchange, symbol, each) for each in timeframes])
            newest = max((candle.end_time for candle in stored.values()), default=EPOCH)
            start = max(min(newest, last.timestamp - _CATCH_UP), last.timestamp - _CATCH_UP_AT_MOST)
            span = (start, last.timestamp + timedelta(microseconds=1))
            tracker.take(await self._db.tape.between(exchange, symbol, *span))
        return tracker

    async def _settle(self) -> None:
        await self._read(self._unsettled)
        await self._store((tracker, tracker.ended()) for tracker in self._unsettled)
        self._unsettled.clear()

    async def _read(self, trackers: Iterable[Tracker]) -> None:
        """Fold the buckets that are not whole from the stored trades."""
        tape = self._db.tape
        for tracker in trackers:
            unread = tracker.unread
            for bucket in unread:
                bucket.clear()
            for start, end in spans(unread):
                piece = _PIECE
                # The newest first, whose ids are followed here: what has others is of before they began anew.
                while start < end:
                    since = max(start, end - piece)
                    trades = await tape.between(tracker.exchange, tracker.symbol, since, end)
                    fill(unread, trades, tracker.numberings)
                    piece = piece * 2 if len(trades) < _MANY else max(piece / 2, NEAR)
                    end = since
            for bucket in unread:
                if bucket.fold is None:
                    log.warning("No trade is stored", series=str(bucket.series), start=bucket.start)
                    continue
                for number in tracker.edges(bucket):
                    is_before = number < bucket.first_id
                    beside = bucket.first_id if is_before else bucket.last_id
                    after, before = tracker.numberings.span(beside)
                    span = (after, min(before, bucket.end)) if is_before else (max(after, bucket.start), before)
                    trade_id = number - tracker.numberings.base(beside)
                    if await tape.has(tracker.exchange, tracker.symbol, trade_id, *span):
                        bucket.edges.add(number)
                bucket.whole = True
            if unread:
                tracker.drop(bucket for bucket in unread if bucket.fold is None)

    async def _store(self, ended: Iterable[tuple[Tracker, list[Bucket]]]) -> None:
        candles: list[Candle] = []
        done: list[tuple[Tracker, list[Bucket]]] = []
        for tracker, buckets in ended:
            stored = []
            for bucket in buckets:
                if tracker.covers(bucket) and (candle := _candle(bucket, is_final=True)):
                    candles.append(candle)
                    stored.append(bucket)
                else:
                    tracker.report(bucket)
            if buckets:
                done.append((tracker, stored))
        if candles:
            # Their trades were held against the exchange's clock, and this machine's may be behind.
            now = max(candle.end_time for candle in candles)
            written = await self._db.market_data.upsert_candles(candles, self._force_update, now=now)
            self.candles_written += len(written)
        for tracker, stored in done:
            tracker.drop(stored)

    async def _tell(self) -> None:
        """Announce forming candles: the first change of each at once, later ones when their turn has come."""
        if not self._announce or not self._unannounced:
            return
        now = self._clock()
        told: list[tuple[Bucket, Candle]] = []
        waiting: dict[Tracker, None] = {}
        for tracker in self._unannounced:
            for bucket in tracker.forming():
                if not bucket.changed:
                    continue
                if bucket.announced is not None and now - bucket.announced < ANNOUNCE_EVERY:
                    waiting[tracker] = None
                elif candle := _candle(bucket, is_final=False):
                    told.append((bucket, candle))
        if told:
            await self._db.bus.publish(FormingNews([candle for _, candle in told]))
        for bucket, _ in told:
            bucket.changed, bucket.announced = False, now
        self._unannounced = waiting


def _candle(bucket: Bucket, is_final: bool) -> Candle | None:
    try:
        return bucket.candle(is_final)
    except InvalidValue as error:
        if is_final and not bucket.reported:
            log.warning("Trades make no valid candle", series=str(bucket.series), start=bucket.start, reason=str(error))
        return None


def _identity(trade: Trade) -> tuple[int, int, datetime]:
    return trade.trade_id, trade.first_id, trade.timestamp
