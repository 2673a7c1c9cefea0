"""What trades did not bring, and is asked of the exchange: candles, history, and what it will not tell."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import stamina

from collector.backfill import backfill
from collector.candles import numbers
from collector.okx import repair as repair_module
from collector.okx.repair import Repair
from collector.okx.rest import ATTEMPTS, OKXRest
from collector.okx.simulator.faults import RestFault
from collector.okx.simulator.server import Simulator
from collector.tracker import Uncovered
from repos.domain import Gap, Origin, Series, Timeframe
from tests.test_collector import (
    BTC,
    an_hour,
    exchange,
    happened,
    patience,
)
from tests.trades import plain

pytestmark = pytest.mark.anyio
__all__ = ["exchange", "patience"]


@pytest.fixture
async def rest(exchange: Simulator) -> AsyncIterator[OKXRest]:
    async with OKXRest(exchange.rest_url) as client:
        yield client


async def test_what_trades_do_not_cover_is_taken_from_the_exchange(exchange, db, rest):
    repair = Repair({BTC: []}, db, rest)
    minute = Series("okx", BTC, Timeframe("1m"))
    start, end = an_hour(), an_hour() + timedelta(minutes=3)

    repair.report(Uncovered(minute, start, end))
    await _until(repair, db.tape.insert, lambda: db.market_data.count(minute))

    candles = await db.market_data.get_candles(BTC, "1m", start, end)
    ours = plain(happened(exchange, start, end), "1m")
    assert [(c.open, c.high, c.low, c.close, c.volume) for c in candles] == [
        (c.open, c.high, c.low, c.close, c.volume) for c in ours
    ]
    assert {(c.origin, c.trade_count) for c in candles} == {(Origin.EXCHANGE, None)}


async def test_candles_are_waited_for_however_long_the_exchange_is_away(exchange, db, rest, monkeypatch):
    monkeypatch.setattr(repair_module, "RETRY", 0.01)
    exchange.faults.rest.append(RestFault("candles", status=503, times=repair_module.CONFIRM_TRIES + 1))
    repair = Repair({BTC: []}, db, rest)
    minute = Series("okx", BTC, Timeframe("1m"))

    repair.report(Uncovered(minute, an_hour(), an_hour() + timedelta(minutes=3)))
    with stamina.set_testing(True, attempts=1):
        await _until(repair, db.tape.insert, lambda: db.market_data.count(minute))

    assert await db.market_data.count(minute) == 3


async def test_trades_that_the_exchange_has_no_more_stay_an_open_gap(exchange, db, rest):
    repair = Repair({BTC: []}, db, rest)
    long_ago = datetime.now(UTC) - timedelta(days=30)
    (old,) = happened(exchange, long_ago, long_ago + timedelta(minutes=1))[:1]

    repair.report(Gap("okx", BTC, old.trade_id, old.trade_id + 5, long_ago, long_ago))
    while_mending = repair.open_gaps()
    await _until(repair, db.tape.insert, lambda: _true())

    assert while_mending == {BTC: 1}
    assert repair.open_gaps() == {BTC: 1}


async def test_an_exchange_that_is_away_for_a_while_is_waited_for(exchange, db, rest, monkeypatch):
    monkeypatch.setattr(repair_module, "RETRY", 0.01)
    exchange.faults.rest.append(RestFault("history-trades", status=503, times=6))
    start = an_hour()
    trades = happened(exchange, start, start + timedelta(seconds=20))
    repair = Repair({BTC: []}, db, rest)

    repair.report(Gap("okx", BTC, trades[0].trade_id, trades[9].trade_id, start, trades[9].timestamp))
    with stamina.set_testing(True, attempts=ATTEMPTS):
        await _until(repair, db.tape.insert, lambda: db.tape.has("okx", BTC, trades[0].trade_id))

    assert repair.open_gaps() == {BTC: 0}


async def test_what_the_exchange_refuses_to_tell_stays_an_open_gap(exchange, db, rest):
    exchange.faults.rest.append(RestFault("history-trades", status=400, code="51000", times=1))
    repair = Repair({BTC: []}, db, rest)

    repair.report(Gap("okx", BTC, 1, 2, an_hour(), an_hour()))
    await _until(repair, db.tape.insert, lambda: _true())

    assert repair.open_gaps() == {BTC: 1}


async def _true() -> bool:
    return True


async def _until(repair: Repair, add, done) -> None:
    """Mend until every hole is dealt with and `done` tells so."""
    async with asyncio.timeout(20):
        mending = asyncio.create_task(repair.run(add))
        try:
            await repair.idle()
            while not await done():
                await asyncio.sleep(0.01)
        finally:
            mending.cancel()
            await asyncio.gather(mending, return_exceptions=True)


@pytest.mark.parametrize("timeframe", ["5s", "1m", "10m"])
async def test_backfilled_candles_are_those_that_happened(db, timeframe):
    start, heard = an_hour(), []
    series = Series("okx", BTC, Timeframe(timeframe))

    async with Simulator(seed=5) as exchange, OKXRest(exchange.rest_url) as rest:
        count = await backfill(db, rest, BTC, series.timeframe, start, start + timedelta(minutes=21), heard.append)
        again = await backfill(db, rest, BTC, series.timeframe, start, start + timedelta(minutes=21))

    end = series.timeframe.floor(start + timedelta(minutes=21))
    candles = await db.market_data.get_candles(BTC, timeframe, start, start + timedelta(hours=1))
    ours = plain(happened(exchange, start, end), timeframe)
    assert [(c.start_time, c.open, c.high, c.low, c.close, c.volume) for c in candles] == [
        (c.start_time, c.open, c.high, c.low, c.close, c.volume) for c in ours
    ]
    assert (count, again) == (len(ours), 0)
    assert heard == sorted(heard, reverse=True)
    assert heard[-1] >= start


async def test_partial_candles_of_a_recording_are_mended_and_whole_ones_stay(db):
    start = an_hour()
    async with Simulator(seed=5) as exchange, OKXRest(exchange.rest_url) as rest:
        trades = happened(exchange, start + timedelta(seconds=90), start + timedelta(seconds=330))
        await db.market_data.upsert_candles(plain(trades, "1m"))
        stayed = await backfill(db, rest, BTC, Timeframe("1m"), start, start + timedelta(minutes=10))
        written = await backfill(db, rest, BTC, Timeframe("1m"), start, start + timedelta(minutes=10), mend=True)
        again = await backfill(db, rest, BTC, Timeframe("1m"), start, start + timedelta(minutes=10), mend=True)

    candles = await db.market_data.get_candles(BTC, "1m", start, start + timedelta(minutes=10))
    ours = plain(happened(exchange, start, start + timedelta(minutes=10)), "1m")
    assert list(map(numbers, candles)) == list(map(numbers, ours))
    whole = [candle for candle in candles if candle.origin is Origin.TRADES]
    assert [candle.start_time for candle in whole] == [start + timedelta(minutes=n) for n in (2, 3, 4)]
    assert (stayed, written, again) == (len(ours) - 5, 2, 0)
