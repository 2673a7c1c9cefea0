"""Missing trades that the exchange does not give at once: kept as gaps, told, asked for again."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import stamina

from collector.okx import repair as repair_module
from collector.okx.look_back import LookBack
from collector.okx.repair import KEPT, Repair
from collector.okx.rest import OKXRest
from collector.okx.simulator.faults import RestFault
from collector.okx.simulator.server import Simulator
from collector.tracker import Uncovered
from repos.domain import Gap, Series, Timeframe
from repos.events import CandleEventKind
from repos.operations import DatabaseOperations
from tests.builders import NOON, a_record
from tests.canned import a_reply, answering
from tests.test_collector import BTC, a_collector, an_hour, assert_true_to, happened

pytestmark = pytest.mark.anyio

REFUSED = {"path": "history-trades", "status": 400, "code": "51000"}


@pytest.fixture
async def exchange() -> AsyncIterator[Simulator]:
    async with Simulator(seed=5, rate=16, connections_per_second=100) as simulator:
        yield simulator


@pytest.fixture
async def rest(exchange: Simulator) -> AsyncIterator[OKXRest]:
    async with OKXRest(exchange.rest_url) as client:
        yield client


@asynccontextmanager
async def mending(
    db: DatabaseOperations, rest: OKXRest, *timeframes: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> AsyncIterator[Repair]:
    repair = Repair({BTC: [Timeframe(text) for text in timeframes]}, db, rest, now)
    running = asyncio.create_task(repair.run(db.tape.insert))
    try:
        yield repair
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not done():
            await asyncio.sleep(0.01)


async def closed(db: DatabaseOperations) -> None:
    async with asyncio.timeout(20):
        while await db.gaps.of("okx", [BTC]):
            await asyncio.sleep(0.01)


def a_gap(exchange: Simulator) -> Gap:
    """Ten trades of a past hour."""
    trades = happened(exchange, an_hour(), an_hour() + timedelta(seconds=20))
    return Gap("okx", BTC, trades[0].trade_id, trades[9].trade_id, an_hour(), trades[9].timestamp)


async def test_a_gap_that_was_refused_is_kept_and_recovered_by_the_next_process(exchange, db, rest):
    gap = a_gap(exchange)
    exchange.faults.rest.append(RestFault(**REFUSED))

    async with mending(db, rest) as repair:
        repair.report(gap)
        await until(lambda: not repair._in_work)
        counted = repair.open_gaps()
    kept = await db.gaps.of("okx", [BTC]), [news.is_open for news in await db.gaps.open()]
    async with mending(db, rest) as repair:
        await closed(db)
        await until(lambda: repair.open_gaps() == {BTC: 0})

    assert (counted, kept) == ({BTC: 1}, ([gap], [True]))
    stored = await db.tape.between("okx", BTC, gap.after, gap.before + timedelta(milliseconds=1))
    assert [trade.trade_id for trade in stored][-10:] == list(range(gap.first_missing_id, gap.last_missing_id + 1))


async def test_a_gap_that_a_dead_process_was_mending_is_taken_up_by_the_next(exchange, db, rest):
    gap = a_gap(exchange)
    exchange.faults.rest.append(RestFault("history-trades", status=503, times=6))

    async with mending(db, rest) as repair:
        repair.report(gap)
        async with asyncio.timeout(20):
            while not await db.gaps.of("okx", [BTC]):
                await asyncio.sleep(0.01)
    exchange.faults.rest.clear()
    told = await db.gaps.open()
    async with mending(db, rest):
        await closed(db)

    assert told == []
    assert await db.tape.has("okx", BTC, gap.first_missing_id)


async def test_the_exchange_s_candle_waits_for_the_trades_that_a_dead_process_was_missing(exchange, db, rest):
    gap = a_gap(exchange)
    await db.gaps.add(gap)
    minute = Uncovered(Series("okx", BTC, Timeframe("1m")), an_hour(), an_hour() + timedelta(minutes=1))
    repair = Repair({BTC: [Timeframe("1m")]}, db, rest)
    there_before_the_trades = []

    async def add(records):
        repair.report(minute)
        await repair.idle()
        there_before_the_trades.append(await db.market_data.count(minute.series))
        await db.tape.insert(records)

    running = asyncio.create_task(repair.run(add))
    async with asyncio.timeout(20):
        while not await db.market_data.count(minute.series):
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert there_before_the_trades == [0]
    assert await db.gaps.of("okx", [BTC]) == []


async def test_a_gap_is_asked_for_again_from_time_to_time(exchange, db, rest, monkeypatch):
    monkeypatch.setattr(repair_module, "ASK_AGAIN", 0.02)
    exchange.faults.rest.append(RestFault(**REFUSED, times=3))

    async with mending(db, rest) as repair:
        repair.report(a_gap(exchange))
        await until(lambda: not exchange.faults.rest[0].times)
        await closed(db)
        await until(lambda: repair.open_gaps() == {BTC: 0})


async def test_candles_of_a_gap_that_a_dead_process_left_are_taken_from_the_exchange_where_trades_are_not(
    exchange, db, rest
):
    start, end = an_hour() + timedelta(seconds=30), an_hour() + timedelta(minutes=4)
    trades = happened(exchange, start, end)
    await db.gaps.add(Gap("okx", BTC, trades[0].trade_id, trades[-1].trade_id, start, trades[-1].timestamp))
    exchange.faults.rest.append(RestFault(**REFUSED, times=1_000))
    minutes = Series("okx", BTC, Timeframe("1m"))

    async with mending(db, rest, "1m", "5s", "1d") as repair, asyncio.timeout(20):
        while await db.market_data.count(minutes) < 4:
            await asyncio.sleep(0.01)
        counted = repair.open_gaps()

    candles = await db.market_data.get_candles(BTC, "1m", an_hour(), an_hour() + timedelta(hours=1))
    assert counted == {BTC: 1}
    assert [candle.start_time for candle in candles] == [an_hour() + timedelta(minutes=n) for n in range(4)]
    assert_true_to(exchange, candles)


async def test_a_candle_is_not_asked_for_before_the_exchange_s_clock_has_ended_it(exchange, db, rest):
    exchange.faults.rest.append(RestFault(**REFUSED))

    async with mending(db, rest, "1m", now=lambda: an_hour() + timedelta(seconds=59)) as repair:
        repair.report(a_gap(exchange))
        await repair.idle()

    assert await db.market_data.count(Series("okx", BTC, Timeframe("1m"))) == 0


async def test_a_gap_is_told_while_the_exchange_can_t_be_reached_and_ends_with_that(
    exchange, db, feed, rest, monkeypatch
):
    monkeypatch.setattr(repair_module, "TELL_AFTER", 0.05)
    monkeypatch.setattr(repair_module, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(repair_module, "RETRY", 0.01)
    exchange.faults.rest.append(RestFault("history-trades", status=503, times=1_000_000))
    gap = a_gap(exchange)

    with stamina.set_testing(True, attempts=1):
        async with mending(db, rest) as repair, aclosing(feed.trades("okx", BTC, None, 1)) as events:
            repair.report(gap)
            async with asyncio.timeout(20):
                async for told in events:
                    if told.gap:
                        break
            exchange.faults.rest.clear()
            await closed(db)

    assert (told.gap.start, told.gap.end) == (gap.after, gap.before + timedelta(milliseconds=1))


async def test_a_gap_of_which_the_exchange_keeps_no_trades_is_shown_and_not_asked_for(exchange, db, rest, monkeypatch):
    monkeypatch.setattr(repair_module, "ASK_AGAIN", 0.01)
    long_ago = datetime.now(UTC) - KEPT - timedelta(minutes=1)
    gap = Gap("okx", BTC, 11, 20, long_ago - timedelta(minutes=1), long_ago)
    await db.gaps.add(gap)
    asked = RestFault("history-trades", times=1_000)
    exchange.faults.rest.append(asked)

    async with mending(db, rest) as repair, asyncio.timeout(20):
        while not await db.gaps.open():
            await asyncio.sleep(0.01)
        await until(lambda: repair.open_gaps() == {BTC: 1})
        repair.report(a_gap(exchange))
        await repair.idle()
        left = asked.times  # before what is left open is asked for again

    assert await db.gaps.of("okx", [BTC]) == [gap]
    assert left == 999


async def test_what_a_page_leaves_out_stays_a_gap(db):
    rows = [json.loads(a_record(trade_id=n, timestamp=NOON).raw) for n in (20, 19, 18, 17, 13, 12, 11)]
    gap = Gap("okx", BTC, 11, 20, NOON, NOON)

    async with answering(a_reply(*rows)) as rest, mending(db, rest) as repair:
        repair.report(gap)
        await repair.idle()
        left = await db.gaps.of("okx", [BTC])

    assert left == [Gap("okx", BTC, 14, 16, NOON, NOON)]


async def test_what_the_exchange_has_no_more_is_all_that_stays(db):
    rows = [json.loads(a_record(trade_id=n, timestamp=NOON).raw) for n in (20, 19, 18)]
    gap = Gap("okx", BTC, 11, 20, NOON - timedelta(minutes=5), NOON + timedelta(minutes=5))

    async with answering(a_reply(*rows), a_reply()) as rest, mending(db, rest) as repair:
        repair.report(gap)
        await repair.idle()
        left = await db.gaps.of("okx", [BTC])

    assert left == [Gap("okx", BTC, 11, 17, gap.after, NOON)]


@pytest.mark.parametrize("first", [1, 700])
async def test_a_look_back_that_comes_to_the_listing_leaves_no_gap(db, first):
    row = json.loads(a_record(trade_id=first, timestamp=NOON).raw)
    gap = Gap("okx", BTC, 0, first, NOON - timedelta(minutes=5), NOON + timedelta(minutes=5))

    async with answering(a_reply(row), a_reply(), a_reply()) as rest, mending(db, rest) as repair:
        repair.report(gap)
        await repair.idle()
        left = await db.gaps.of("okx", [BTC])

    assert left == []


@pytest.mark.parametrize(
    ("since", "minute"),
    [
        pytest.param(91, 1, id="the trade is of before the start"),
        pytest.param(59, 0, id="the exchange did not answer at first"),
    ],
)
async def test_a_look_back_is_stored_before_the_first_trade_of_its_symbol(db, rest, since, minute):
    timeframes = {BTC: [Timeframe("1m"), Timeframe("1d")]}
    look_back = LookBack(db, Repair({BTC: []}, db, rest), timeframes, lambda: NOON + timedelta(seconds=since))
    first = a_record(trade_id=20, timestamp=NOON + timedelta(seconds=90))

    await look_back.before([first], NOON + timedelta(seconds=91))

    assert await db.gaps.of("okx", [BTC]) == [
        Gap("okx", BTC, 0, 19, NOON + timedelta(minutes=minute), NOON + timedelta(seconds=90))
    ]


async def test_a_candle_in_a_gap_is_not_final_until_a_later_start_recovers_it(exchange, db, feed):
    two = Series("okx", BTC, Timeframe("2s"))
    exchange.faults.rest.append(RestFault(**REFUSED))

    async with aclosing(feed.candles(two, None, 0)) as events, asyncio.timeout(20):
        async with a_collector(exchange, db, feed, timeframes={BTC: ["2s"]}):
            # Of a symbol that was never followed before, what happened since the candle's start.
            heard = [event async for event in _until_gap(events)]
        before = await db.market_data.get_candles(BTC, "2s", heard[-1].gap.start, heard[-1].gap.end)
        async with a_collector(exchange, db, feed, timeframes={BTC: ["2s"]}):
            async for event in events:
                candle = event.candle
                if candle is not None and candle.is_final and candle.start_time == heard[-1].gap.start:
                    break
            await closed(db)

    assert before == []
    assert_true_to(exchange, [candle])


async def _until_gap(events):
    async for event in events:
        yield event
        if event.kind is CandleEventKind.GAP:
            return
