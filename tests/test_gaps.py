"""Gaps in the trades: stored until they are recovered, and told to everyone who reads what they touch."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta

import pytest

from repos.domain import Gap, Series, Timeframe
from repos.events import CandleEvent, CandleEventKind, TimeRange
from repos.feed import receiver
from repos.feed.hub import Feed
from repos.feed.news import GapNews, Tape
from repos.operations import DatabaseOperations
from tests.builders import BTC_1M, MINUTE, NOON, a_candle, a_record
from tests.test_feed import following, take

pytestmark = pytest.mark.anyio

BTC = Tape("okx", "BTC-USDT")
SECOND = timedelta(seconds=1)


def a_gap(**changes) -> Gap:
    """Ids 11 to 20 of BTC-USDT, from 12:01:30 to 12:02:10."""
    return replace(Gap("okx", "BTC-USDT", 11, 20, NOON + 90 * SECOND, NOON + 130 * SECOND), **changes)


TOUCHED = TimeRange(NOON + MINUTE, NOON + 3 * MINUTE)
"""The minutes that a_gap touches."""


async def leave_open(db: DatabaseOperations, gap: Gap | None = None) -> Gap:
    gap = gap or a_gap()
    await db.gaps.add(gap)
    await db.gaps.leave_open(gap, gap)
    return gap


def told(event: CandleEvent) -> tuple[str, object]:
    return event.kind.name, event.gap or event.candle.start_time


async def known(feed: Feed, count: int, tape: Tape = BTC) -> None:
    """Return when this process knows so many open gaps."""
    feed._look_now.set()
    async with asyncio.timeout(10):
        while len(feed.topics.gaps.of(tape)) != count:
            await asyncio.sleep(0.01)


async def test_a_gap_is_stored_once_and_kept_until_it_is_closed(db):
    await db.gaps.add(a_gap())
    await db.gaps.add(a_gap())
    await db.gaps.add(a_gap(first_missing_id=15))
    await db.gaps.add(a_gap(symbol="ETH-USDT"))

    stored = await db.gaps.of("okx", ["BTC-USDT"])
    await db.gaps.close(a_gap())

    assert stored == [a_gap()]
    assert await db.gaps.of("okx", ["BTC-USDT", "ETH-USDT"]) == [a_gap(symbol="ETH-USDT")]


async def test_what_is_left_of_a_gap_takes_its_place(db):
    left = a_gap(last_missing_id=15, before=NOON + 100 * SECOND)
    await db.gaps.add(a_gap())

    asked = await db.gaps.open()
    await db.gaps.leave_open(a_gap(), left)

    assert asked == []
    assert await db.gaps.of("okx", ["BTC-USDT"]) == [left]
    assert await db.gaps.open() == [GapNews(BTC, 1, left.after, left.before, True)]


async def test_a_gap_that_changed_meanwhile_is_left_to_who_changed_it(db):
    await db.gaps.add(a_gap())

    await db.gaps.leave_open(a_gap(first_missing_id=12), a_gap(first_missing_id=13))
    await db.gaps.close(a_gap(last_missing_id=30))

    assert (await db.gaps.of("okx", ["BTC-USDT"]), await db.gaps.open()) == ([a_gap()], [])


async def test_a_gap_is_told_in_whole_candles_to_all_series_of_its_symbol(db, feed):
    five = Series("okx", "BTC-USDT", Timeframe("5m"))

    async with following(feed) as minutes, aclosing(feed.candles(five, None, 0)) as fives:
        await leave_open(db, a_gap(symbol="ETH-USDT"))
        await leave_open(db)
        heard = [*await take(minutes, 1), *await take(fives, 1)]

    assert [told(event) for event in heard] == [
        ("GAP", TOUCHED),
        ("GAP", TimeRange(NOON, NOON + timedelta(minutes=5))),
    ]
    assert heard[0].position.series == BTC_1M


async def test_who_begins_hears_of_every_open_gap_between_snapshot_and_live(db, feed):
    await db.market_data.upsert_candle(a_candle())
    await leave_open(db)
    later = await leave_open(db, a_gap(first_missing_id=41, last_missing_id=42, before=NOON + 600 * SECOND))
    await known(feed, 2)

    async with aclosing(feed.candles(BTC_1M, None, 5)) as events:
        seen = await take(events, 3)
        await db.market_data.upsert_candle(a_candle(start_time=NOON + 20 * MINUTE))
        seen += await take(events, 1)

    assert [told(event) for event in seen] == [
        ("SNAPSHOT", NOON),
        ("GAP", TOUCHED),
        ("GAP", TimeRange(TOUCHED.start, Timeframe("1m").floor(later.before) + MINUTE)),
        ("CLOSED", NOON + 20 * MINUTE),
    ]
    assert seen[1].position == seen[0].position


async def test_who_resumes_hears_of_it_again_after_what_was_written(db, feed):
    await db.market_data.upsert_candle(a_candle())
    await leave_open(db)
    await known(feed, 1)
    async with aclosing(feed.candles(BTC_1M, None, 1)) as events:
        *_, gap = await take(events, 2)
    await db.market_data.upsert_candle(a_candle(start_time=NOON + 20 * MINUTE))

    async with aclosing(feed.candles(BTC_1M, gap.position, 1)) as events:
        resumed = await take(events, 2)

    assert [told(event) for event in resumed] == [("CLOSED", NOON + 20 * MINUTE), ("GAP", TOUCHED)]


async def test_a_gap_whose_news_was_lost_is_found_in_the_table_and_told_once(db, feed, monkeypatch):
    monkeypatch.setattr(receiver, "TICK", 0.05)
    await db.gaps.add(a_gap())

    async with following(feed) as events:
        with monkeypatch.context() as deaf:
            deaf.setattr(db.bus, "announce", _nothing)
            await db.gaps.leave_open(a_gap(), a_gap())
        seen = await take(events, 1)
        await known(feed, 1)
        await db.market_data.upsert_candle(a_candle())
        seen += await take(events, 1)

    assert [told(event) for event in seen] == [("GAP", TOUCHED), ("CLOSED", NOON)]


async def _nothing(*_: object) -> None:
    """Announces nothing."""


async def test_a_gap_that_was_closed_is_told_to_nobody_who_comes_later(db, feed):
    await db.market_data.upsert_candle(a_candle())
    await leave_open(db)
    await known(feed, 1)

    await db.gaps.close(a_gap())
    await known(feed, 0)
    async with aclosing(feed.candles(BTC_1M, None, 1)) as events:
        seen = await take(events, 1)
        await db.market_data.upsert_candle(a_candle(start_time=NOON + MINUTE))
        seen += await take(events, 1)

    assert [event.kind for event in seen] == [CandleEventKind.SNAPSHOT, CandleEventKind.CLOSED]


async def test_a_closing_whose_news_was_lost_is_found_in_the_table(db, feed, monkeypatch):
    await leave_open(db)
    await known(feed, 1)

    with monkeypatch.context() as deaf:
        deaf.setattr(db.bus, "announce", _nothing)
        await db.gaps.close(a_gap())

    await known(feed, 0)


async def test_the_tape_tells_gaps_too(db, feed):
    await db.tape.insert([a_record(trade_id=10)])
    await leave_open(db)
    await known(feed, 1)
    expected = TimeRange(a_gap().after, a_gap().before + timedelta(milliseconds=1))

    async with aclosing(feed.trades("okx", "BTC-USDT", None, 1)) as events:
        snapshot, gap = await take(events, 2)
        await db.tape.insert([a_record(trade_id=21)])
        (live,) = await take(events, 1)

    assert (gap.position, gap.trades, gap.gap) == (snapshot.position, [], expected)
    assert [[trade.trade_id for trade in event.trades] for event in (snapshot, live)] == [[10], [21]]
