"""Whether our candles are those of the exchange: the proof, after the fact, that no trade was lost."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from collector.candles import numbers
from collector.okx.bars import bar_of
from collector.okx.protocol import EXCHANGE
from collector.okx.repair import Repair
from collector.okx.rest import OKXError, OKXRest
from collector.pipeline import Pipeline
from repos.domain import Candle, Gap, Origin, Timeframe
from repos.errors import DatabaseOperationError
from repos.operations import DatabaseOperations

SHORTEST, LONGEST = timedelta(minutes=1), timedelta(hours=1)
"""Of the candles that are compared. All trades of a longer one would be too many to read back."""
EVERY = 300.0
"""Seconds between two comparisons. Each takes one request a symbol."""
BEHIND = timedelta(minutes=3)
"""How long ago a candle must have ended: late trades came, and what was missing was mostly read back."""
WINDOW = timedelta(hours=4)
"""How far back each comparison looks, the same candles again: some are stored late, and a repair takes its time. A page
of OKX's candles is longer."""
REPAIRS = 3
"""Candles of a symbol that are read back after one comparison. All trades of a minute can be many pages, and gaps wait
for the same requests."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Difference:
    """A candle of ours, if there is one, and the exchange's. `steps` were taken to mend it."""

    ours: Candle | None
    theirs: Candle
    steps: int = 0


class Reconciliation:
    """Compares candles that were folded from trades with the exchange's, and repairs those that differ.

    Of each symbol's `timeframes` it takes the shortest of a minute to an hour that the exchange has too. A difference
    is told once. First all trades of its time are read back, which revises the candle if any was missing. If it differs
    still, the candle is folded anew from the stored trades: the database may have lost it alone. What differs even then
    stays as the trades make it.
    """

    def __init__(
        self,
        timeframes: Mapping[str, Sequence[Timeframe]],
        db: DatabaseOperations,
        rest: OKXRest,
        repair: Repair,
        pipeline: Pipeline,
        differs: Callable[[], None],
    ) -> None:
        """`differs` hears of every candle that is found to differ; again of one that changed and differs still."""
        self._db = db
        self._rest = rest
        self._repair = repair
        self._pipeline = pipeline
        self._differs = differs
        self._compared = {symbol: found for symbol, kept in timeframes.items() if (found := _comparable(kept))}
        self._differing: dict[str, dict[datetime, _Difference]] = {symbol: {} for symbol in self._compared}

    async def run(self, now: Callable[[], datetime]) -> None:
        """Compare every few minutes until cancelled; `now` is the exchange's clock."""
        while True:
            await asyncio.sleep(EVERY)
            await self.compare(now())

    async def compare(self, now: datetime) -> None:
        """Compare what ended of late, one symbol after the other. What can't be read is left to the next time."""
        for symbol, timeframe in self._compared.items():
            try:
                await self._compare(symbol, timeframe, timeframe.floor(now - WINDOW), timeframe.floor(now - BEHIND))
                await self._mend(symbol, timeframe)
            except (OKXError, DatabaseOperationError) as error:
                log.warning("Candles were not compared", symbol=symbol, reason=str(error))

    async def _compare(self, symbol: str, timeframe: Timeframe, start: datetime, end: datetime) -> None:
        stored = await self._db.market_data.get_candles(symbol, timeframe, start, end, EXCHANGE)
        ours = {candle.start_time: candle for candle in stored}
        if not ours:
            return
        # Before the first of ours nobody followed the market.
        theirs = [page async for page in self._rest.candles(symbol, timeframe, start=min(ours), end=end)]
        # Where trades are known to be missing, so are candles.
        lacks_trades = self._repair.open_gaps()[symbol] > 0
        known = self._differing[symbol]
        differing = {}
        for candle in sorted((c for page in theirs for c in page), key=lambda c: c.start_time):
            mine, before = ours.get(candle.start_time), known.get(candle.start_time)
            if _agree(mine, candle):
                if before is not None:
                    log.info("A candle differs no more", symbol=symbol, candle=_shown(candle))
            elif before is not None and (before.ours, before.theirs) == (mine, candle):
                differing[candle.start_time] = before
            elif mine is not None or not lacks_trades:
                differing[candle.start_time] = _Difference(mine, candle)
                self._differs()
                log.error(
                    "A candle differs from the exchange's", symbol=symbol, ours=_shown(mine), theirs=_shown(candle)
                )
        self._differing[symbol] = differing

    async def _mend(self, symbol: str, timeframe: Timeframe) -> None:
        differing = self._differing[symbol].items()
        if self._repair.open_gaps()[symbol] == 0:
            for moment, difference in differing:
                if difference.steps == 1:
                    await self._pipeline.refold(EXCHANGE, symbol, moment)
                    difference.steps = 2
        for moment, difference in [item for item in differing if item[1].steps == 0][:REPAIRS]:
            if (hole := await self._hole(symbol, moment, timeframe.end(moment))) is not None:
                self._repair.report(hole)
            difference.steps = 1

    async def _hole(self, symbol: str, start: datetime, end: datetime) -> Gap | None:
        """All trades of a candle, as if none was there: which are missing only the exchange can tell."""
        near = await self._db.tape.between(EXCHANGE, symbol, start - BEHIND, end + BEHIND)
        near.sort(key=lambda trade: (trade.timestamp, trade.trade_id))  # as ids may begin anew
        before = [trade.trade_id for trade in near if trade.timestamp < start][-1:] or [-1]
        after = [trade.first_id for trade in near if trade.timestamp >= end][:1]
        if not after:  # nothing followed: what was lost may reach up to the newest
            for newest, _ in await self._rest.history_trades(symbol, limit=1):
                after, end = [newest.trade_id + 1], max(end, newest.timestamp)
        first = before[0] + 1 if after and before[0] < after[0] else 0
        return Gap(EXCHANGE, symbol, first, after[0] - 1, start, end) if after else None


def _comparable(timeframes: Sequence[Timeframe]) -> Timeframe | None:
    found = [each for each in timeframes if SHORTEST <= each.length <= LONGEST and bar_of(each) is not None]
    return min(found, key=lambda timeframe: timeframe.length, default=None)


def _agree(ours: Candle | None, theirs: Candle) -> bool:
    """Whether ours says the same. A flat candle of a quiet minute is the exchange's invention: there is none of ours.

    One of another origin was not folded from trades, so it proves nothing.
    """
    if ours is None:
        return not theirs.volume
    return ours.origin is not Origin.TRADES or numbers(ours) == numbers(theirs)


def _shown(candle: Candle | None) -> str:
    """A candle as a line of the log: its start, then open, high, low, close and volume."""
    if candle is None:
        return "none"
    return " ".join([candle.start_time.isoformat(), *(format(number, "f") for number in numbers(candle))])
