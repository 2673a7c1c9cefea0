"""A live pipeline whose clock the test turns."""

from datetime import datetime, timedelta

from collector.pipeline import Pipeline
from collector.tracker import Live, Uncovered
from repos.domain import Candle, Gap, Series, Timeframe, Trade
from repos.operations import DatabaseOperations
from tests.builders import NOON
from tests.trades import records

BTC = Series.of("okx", "BTC-USDT", "5s")
BEFORE, AFTER = NOON - timedelta(days=40), NOON + timedelta(days=40)


class Market:
    """A live pipeline over `db` with the timeframe 5s unless said otherwise, what it reported, and a clock to turn.

    `now` is what the exchange's clock shows, where that is known.
    """

    def __init__(
        self,
        db: DatabaseOperations,
        *timeframes: str,
        since: datetime = NOON,
        live: bool = True,
        force_update: bool = False,
        now: datetime | None = None,
    ) -> None:
        self.db = db
        self.holes: list[Gap | Uncovered] = []
        self.seconds = 0.0
        self.pipeline = Pipeline(
            db,
            lambda _: [Timeframe(t) for t in timeframes or ("5s",)],
            live=Live(lambda: since, self.holes.append) if live else None,
            force_update=force_update,
            clock=lambda: self.seconds,
            now=lambda: now,
        )

    async def add(self, *trades: Trade) -> list[Trade]:
        return await self.pipeline.add(records(*trades))

    async def tick(self, moment: datetime) -> None:
        """The exchange's clock shows `moment`, and nothing is on its way."""
        await self.pipeline.tick(lambda _: moment)

    async def candles(self, timeframe: str = "5s", symbol: str = "BTC-USDT") -> list[Candle]:
        return await self.db.market_data.get_candles(symbol, timeframe, BEFORE, AFTER)

    async def revision(self, series: Series = BTC) -> int:
        return (await self.db.market_data.revisions([series])).get(series, 0)
