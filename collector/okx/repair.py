"""What the stream left out: missing trades from the exchange's history, or else its own candles."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import inf

import structlog

from collector.ids import Runs
from collector.okx.bars import bar_of
from collector.okx.patience import RETRY, patiently
from collector.okx.protocol import EXCHANGE
from collector.okx.rest import OKXError, OKXRest, OKXUnavailable
from collector.tracker import Uncovered
from repos.domain import Gap, Series, Timeframe, TradeRecord
from repos.errors import DatabaseOperationError
from repos.operations import DatabaseOperations

ASK_AGAIN = 900.0
"""Seconds between two tries to recover a gap that is left open."""
KEPT = timedelta(days=92)
"""Of how long ago OKX has trades: three months. What is missing from before stays missing, and is not asked for."""
TELL_AFTER = 5.0
"""Seconds after which a gap that is not recovered yet counts as open, whatever the reason. Most take one."""
LOOK_EVERY = 1.0
CONFIRM_TRIES = 5
CONFIRM_EVERY = 2.0
"""A candle of the exchange is confirmed about a second after its end."""

SLIP = timedelta(seconds=1)
"""Steps back of the exchange's clock are shorter: other trades of these ids are of before it began its ids anew."""

Add = Callable[[Sequence[TradeRecord]], Awaitable[object]]

log = structlog.get_logger(__name__)


class Repair:
    """Mends holes, those of one symbol one after the other, so that candles are looked at after their trades.

    Gaps are stored before they are mended, so that the next process goes on with those that this one leaves. Whenever
    one can't be recovered, its candles of all `timeframes` of its symbol that have ended and are not stored are taken
    from the exchange, where it has such: that outlives this process as the gap does.
    """

    def __init__(
        self,
        timeframes: Mapping[str, Sequence[Timeframe]],
        db: DatabaseOperations,
        rest: OKXRest,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`now` is the exchange's clock: the machine's may be minutes off, and would take a candle for ended."""
        self._now = now
        self._timeframes = timeframes
        self._db = db
        self._rest = rest
        self._reported: asyncio.Queue[Gap | Uncovered] = asyncio.Queue()
        self._holes: dict[str, asyncio.Queue[Gap | Uncovered]] = {symbol: asyncio.Queue() for symbol in timeframes}
        self._old: asyncio.Queue[Gap | Uncovered] = asyncio.Queue()
        """Gaps of before, apart: what is missing now does not wait for them."""
        self._in_work: dict[Gap, float] = {}
        """Since when each is stored and not told; inf before, and when it is told."""
        self._left: set[Gap] = set()

    def report(self, hole: Gap | Uncovered) -> None:
        """Have a hole mended in its turn."""
        if isinstance(hole, Gap):
            if hole in self._in_work:
                return
            self._in_work[hole] = inf
        self._reported.put_nowait(hole)

    def open_gaps(self) -> dict[str, int]:
        """By symbol, the gaps in its trades that are being mended or can't be."""
        counts = dict.fromkeys(self._holes, 0)
        for gap in self._in_work.keys() | self._left:
            counts[gap.symbol] += 1
        return counts

    async def run(self, add: Add, mended: Callable[[Gap], Awaitable[None]] | None = None) -> None:
        """Mend until cancelled, what was left open too.

        `add` takes the trades that were missing; `mended` hears of a gap when it took all of them.
        """
        await self._take_up()  # before anything is reported, which would be stored and taken up too
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep())
            tasks.create_task(self._ask_again())
            tasks.create_task(self._tell())
            for holes in (*self._holes.values(), self._old):
                tasks.create_task(self._mend(holes, add, mended))

    async def idle(self) -> None:
        """Return when no hole that was reported waits to be mended."""
        await self._reported.join()
        for holes in self._holes.values():
            await holes.join()

    async def _keep(self) -> None:
        """Store gaps as they are reported, and have them mended."""
        while True:
            hole = await self._reported.get()
            if isinstance(hole, Gap):
                await patiently(self._db.gaps.add, hole)
                self._in_work[hole] = asyncio.get_running_loop().time()
                self._holes[hole.symbol].put_nowait(hole)
            else:
                self._holes[hole.series.symbol].put_nowait(hole)
            self._reported.task_done()

    async def _ask_again(self) -> None:
        while True:
            await asyncio.sleep(ASK_AGAIN)
            await self._take_up()

    async def _tell(self) -> None:
        """Count gaps as open, which is news, that take longer than a moment."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(LOOK_EVERY)
            for gap in [gap for gap, since in self._in_work.items() if clock() >= since + TELL_AFTER]:
                await patiently(self._db.gaps.leave_open, gap, gap)
                if gap in self._in_work:
                    self._in_work[gap] = inf

    async def _take_up(self) -> None:
        """Have the stored gaps mended that this process does not work on, unless they are too old for that."""
        stored = await patiently(self._db.gaps.of, EXCHANGE, list(self._holes))
        self._left.intersection_update(stored)
        kept_since = self._now() - KEPT
        for gap in stored:
            if gap.before >= kept_since and gap not in self._in_work:
                self._in_work[gap] = asyncio.get_running_loop().time()
                self._old.put_nowait(gap)
            elif gap.before < kept_since and gap not in self._left:
                await patiently(self._db.gaps.leave_open, gap, gap)
                self._left.add(gap)

    async def _mend(
        self,
        holes: asyncio.Queue[Gap | Uncovered],
        add: Add,
        mended: Callable[[Gap], Awaitable[None]] | None,
    ) -> None:
        while True:
            hole = await holes.get()
            if isinstance(hole, Gap):
                left = await self._recover(hole, add)
                if left is None:
                    if mended is not None:
                        await patiently(mended, hole)
                    await patiently(self._db.gaps.close, hole)
                else:
                    await patiently(self._db.gaps.leave_open, hole, left)
                del self._in_work[hole]
                self._left.discard(hole)
                if left is not None:
                    self._left.add(left)
                    for candles in self._touched(left):
                        await self._complete(candles)
            elif holes is not self._old and self._may_come(hole):
                self._old.put_nowait(hole)
            else:
                await self._complete(hole)
            holes.task_done()

    def _may_come(self, hole: Uncovered) -> bool:
        """Whether trades of these candles are still asked for: those of a gap of before, which is mended apart."""
        symbol = hole.series.symbol
        return any(gap.symbol == symbol and gap.after < hole.end and hole.start <= gap.before for gap in self._in_work)

    async def _recover(self, gap: Gap, add: Add) -> Gap | None:
        """Read history-trades from the newest missing trade back to the oldest, and on to one that proves the run.

        Returns what is missing still: where the exchange refuses, has no more, or left out some.
        """
        if gap.first_missing_id > gap.last_missing_id:  # ids began anew with 0
            await self._recover_sooner(gap, add)
            return None
        known = Runs()
        known.add(gap.last_missing_id + 1, gap.last_missing_id + 1)
        before = gap.before
        count = 0
        while known.first > gap.first_missing_id:
            page = await self._page(gap.symbol, add, after=known.first)
            if page is None:
                break
            told = [trade for trade, _ in page if gap.after - SLIP <= trade.timestamp <= gap.before + SLIP]
            is_over = all(trade.trade_id >= known.first for trade in told)
            if is_over and gap.first_missing_id == 0:
                known.add(0, known.first)  # here ids begin, at a listing or anew: whatever the first one is
                await self._recover_sooner(gap, add)
                break
            count += len(told)
            for trade in told:
                known.add(trade.first_id, trade.trade_id)
            oldest = min((trade for trade, _ in page), key=lambda trade: trade.trade_id, default=None)
            if oldest and oldest.timestamp < gap.after and oldest.trade_id > gap.first_missing_id and _in_order(page):
                known.add(gap.first_missing_id, known.first)  # what is missing is not older
            elif is_over:
                log.error("Trades are missing and OKX has them no more", symbol=gap.symbol, first=gap.first_missing_id,
                          last=known.first - 1)  # fmt: skip
                break
            elif len(known) == 1:
                before = min(trade.timestamp for trade in told)
        known.add(gap.first_missing_id - 1, gap.first_missing_id - 1)
        missing = [hole for hole in known.holes() if hole[1] >= gap.first_missing_id]
        if not missing:
            log.info("Missing trades recovered", symbol=gap.symbol, trades=count)
            return None
        (first, _), (_, last) = missing[0], missing[-1]
        log.error("A gap is left open", symbol=gap.symbol, first=first, last=last, recovered=count)
        return replace(gap, first_missing_id=first, last_missing_id=last, before=before)

    async def _recover_sooner(self, gap: Gap, add: Add) -> None:
        """Read what happened in the gap before the ids began anew, if they did: back to what was known before it."""
        moment = gap.before
        while moment > gap.after:
            page = await self._page(gap.symbol, add, before=moment)
            if page is None:
                return
            oldest = min((trade.timestamp for trade, _ in page), default=moment)
            if oldest >= moment:
                return
            moment = oldest

    async def _page(
        self, symbol: str, add: Add, *, after: int | None = None, before: datetime | None = None
    ) -> list[TradeRecord] | None:
        """The trades next before an id or a moment, which `add` has taken; None where the exchange refuses to tell.

        Waits for the exchange and for the database, however long one is away.
        """
        while True:
            try:
                page = await self._rest.history_trades(symbol, after=after, before=before)
                if page:
                    await add(page)
            except (OKXUnavailable, DatabaseOperationError) as error:
                log.warning("Missing trades are waited for", symbol=symbol, reason=str(error))
                await asyncio.sleep(RETRY)
            except OKXError as error:
                log.error("Missing trades were refused", symbol=symbol, after=after, before=before, reason=str(error))
                return None
            else:
                return page

    def _touched(self, gap: Gap) -> Iterator[Uncovered]:
        """The candles that the gap touches, those that have ended."""
        for timeframe in self._timeframes[gap.symbol]:
            start, now = timeframe.floor(gap.after), timeframe.floor(self._now())
            end = min(timeframe.end(timeframe.floor(gap.before)), now)
            if start < end:
                yield Uncovered(Series(gap.exchange, gap.symbol, timeframe), start, end)

    async def _complete(self, hole: Uncovered) -> None:
        """Take the exchange's candles where trades do not cover them, and where it has such candles."""
        series, start, end = hole
        if bar_of(series.timeframe) is None:
            log.warning("A gap is left", series=str(series), start=start.isoformat(), end=end.isoformat())
            return
        count = _count(hole)
        for _ in range(CONFIRM_TRIES):
            try:
                if await self._db.market_data.count(series, start=start, end=end) == count:
                    return
                told = 0
                async for candles in self._rest.candles(series.symbol, series.timeframe, start=start, end=end):
                    # A flat candle of a quiet time is the exchange's invention: where nobody traded there is none.
                    traded = [candle for candle in candles if candle.volume]
                    await self._db.market_data.upsert_candles(traded, now=end)  # the exchange's clock has passed it
                    told += len(candles)
                if told == count:
                    return
            except (OKXUnavailable, DatabaseOperationError) as error:
                log.warning("Candles are waited for", series=str(series), reason=str(error))
                await asyncio.sleep(RETRY)
                self._holes[series.symbol].put_nowait(hole)  # behind the gaps that came meanwhile
                return
            except OKXError as error:
                log.error("Candles were refused", series=str(series), reason=str(error))
                return
            await asyncio.sleep(CONFIRM_EVERY)
        log.warning("The exchange has no candle", series=str(series), start=start.isoformat(), end=end.isoformat())


def _in_order(page: Sequence[TradeRecord]) -> bool:
    """Whether ids of one numbering alone are in it, newest first."""
    return all(sooner.trade.timestamp <= later.trade.timestamp + SLIP for later, sooner in pairwise(page))


def _count(hole: Uncovered) -> int:
    (_, _, timeframe), start, end = hole
    if timeframe.months:
        return ((end.year - start.year) * 12 + end.month - start.month) // timeframe.months
    return (end - start) // timeframe.length
