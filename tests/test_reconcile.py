"""Candles against the exchange's own: what was lost without a sound is found, and mended."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Self

import pytest
import sqlalchemy as sa
import structlog

from collector.okx import reconcile as module
from collector.okx.collector import OKXCollector
from collector.okx.reconcile import BEHIND, Reconciliation
from collector.okx.repair import Repair
from collector.okx.rest import OKXRest
from collector.okx.simulator.faults import RestFault
from collector.okx.simulator.instruments import INSTRUMENTS
from collector.okx.simulator.rows import single
from collector.okx.simulator.server import Simulator
from collector.pipeline import Pipeline
from collector.tracker import Live
from repos.decode import decode_trade
from repos.domain import EPOCH, Candle, Gap, Origin, Series, Timeframe, Trade
from repos.events import CandleEventKind
from repos.operations import DatabaseOperations
from repos.tables import market_data, raw_trades
from tests.builders import MINUTE
from tests.simulated import NOON, an_exchange
from tests.trades import plain, records

pytestmark = pytest.mark.anyio

BTC, SHIB = "BTC-USDT", "SHIB-USDT"
BTC_1M = Series("okx", BTC, Timeframe("1m"))
TIMEFRAMES = ("5s", "1m", "5m")
MILLISECOND = timedelta(milliseconds=1)


@pytest.fixture
async def exchange() -> AsyncIterator[Simulator]:
    """One where SHIB-USDT has a minute without a trade, and it is time to compare what the follower has."""
    async with an_exchange(NOON + (5 * MINUTE + BEHIND) // MILLISECOND, seed=3) as simulator:
        yield simulator


class Follower:
    """What a collector has that followed `symbol` for five minutes from noon on, and how it compares."""

    def __init__(
        self,
        exchange: Simulator,
        db: DatabaseOperations,
        rest: OKXRest,
        symbol: str = BTC,
        timeframes: Sequence[str] = TIMEFRAMES,
    ) -> None:
        self.db = db
        self.start = EPOCH + NOON * MILLISECOND
        self.end = self.start + 5 * MINUTE
        self.symbol = symbol
        self.differences = 0
        self.trades = happened(exchange, self.start - MINUTE, self.end + MINUTE, symbol)
        self.repair = Repair({symbol: []}, db, rest)
        live = Live(lambda: self.start, self.repair.report)
        self.timeframes = [Timeframe(text) for text in timeframes]
        self.pipeline = Pipeline(db, lambda _: self.timeframes, live=live)
        self.reconciliation = Reconciliation(
            {symbol: self.timeframes}, db, rest, self.repair, self.pipeline, self._differs
        )

    def _differs(self) -> None:
        self.differences += 1

    @asynccontextmanager
    async def following(self) -> AsyncIterator[Self]:
        """What was missing at the start was looked for before there was anything; from then on holes are mended."""
        mending = asyncio.create_task(self.repair.run(self.pipeline.add))
        try:
            await self.pipeline.add(records(*self.trades))
            yield self
        finally:
            mending.cancel()
            await asyncio.gather(mending, return_exceptions=True)

    async def compare(self) -> list[dict]:
        """Compare, and mend what is mended by that; what was logged about candles."""
        with structlog.testing.capture_logs() as logs:
            await self.reconciliation.compare(self.end + BEHIND)
            async with asyncio.timeout(20):
                await self.repair.idle()
        return [entry for entry in logs if entry["event"].startswith("A candle")]

    async def lose(self, trade: Trade) -> None:
        """Lose a stored trade, and have candles as if it had never come."""
        await execute(self.db, sa.delete(raw_trades).where(raw_trades.c.trade_id == trade.trade_id))
        left = await self.db.tape.between("okx", self.symbol, self.start, self.end)
        for timeframe in self.timeframes:
            await self.db.market_data.upsert_candles(plain(left, timeframe))

    async def candles(self, timeframe: str = "1m") -> list[Candle]:
        return await self.db.market_data.get_candles(self.symbol, timeframe, self.start, self.end)

    def truth(self, timeframe: str = "1m") -> list[Candle]:
        return plain([t for t in self.trades if self.start <= t.timestamp < self.end], timeframe)

    async def revision(self) -> int:
        return (await self.db.market_data.revisions([BTC_1M]))[BTC_1M]


def happened(exchange: Simulator, start: datetime, end: datetime, symbol: str = BTC) -> list[Trade]:
    matches = exchange.ledger(symbol, (start - EPOCH) // MILLISECOND, (end - EPOCH) // MILLISECOND)
    return [decode_trade("okx", symbol, single(INSTRUMENTS[symbol], match)) for match in matches]


async def execute(db: DatabaseOperations, statement: sa.Delete) -> None:
    async with db.engine.begin() as connection:
        await connection.execute(statement)


def largest(trades: list[Trade], start: datetime) -> Trade:
    """The trade that its minute would miss most."""
    return max((t for t in trades if start <= t.timestamp < start + MINUTE), key=lambda trade: trade.size)


@pytest.fixture
async def rest(exchange: Simulator) -> AsyncIterator[OKXRest]:
    async with OKXRest(exchange.rest_url) as client:
        yield client


@pytest.fixture
async def follower(exchange: Simulator, db: DatabaseOperations, rest: OKXRest) -> AsyncIterator[Follower]:
    async with Follower(exchange, db, rest).following() as follower:
        yield follower


async def test_candles_that_are_the_exchanges_are_no_difference(follower):
    assert await follower.candles() == follower.truth()

    assert await follower.compare() == []

    assert follower.differences == 0


async def test_a_lost_trade_is_told_with_both_candles_and_read_back(follower):
    lost = largest(follower.trades, follower.start + 2 * MINUTE)
    await follower.lose(lost)
    [ours] = [c for c in await follower.candles() if c not in follower.truth()]
    revision = await follower.revision()

    [told] = await follower.compare()
    [mended] = await follower.compare()

    assert follower.differences == 1
    assert told["log_level"] == "error"
    assert told["ours"].endswith(format(ours.volume, "f"))
    assert told["theirs"].endswith(format(ours.volume + lost.size, "f"))
    assert mended["event"] == "A candle differs no more"
    assert await follower.db.tape.has("okx", BTC, lost.trade_id)
    for timeframe in TIMEFRAMES:
        assert await follower.candles(timeframe) == follower.truth(timeframe)
    assert await follower.revision() == revision + 1


async def test_where_no_minutes_are_kept_the_next_longer_candles_are_compared(exchange, db, rest):
    follower = Follower(exchange, db, rest, timeframes=["5s", "1d", "5m"])
    async with follower.following():
        await follower.lose(largest(follower.trades, follower.start + 2 * MINUTE))

        [told] = await follower.compare()
        [mended] = await follower.compare()

    assert (told["event"], mended["event"]) == ("A candle differs from the exchange's", "A candle differs no more")
    assert await follower.candles("5m") == follower.truth("5m")


@pytest.mark.parametrize("minutes", [1, 2], ids=["among others", "the newest"])
async def test_a_whole_lost_minute_is_read_back(follower, minutes):
    start = follower.end - 2 * MINUTE if minutes == 1 else follower.end - MINUTE
    moment = raw_trades.c.timestamp
    await execute(follower.db, sa.delete(raw_trades).where(moment >= start, moment < start + minutes * MINUTE))
    await execute(follower.db, sa.delete(market_data).where(market_data.c.start_time == start))

    [told] = await follower.compare()

    assert told["ours"] == "none"
    assert await follower.candles() == follower.truth()


async def test_a_candle_that_the_database_lost_alone_is_folded_again(follower):
    start = follower.start + 2 * MINUTE
    await execute(follower.db, sa.delete(market_data).where(market_data.c.start_time == start))

    await follower.compare()
    assert await follower.candles() != follower.truth()
    await follower.compare()

    assert await follower.candles() == follower.truth()
    assert follower.differences == 1


async def test_a_difference_that_stays_is_told_once_and_tried_once(exchange, db, rest):
    follower = Follower(exchange, db, rest)
    wrong = largest(follower.trades, follower.start + MINUTE)
    follower.trades = [replace(t, size=t.size * 2) if t is wrong else t for t in follower.trades]
    async with follower.following():
        told = [await follower.compare() for _ in range(4)]
        holes = []
        follower.repair.report = holes.append
        told.append(await follower.compare())

    assert [len(entries) for entries in told] == [1, 0, 0, 0, 0]
    assert (follower.differences, holes) == (1, [])
    assert await follower.candles() == follower.truth()


async def test_only_a_few_minutes_are_read_back_at_a_time(follower, monkeypatch):
    monkeypatch.setattr(module, "REPAIRS", 2)
    starts = [follower.start + n * MINUTE for n in (1, 2, 3)]
    for start in starts:
        await follower.lose(largest(follower.trades, start))
    report, minutes = follower.repair.report, []

    def reported(hole):
        # A start finds holes in the tape by itself: only whole minutes come from the comparison.
        if hole.after in starts:
            minutes.append(hole.after)
            report(hole)

    follower.repair.report = reported
    told = await follower.compare()
    at_first = minutes.copy()
    await follower.compare()
    await follower.compare()

    assert len(told) == follower.differences == 3
    assert (at_first, minutes) == (starts[:2], starts)
    assert await follower.candles() == follower.truth()


async def test_flat_minutes_of_a_quiet_market_are_no_difference(exchange, db, rest):
    follower = Follower(exchange, db, rest, SHIB)
    async with follower.following():
        traded = await follower.candles()

        assert await follower.compare() == []

    assert 0 < len(traded) < 5
    assert await follower.candles() == traded == follower.truth()


async def test_candles_of_another_origin_are_let_be(follower):
    [first, *_] = await follower.candles()
    ours = replace(first, volume=first.volume + 1, origin=Origin.CLIENT)
    await follower.db.market_data.upsert_candle(ours, force_update=True)

    assert await follower.compare() == []


async def test_candles_missing_where_trades_are_known_to_be_missing_are_no_news(follower):
    await execute(follower.db, sa.delete(market_data).where(market_data.c.start_time == follower.start + MINUTE))
    follower.repair.report(Gap("okx", BTC, 1, 2, follower.start, follower.end))

    assert await follower.compare() == []


async def test_an_exchange_that_does_not_answer_is_asked_the_next_time(exchange, follower):
    await follower.lose(largest(follower.trades, follower.start + MINUTE))
    exchange.faults.rest.append(RestFault("market/candles", status=400, code="51000"))

    first, second = await follower.compare(), await follower.compare()

    assert (len(first), len(second)) == (0, 1)


async def test_a_running_collector_compares(db, feed, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.2)
    start = Timeframe("1m").floor(datetime.now(UTC)) - 6 * MINUTE
    exchange = Simulator(seed=5, connections_per_second=100)
    trades = happened(exchange, start - MINUTE, start + 3 * MINUTE)
    _, truth, *others = plain(trades, "1m")
    await db.tape.insert(records(*trades))
    await db.market_data.upsert_candles([replace(truth, volume=truth.volume + 1), *others])

    async with asyncio.timeout(20), exchange, aclosing(feed.candles(BTC_1M, None, 0)) as events:
        urls = {"rest_url": exchange.rest_url, "ws_url": exchange.ws_url}
        async with OKXCollector([BTC], timeframes={BTC: ["1m"]}, db=db, feed=feed, **urls) as collector:
            async for event in events:
                if event.kind is CandleEventKind.CORRECTED and event.candle.start_time == start:
                    break

    assert event.candle == truth
    assert collector.differences == 1
