"""The demo: a simulated exchange on loopback, a day of its history, and three bots."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import structlog

from collector.backfill import backfill
from collector.config import Pair
from collector.okx.bars import bar_of
from collector.okx.rest import OKXError, OKXRest
from collector.okx.simulator.server import Simulator
from repos.domain import DataType, Series, Timeframe
from repos.errors import DatabaseOperationError
from repos.operations import DatabaseOperations

SEED = 20_240_101
HISTORY = timedelta(days=1)
SHORT_HISTORY = timedelta(hours=2)
"""Of candles below a minute, which are put together from 1s candles: 300 of those come in a request."""
HEARTBEAT = 15.0
"""Seconds between heartbeats of the one bot that is alive."""

PAIRS = [
    Pair(symbol, frozenset({DataType.TRADE}), tuple(map(Timeframe, ("5s", "1m", "5m", "15m", "1h"))), False, False)
    for symbol in ("BTC-USDT", "ETH-USDT", "SOL-USDT", "SHIB-USDT", "BTC-USDT-SWAP")
]
BOTS = (
    {"name": "Trend rider", "strategy_name": "SimpleMACD", "symbol": "BTC-USDT", "timeframe": "1h", "status": "active",
     "virtual_balance": 10000, "config": {"fast": 12, "slow": 26, "signal": 9}},
    {"name": "Mean reverter", "strategy_name": "RSI", "symbol": "ETH-USDT", "timeframe": "5m", "status": "paused",
     "virtual_balance": 5000, "config": {"length": 14, "low": 30, "high": 70}},
    {"name": "Scalper", "strategy_name": "OrderFlow", "symbol": "SOL-USDT", "timeframe": "5s", "status": "inactive",
     "virtual_balance": 2500},
)  # fmt: skip

log = structlog.get_logger(__name__)


class Demo:
    """The market is a pure function of SEED and time, so that a second demo goes on where the first one ended."""

    @asynccontextmanager
    async def exchange(self) -> AsyncIterator[tuple[str, str]]:
        """Run the simulated exchange; its REST and websocket addresses."""
        async with Simulator(seed=SEED) as simulator:
            yield simulator.rest_url, simulator.ws_url

    async def furnish(self, db: DatabaseOperations, rest_url: str) -> None:
        """Load a day of candles and create the bots, what is not there yet; then keep one bot alive until cancelled."""
        try:
            for bot in BOTS:
                if await db.bots.get_by_name(str(bot["name"])) is None:
                    await db.bots.add(bot)
            # What came later is folded from trades: the collector reads back to the hour's beginning.
            until = Timeframe("1h").floor(datetime.now(UTC))
            async with OKXRest(rest_url) as rest:
                for pair in PAIRS:
                    for timeframe in pair.timeframes:
                        span = HISTORY if bar_of(timeframe) else SHORT_HISTORY
                        series = Series("okx", pair.symbol, timeframe)
                        stored = await db.market_data.count(series, start=until - span, end=until)
                        # All but a few, in which nothing was traded: an earlier demo was here.
                        if stored < 0.9 * (span / timeframe.length):
                            await backfill(db, rest, pair.symbol, timeframe, until - span, until)
        except (OKXError, DatabaseOperationError) as error:
            log.warning("The demo is not complete", reason=str(error))
        while True:
            try:
                bot_ = await db.bots.get_by_name(str(BOTS[0]["name"]))
                if bot_ is not None:
                    await db.bots.record_heartbeat(bot_.id)
            except DatabaseOperationError as error:
                log.warning("No heartbeat", reason=str(error))
            await asyncio.sleep(HEARTBEAT)
