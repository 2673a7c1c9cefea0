"""What the stream left out: missing trades from the exchange's history, or else its own candles."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from collector.okx.bars import bar_of
from collector.okx.protocol import EXCHANGE
from collector.okx.rest import OKXError, OKXRest, OKXUnavailable
from collector.tracker import Gap, Uncovered
from repos.domain import TradeRecord
from repos.errors import DatabaseOperationError
from repos.operations import DatabaseOperations

RETRY = 5.0
"""Seconds before the next try, when the exchange or the database can't be reached."""
CONFIRM_TRIES = 5
CONFIRM_EVERY = 2.0
"""A candle of the exchange is confirmed about a second after its end."""

Add = Callable[[Sequence[TradeRecord]], Awaitable[object]]

log = structlog.get_logger(__name__)


class Repair:
    """Mends holes, those of one symbol one after the other, so that candles are looked at after their trades."""

    def __init__(self, symbols: Sequence[str], db: DatabaseOperations, rest: OKXRest) -> None:
        self._db = db
        self._rest = rest
        self._holes: dict[str, asyncio.Queue[Gap | Uncovered]] = {symbol: asyncio.Queue() for symbol in symbols}
        self._unrecoverable = dict.fromkeys(symbols, 0)
        self._in_work = dict.fromkeys(symbols, 0)

    def report(self, hole: Gap | Uncovered) -> None:
        """Have a hole mended in its turn."""
        symbol = hole.symbol if isinstance(hole, Gap) else hole.series.symbol
        self._in_work[symbol] += isinstance(hole, Gap)
        self._holes[symbol].put_nowait(hole)

    def open_gaps(self) -> dict[str, int]:
        """By symbol, the gaps in its trades that are being mended or can't be."""
        return {symbol: self._unrecoverable[symbol] + self._in_work[symbol] for symbol in self._holes}

    async def run(self, add: Add) -> None:
        """Mend until cancelled; `add` takes the trades that were missing."""
        async with asyncio.TaskGroup() as tasks:
            for symbol, holes in self._holes.items():
                tasks.create_task(self._mend(symbol, holes, add))

    async def _mend(
        self,
        symbol: str,
        holes: asyncio.Queue[Gap | Uncovered],
        add: Add,
    ) -> None:
        while True:
            hole = await holes.get()
            if isinstance(hole, Gap):
                recovered = await self._recover(hole, add)
                self._in_work[symbol] -= 1
                self._unrecoverable[symbol] += not recovered
            else:
                await self._complete(hole)
            holes.task_done()

    async def idle(self) -> None:
        """Return when no hole waits to be mended."""
        for holes in self._holes.values():
            await holes.join()

    async def _recover(self, gap: Gap, add: Add) -> bool:
        """Read history-trades from the newest missing trade back to the oldest, and on to one that proves the run."""
        after = gap.last_missing_id + 1
        count = 0
        while True:
            try:
                page = await self._rest.history_trades(gap.symbol, after=after)
                if page:
                    await add(page)
            except (OKXUnavailable, DatabaseOperationError) as error:
                log.warning("Missing trades are waited for", symbol=gap.symbol, reason=str(error))
                await asyncio.sleep(RETRY)
                continue
            except OKXError as error:
                log.error("Missing trades were refused", symbol=gap.symbol, after=after, reason=str(error))
                return False
            if not page:
                log.error("Trades are missing and OKX has them no more", symbol=gap.symbol, first=gap.first_missing_id,
                          last=after - 1)  # fmt: skip
                return False
            count += len(page)
            oldest = min((record.trade for record in page), key=lambda trade: trade.trade_id)
            if oldest.first_id <= gap.first_missing_id or oldest.timestamp < gap.after:
                log.info("Missing trades recovered", symbol=gap.symbol, trades=count)
                return True
            after = oldest.trade_id

    async def _complete(self, hole: Uncovered) -> None:
        """Take the exchange's candles where trades do not cover them, and where it has such candles."""
        series, start, end = hole
        if bar_of(series.timeframe) is None:
            log.warning("A gap is left", series=str(series), start=start.isoformat(), end=end.isoformat())
            return
        for _ in range(CONFIRM_TRIES):
            try:
                known = await self._db.market_data.get_candles(series.symbol, series.timeframe, start, end, EXCHANGE)
                stored = {candle.start_time for candle in known}
                if len(stored) == _count(hole):
                    return
                async for candles in self._rest.candles(series.symbol, series.timeframe, start=start, end=end):
                    # A flat candle of a quiet time is the exchange's invention: where nobody traded there is none.
                    await self._db.market_data.upsert_candles([candle for candle in candles if candle.volume])
                    stored.update(candle.start_time for candle in candles)
                if len(stored) == _count(hole):
                    return
            except (OKXUnavailable, DatabaseOperationError) as error:
                log.warning("Candles are waited for", series=str(series), reason=str(error))
                await asyncio.sleep(RETRY)
            except OKXError as error:
                log.error("Candles were refused", series=str(series), reason=str(error))
                return
            await asyncio.sleep(CONFIRM_EVERY)
        log.warning("The exchange has no candle", series=str(series), start=start.isoformat(), end=end.isoformat())


def _count(hole: Uncovered) -> int:
    count, start = 0, hole.start
    while start < hole.end:
        start = hole.series.timeframe.end(start)
        count += 1
    return count
