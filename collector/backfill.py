"""History on demand: the exchange's own candles of a time when nobody followed it."""

from collections.abc import Callable
from datetime import datetime
from functools import partial, reduce

from collector.candles import numbers
from collector.okx.bars import BARS
from collector.okx.protocol import EXCHANGE
from collector.okx.rest import OKXRest
from repos.domain import EXACT, Candle, InvalidValue, Origin, Timeframe
from repos.operations import DatabaseOperations


async def backfill(
    db: DatabaseOperations,
    rest: OKXRest,
    symbol: str,
    timeframe: Timeframe,
    since: datetime,
    until: datetime,
    on_progress: Callable[[datetime], None] = lambda _: None,
    *,
    mend: bool = False,
) -> int:
    """Store the exchange's closed candles that lie in [since, until), the newest first; how many were written.

    Stored candles stay, unless `mend` replaces those that differ from the exchange's. A candle in which nothing was
    traded is left out. A timeframe that OKX has no candles of is put together from the longest that fit into it.
    `on_progress` hears how far back the work has come.

    Raises:
        InvalidValue: No candles of OKX make up this timeframe.
        OKXError: OKX refused, or could not be reached; what was stored stays.
        DatabaseOperationError: The database failed; likewise.
    """
    source = _source(timeframe)
    start = timeframe.floor(since)
    if start < since:
        start = timeframe.end(start)
    parts: dict[datetime, list[Candle]] = {}
    count = 0
    store = partial(_store, db, mend)
    async for page in rest.candles(symbol, source, start=start, end=timeframe.floor(until)):
        for candle in reversed(page):
            if candle.volume:
                parts.setdefault(timeframe.floor(candle.start_time), []).append(candle)
        # A page may begin inside a candle of ours: that one waits for the next page.
        whole = [parts.pop(key) for key in sorted(parts)[1:]]
        count += await store([_joined(timeframe, some) for some in whole])
        if page:
            on_progress(page[0].start_time)
    return count + await store([_joined(timeframe, some) for some in parts.values()])


async def _store(db: DatabaseOperations, mend: bool, candles: list[Candle]) -> int:
    if mend and candles:
        exchange, symbol, timeframe = candles[0].series
        starts = [candle.start_time for candle in candles]
        stored = await db.market_data.get_candles(symbol, timeframe, min(starts), timeframe.end(max(starts)), exchange)
        known = {candle.start_time: numbers(candle) for candle in stored}
        candles = [candle for candle in candles if known.get(candle.start_time) != numbers(candle)]
    return len(await db.market_data.upsert_candles(candles, mend))


def _source(timeframe: Timeframe) -> Timeframe:
    def fits(base: Timeframe) -> bool:
        if timeframe.months or base.months:
            return bool(timeframe.months and base.months and timeframe.months % base.months == 0)
        return not timeframe.length % base.length and not (timeframe.anchor - base.anchor) % base.length

    fitting = [base for base in BARS if fits(base)]
    if not fitting:
        raise InvalidValue("timeframe", f"no candles of OKX make up {timeframe}")
    return max(fitting, key=lambda base: (base.months, base.length))


def _joined(timeframe: Timeframe, parts: list[Candle]) -> Candle:
    """One candle of its parts, which come newest first."""
    last, first = parts[0], parts[-1]
    start = timeframe.floor(first.start_time)
    high, low = max(part.high for part in parts), min(part.low for part in parts)
    volume = reduce(EXACT.add, (part.volume for part in parts))
    names = (EXCHANGE, first.symbol, timeframe)
    return Candle(*names, first.open, high, low, last.close, volume, None, start, timeframe.end(start), Origin.EXCHANGE)
