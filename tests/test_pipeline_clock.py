"""Candles that the clock ends, and what comes too late for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime

import pytest
import structlog

from collector.tracker import Uncovered
from repos.events import CandleEvent, CandleEventKind
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations
from tests.builders import NOON, a_candle
from tests.market import BTC, Market
from tests.trades import SECOND, a_trade, plain, records

pytestmark = pytest.mark.anyio


async def test_in_a_quiet_market_the_clock_ends_a_candle(db: DatabaseOperations) -> None:
    market = Market(db)
    await market.add(a_trade(9, -1), a_trade(10, 1))

    await market.tick(NOON + 6.9 * SECOND)
    assert await market.candles() == []
    await market.tick(NOON + 7 * SECOND)

    assert await market.candles() == plain([a_trade(10, 1)], "5s")


async def test_a_trade_that_comes_after_the_clock_ended_its_candle_corrects_it(db: DatabaseOperations) -> None:
    market = Market(db)
    await market.add(a_trade(9, -1), a_trade(10, 1))
    await market.tick(NOON + 8 * SECOND)

    await market.add(a_trade(11, 4, "300"))

    assert await market.candles() == plain([a_trade(10, 1), a_trade(11, 4, "300")], "5s")


@pytest.mark.parametrize("ended_by", ["a later trade", "the clock"])
async def test_a_late_trade_is_told_as_a_correction_with_a_higher_revision(
    db: DatabaseOperations, feed: Feed, ended_by: str
) -> None:
    market = Market(db)
    last = [a_trade(11, 6)] if ended_by == "a later trade" else []
    late = a_trade(11 + len(last), 4, "300")
    await db.market_data.upsert_candle(a_candle(timeframe="5s", start_time=NOON - 60 * SECOND))
    async with aclosing(feed.candles(BTC, None, 1)) as events, asyncio.timeout(30):
        await anext(events)
        told = asyncio.create_task(_finals(events, 2))
        await market.add(a_trade(9, -1), a_trade(10, 1), *last)
        await market.tick(NOON + 7 * SECOND)
        await market.add(late)
        closed, corrected = await told

    assert [event.kind for event in (closed, corrected)] == [CandleEventKind.CLOSED, CandleEventKind.CORRECTED]
    assert closed.candle == plain([a_trade(10, 1)], "5s")[0]
    assert corrected.candle == plain([a_trade(10, 1), late], "5s")[0]
    assert corrected.position.revision > closed.position.revision


async def _finals(events: AsyncIterator[CandleEvent], wanted: int) -> list[CandleEvent]:
    finals: list[CandleEvent] = []
    async for event in events:
        assert event.candle is not None
        assert event.candle.is_final == (event.kind is not CandleEventKind.FORMING)
        finals += [event] if event.candle.is_final else []
        if len(finals) == wanted:
            break
    return finals


async def test_the_clock_ends_nothing_while_the_feed_is_interrupted(db: DatabaseOperations) -> None:
    market = Market(db)
    await market.add(a_trade(9, -1), a_trade(10, 1))

    market.pipeline.interrupt("okx", "BTC-USDT")
    market.pipeline.interrupt("okx", "never seen")
    await market.tick(NOON + 60 * SECOND)
    assert await market.candles() == []
    await market.add(a_trade(10, 1))
    await market.tick(NOON + 60 * SECOND)

    assert await market.candles() == plain([a_trade(10, 1)], "5s")


async def test_the_clock_ends_nothing_while_it_is_not_known_what_was_sent(db: DatabaseOperations) -> None:
    market = Market(db)
    await market.add(a_trade(9, -1), a_trade(10, 1))

    await market.pipeline.tick(lambda _: None)
    await market.pipeline.tick({"BTC-USDT": NOON + 6.9 * SECOND}.get)
    assert await market.candles() == []
    await market.pipeline.tick({"BTC-USDT": NOON + 7 * SECOND}.get)

    assert await market.candles() == plain([a_trade(10, 1)], "5s")


async def test_history_that_is_read_back_does_not_end_an_interruption(db: DatabaseOperations) -> None:
    market = Market(db)
    await market.add(a_trade(5, -20), a_trade(9, -1), a_trade(10, 1))

    market.pipeline.interrupt("okx", "BTC-USDT")
    await market.add(a_trade(6, -19), a_trade(7, -18))
    await market.tick(NOON + 60 * SECOND)
    while_interrupted = [candle.start_time for candle in await market.candles()]
    await market.add(a_trade(10, 1))
    await market.tick(NOON + 60 * SECOND)

    assert NOON not in while_interrupted
    assert NOON in [candle.start_time for candle in await market.candles()]


async def test_the_clock_stores_no_candle_whose_last_trades_are_missing(db: DatabaseOperations) -> None:
    market = Market(db)
    await market.add(a_trade(9, -1), a_trade(10, 1), a_trade(12, 6))

    await market.tick(NOON + 60 * SECOND)

    assert await market.candles() == []
    assert market.holes[1:] == [
        Uncovered(BTC, NOON, NOON + 5 * SECOND),
        Uncovered(BTC, NOON + 5 * SECOND, NOON + 10 * SECOND),
    ]


async def test_a_trade_from_the_future_is_malformed_and_the_rest_of_its_batch_is_stored(
    db: DatabaseOperations,
) -> None:
    market = Market(db, now=NOON + 10 * SECOND)
    future = a_trade(13, 71)
    past = [a_trade(9, -1), a_trade(10, 1), a_trade(11, 4, "300"), a_trade(12, 70)]

    with structlog.testing.capture_logs() as logs:
        new = await market.add(*past, future)

    assert new == past
    assert await market.candles() == plain(past[1:3], "5s")
    assert market.pipeline.malformed == 1
    told = [entry["text"] for entry in logs if entry["event"].startswith("Malformed trade")]
    assert told == [record.raw for record in records(future)]


async def test_a_trade_from_the_future_ends_no_candle_and_the_feed_goes_on(db: DatabaseOperations) -> None:
    market = Market(db, now=NOON + 10 * SECOND)
    await market.add(a_trade(9, -1), a_trade(10, 1))

    await market.add(a_trade(7, 200_000_000, symbol="ETH-USDT"), a_trade(1_000_000, 200_000_000))
    assert await market.candles() == []
    await market.add(a_trade(11, 6))

    assert await market.candles() == plain([a_trade(10, 1)], "5s")
    assert market.pipeline.malformed == 2


async def test_candles_are_stored_while_this_machines_clock_is_minutes_behind(db: DatabaseOperations) -> None:
    start = datetime.now(UTC) + 600 * SECOND
    first = round((start - NOON) / SECOND)
    market = Market(db, since=start - 60 * SECOND, now=start)

    await market.add(*(a_trade(10 + number, first + 5 * number) for number in range(3)))

    stored = await db.market_data.get_latest_candle("BTC-USDT", "5s")
    assert stored is not None
    assert stored.start_time > datetime.now(UTC) + 590 * SECOND
    assert market.pipeline.malformed == 0
