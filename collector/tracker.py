"""One symbol's trades on their way into the candles of its timeframes: what is open, what is missing. Without I/O."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from collector.candles import Bucket, Fold
from collector.ids import Runs
from collector.numbering import Numberings
from repos.domain import END_OF_TIME, EPOCH, Gap, Series, Timeframe, Trade

# Ids farther back matter only for duplicates, which then cost a read.
_RUNS_KEPT = 256
# Ended buckets that wait for missing trades. One that was dropped is read again when such a trade comes.
_WAITING_KEPT = 64
# A trade may be this far ahead of the exchange's clock. One from a farther future ends no candle of today.
_AHEAD = timedelta(minutes=1)


class Uncovered(NamedTuple):
    """Candles of `series` in [start, end) have ended and lack trades, or may lack some: they were not stored."""

    series: Series
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Live:
    """Following the market from `since` on, when only what an unbroken run of trades covers is a candle.

    `report` hears of every hole once; of uncovered candles only of those that end after `since`, which is asked each
    time: the exchange's clock may be known later.
    """

    since: Callable[[], datetime]
    report: Callable[[Gap | Uncovered], None]


class Tracker:
    """The buckets of one symbol that are open, or ended and not stored yet.

    Trades in the order of their ids cost little: they are folded once, and the sum goes to every timeframe. All others
    find their buckets one by one. A bucket that is not `whole` must be read from the store before it is used.
    Without `live` every bucket with a trade counts as covered. Ids here, but for those of trades given and of gaps
    reported, are the numbers that they have in `numberings`: an exchange may begin its ids anew.
    """

    def __init__(self, exchange: str, symbol: str, timeframes: Sequence[Timeframe], live: Live | None) -> None:
        self.exchange = exchange
        self.symbol = symbol
        self.buckets: dict[tuple[Timeframe, datetime], Bucket] = {}
        self.is_interrupted = False
        self.numberings = Numberings()
        self._live = live
        self._series = [Series(exchange, symbol, timeframe) for timeframe in timeframes]
        self._seen = Runs()
        self.rewind()

    def rewind(self) -> None:
        """Trades of another time follow, which end the candles of that time alone."""
        self._next_id = -1
        """One more than the highest id seen; -1 before the first."""
        self._base = 0
        """What that is more than the exchange's own."""
        self._head = self._latest = EPOCH
        """When the trade of the highest id happened, and when the latest."""
        self._clock: datetime | None = None
        self._current: list[Bucket | None] = [None] * len(self._series)
        """The bucket that holds the head, for each series; None when it was dropped."""
        self._ready: list[Bucket] = []
        """The same when all are whole and hold nothing beyond the head."""
        self._ceiling = EPOCH
        """A trade of the next id that is not before the head, and before this, belongs to all of these."""

    def take(self, trades: Iterable[Trade]) -> list[Trade]:
        """Fold `trades`, stored already and ascending by id. Those seen before change nothing, and are returned."""
        repeated: list[Trade] = []
        run: Fold | None = None
        next_id, head, ceiling = self._next_id - self._base, self._head, self._ceiling
        for trade in trades:
            # Earlier than the head it may be of before the exchange began its ids anew.
            if trade.trade_id - trade.count + 1 == next_id and head <= trade.timestamp < ceiling:
                if run is None:
                    run = Fold(trade)
                else:
                    run.add(trade)
                next_id = trade.trade_id + 1
                head = trade.timestamp
            else:
                if run is not None:
                    self._extend(run, head)
                    run = None
                if not self._place(trade):
                    repeated.append(trade)
                next_id, head, ceiling = self._next_id - self._base, self._head, self._ceiling
        if run is not None:
            self._extend(run, head)
        return repeated

    def _extend(self, run: Fold, head: datetime) -> None:
        self.is_interrupted = False
        run.first_id += self._base
        run.last_id += self._base
        self.numberings.extend(run.first_id, run.last_id, head)
        for bucket in self._ready:
            bucket.merge(run)
        self._seen.add(run.first_id, run.last_id)
        self._next_id = run.last_id + 1
        self._head = head
        self._latest = max(self._latest, head)

    def _place(self, given: Trade) -> bool:
        trade = self.numberings.numbered(given)
        first, last = trade.first_id, trade.trade_id
        base = last - given.trade_id
        if last >= self._next_id - 1:
            self.is_interrupted = False  # history that is read back says nothing of now
        if self._seen.covers(first, last):
            return False
        if self._live and 0 <= self._next_id < first:
            # Where ids begin anew, what is missing before is known by its time.
            missing = (self._next_id - base if base == self._base else 0, given.first_id - 1)
            self._live.report(Gap(self.exchange, self.symbol, *missing, self._head, trade.timestamp))
        # Nothing stored has a higher id or a later time: so it opens the buckets that begin after all that.
        opens = self._live is not None and first == self._next_id and self._seen.covers(first - 1, first - 1)
        placed: list[Bucket | None] = []
        for series, bucket in zip(self._series, self._current, strict=True):
            if bucket is None or not bucket.start <= trade.timestamp < bucket.end:
                start = series.timeframe.floor(trade.timestamp)
                key = (series.timeframe, start)
                bucket = self.buckets.get(key)
                if bucket is None:
                    bucket = self.buckets[key] = Bucket(series, start, whole=opens and self._latest < start)
            if bucket.whole:
                bucket.whole = bucket.add(trade)
            placed.append(bucket)
        self._seen.add(first, last)
        if len(self._seen) > _RUNS_KEPT:
            self._seen.keep(_RUNS_KEPT)
        self._latest = max(self._latest, trade.timestamp)
        if last >= self._next_id:
            self._next_id, self._base = last + 1, base
            self._head = trade.timestamp
            self._current = placed
        self.refresh()
        return True

    def reread(self, moment: datetime) -> None:
        """The store may have lost what was seen: from here on only what it has counts.

        The buckets that hold `moment`, and all that are kept, are to be folded anew from it.
        """
        self._seen = Runs()
        for series in self._series:
            start = series.timeframe.floor(moment)
            self.buckets.setdefault((series.timeframe, start), Bucket(series, start))
        for bucket in self.buckets.values():
            bucket.whole = False
        self.refresh()

    def refresh(self) -> None:
        """Find out anew which trades belong to all current buckets: after any of them was read or dropped."""
        self._ceiling = EPOCH
        self._ready = [bucket for bucket in self._current if bucket is not None and bucket.whole]
        is_ready = len(self._ready) == len(self._current)
        if is_ready and all(bucket.last_id < self._next_id for bucket in self._ready):
            self._ceiling = min((bucket.end for bucket in self._ready), default=END_OF_TIME)

    def pass_time(self, moment: datetime) -> bool:
        """The exchange's clock has passed `moment`: whether any bucket has ended by that.

        A symbol whose feed was interrupted stands still: in silence its trades can't be told to be complete.
        """
        if self.is_interrupted:
            return False
        self._clock = max(self._clock or moment, moment)
        return any(not bucket.reported for bucket in self.ended())

    @property
    def unread(self) -> list[Bucket]:
        """Buckets to be folded from the store before they are used."""
        return [bucket for bucket in self.buckets.values() if not bucket.whole]

    def complete(self, gap: Gap) -> None:
        """No trade is missing in `gap` any more, which was reported where ids began anew: none lies in between."""
        if gap.first_missing_id == 0 and (border := self.numberings.border(gap.after, gap.before)):
            self._seen.add(*border)

    def edges(self, bucket: Bucket) -> list[int]:
        """Ids next to those of a bucket just read that were not seen here: the store may have them."""
        if self._live is None:
            return []
        beyond = [bucket.last_id + 1] if bucket.last_id < self._next_id - 1 else []
        return [i for i in (bucket.first_id - 1, *beyond) if not self._seen.covers(i, i)]

    @property
    def _reached(self) -> datetime:
        if self._clock is None or self._clock < self._latest <= self._clock + _AHEAD:
            return self._latest
        return self._clock

    def ended(self) -> list[Bucket]:
        """Buckets whose end a later trade or the clock has passed."""
        reached = self._reached
        return [bucket for bucket in self.buckets.values() if bucket.end <= reached]

    def covers(self, bucket: Bucket) -> bool:
        """Whether an unbroken run of trades reaches from before the bucket through all of it, and on if any follow.

        True in a replay.
        """
        if not self._live:
            return True
        known = bucket.edges
        before, after = bucket.first_id - 1, bucket.last_id + 1
        return (
            (before in known or self._seen.covers(before, before))
            # An id between its own is in a neighbour, when the exchange's clock stepped back at the border.
            and (bucket.is_unbroken or all(self._seen.covers(*hole) for hole in bucket.ids.holes()))
            and (after >= self._next_id or after in known or self._seen.covers(after, after))
        )

    def report(self, bucket: Bucket) -> None:
        """Tell once that an ended bucket is not covered. It waits for the missing trades."""
        if self._live and not bucket.reported and bucket.end > self._live.since():
            self._live.report(Uncovered(bucket.series, bucket.start, bucket.end))
        bucket.reported = True

    def drop(self, buckets: Iterable[Bucket]) -> None:
        """Forget buckets that are stored, and those that have waited longest."""
        for bucket in buckets:
            del self.buckets[bucket.series.timeframe, bucket.start]
        waiting = [bucket for bucket in self.buckets.values() if bucket.reported]
        if len(waiting) > _WAITING_KEPT:
            waiting.sort(key=lambda bucket: bucket.end)
            for bucket in waiting[:-_WAITING_KEPT]:
                del self.buckets[bucket.series.timeframe, bucket.start]
        self._current = [b and self.buckets.get((b.series.timeframe, b.start)) for b in self._current]
        self.refresh()

    def forming(self) -> list[Bucket]:
        """The current buckets that are covered from their start and have not ended."""
        reached = self._reached
        return [b for b in self._current if b and b.whole and b.end > reached and self.covers(b)]
