"""The feed: what a subscriber sees, in what order, and what it sees after news was lost."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest

from repos.domain import Candle, Origin
from repos.errors import MailboxOverflow
from repos.events import BotEventKind, CandleEvent, CollectorReport, FeedHealth, Position
from repos.feed import receiver
from repos.feed.hub import Feed
from repos.feed.mailbox import MOST
from repos.feed.news import (
    ANNOUNCED_ROWS,
    CollectorNews,
    FormingNews,
)
from tests.builders import BTC_1M, MINUTE, NOON, a_candle, a_record

pytestmark = pytest.mark.anyio

ETH_1M = BTC_1M._replace(symbol="ETH-USDT")
T = TypeVar("T")


def minute(number: int, **changes: object) -> Candle:
    return a_candle(start_time=NOON + number * MINUTE, **changes)


def forming(number: int, **changes: object) -> Candle:
    return minute(number, origin=Origin.TRADES, is_final=False, **changes)


def told(event: CandleEvent) -> tuple[str, int]:
    return event.kind.name, int((event.candle.start_time - NOON) / MINUTE)


async def take(events: AsyncIterator[T], count: int) -> list[T]:
    async with asyncio.timeout(15):
        return [await anext(events) for _ in range(count)]


async def has_read(feed: Feed) -> None:
    """Return when the next subscriber has done its first reads."""
    done, reached = asyncio.Event(), feed.topics.reached

    def spy(*args) -> None:
        reached(*args)
        done.set()

    feed.topics.reached = spy
    async with asyncio.timeout(10):
        await done.wait()
    feed.topics.reached = reached


@asynccontextmanager
async def following(feed: Feed):
    """A subscriber of one series who has read what was written before."""
    async with aclosing(feed.candles(BTC_1M, None, 0)) as events:
        first = asyncio.ensure_future(anext(events))
        await has_read(feed)

        async def all_events():
            yield await first
            async for event in events:
                yield event

        try:
            yield all_events()
        finally:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)


async def test_snapshot_comes_first_then_every_change(db, feed):
    await db.market_data.upsert_candles([minute(n) for n in range(3)])

    async with aclosing(feed.candles(BTC_1M, None, 2)) as events:
        snapshot = await take(events, 2)
        await db.market_data.upsert_candles([minute(3), minute(4)])
        await db.market_data.upsert_candle(minute(3, close=110), force_update=True)
        live = await take(events, 3)

    assert [told(event) for event in snapshot] == [("SNAPSHOT", 1), ("SNAPSHOT", 2)]
    assert [told(event) for event in live] == [("CLOSED", 3), ("CLOSED", 4), ("CORRECTED", 3)]


async def test_after_a_cursor_comes_what_was_written_since(db, feed):
    await db.market_data.upsert_candles([minute(0), minute(1)])
    position = (await db.market_data.page(BTC_1M)).position
    await db.market_data.upsert_candles([minute(1, close=110), minute(2)], force_update=True)
    await db.market_data.upsert_candle(minute(2, close=111), force_update=True)

    async with aclosing(feed.candles(BTC_1M, position, 1)) as events:
        resumed = await take(events, 2)

    assert [(told(event), event.candle.close) for event in resumed] == [(("CORRECTED", 1), 110), (("CLOSED", 2), 111)]


async def test_every_event_can_be_resumed_from(db, feed):
    await db.market_data.upsert_candles([minute(n) for n in range(3)])
    start = Position(BTC_1M, 0, None, None, db.epoch.current)
    async with aclosing(feed.candles(BTC_1M, start, 0)) as events:
        seen = await take(events, 3)

    for number, event in enumerate(seen[:-1]):
        async with aclosing(feed.candles(BTC_1M, event.position, 0)) as events:
            rest = await take(events, 2 - number)
        assert [told(each) for each in rest] == [told(each) for each in seen[number + 1 :]]


async def test_forming_candles_come_with_the_position_of_the_last_write(db, feed):
    await db.market_data.upsert_candle(minute(0))

    async with aclosing(feed.candles(BTC_1M, None, 1)) as events:
        (snapshot,) = await take(events, 1)
        await db.bus.publish(FormingNews([forming(1)]))
        (event,) = await take(events, 1)

    assert told(event) == ("FORMING", 1)
    assert event.position == snapshot.position
    assert not event.candle.is_final


async def test_a_forming_candle_never_follows_its_own_closed_one(db, feed):
    async with following(feed) as events:
        await db.market_data.upsert_candle(minute(1))
        closed = await take(events, 1)
        delivered = asyncio.Event()
        with feed.topics.follow([ETH_1M], lambda _: delivered.set()):
            await db.bus.publish(FormingNews([forming(1), forming(1, symbol=ETH_1M.symbol)]))
            async with asyncio.timeout(10):
                await delivered.wait()
        live = asyncio.create_task(take(events, 1))
        await asyncio.sleep(0)  # what waits is read before the newer one takes its place
        await db.bus.publish(FormingNews([forming(2)]))
        seen = [*closed, *await live]

    assert [told(event) for event in seen] == [("CLOSED", 1), ("FORMING", 2)]


async def test_a_new_subscriber_gets_the_forming_candle_at_once(db, feed):
    async with following(feed) as first:
        await db.bus.publish(FormingNews([forming(1)]))
        await take(first, 1)

        async with aclosing(feed.candles(BTC_1M, None, 1)) as second:
            seen = await take(second, 1)

    assert [told(event) for event in seen] == [("FORMING", 1)]


async def test_the_first_subscriber_asks_and_a_collector_answers(db, feed):
    with feed.answer(lambda series: forming(4) if series == BTC_1M else None):
        async with aclosing(feed.candles(BTC_1M, None, 1)) as events:
            seen = await take(events, 1)

    assert [told(event) for event in seen] == [("FORMING", 4)]


async def test_a_candle_of_another_process_arrives(db, feed, database_url):
    script = (
        "import asyncio, sys\n"
        "from repos.operations import DatabaseOperations\n"
        "from tests.builders import a_candle\n"
        "async def main():\n"
        "    async with DatabaseOperations(sys.argv[1]) as db:\n"
        "        await db.market_data.upsert_candle(a_candle(close=123))\n"
        "asyncio.run(main())\n"
    )
    async with following(feed) as events:
        writer = await asyncio.create_subprocess_exec(sys.executable, "-c", script, database_url)
        (event,) = await take(events, 1)
        await writer.wait()

    assert (told(event), event.candle.close) == (("CLOSED", 0), 123)


async def test_a_write_too_large_to_announce_is_read(db, feed):
    count = ANNOUNCED_ROWS + 1

    async with following(feed) as events:
        await db.market_data.upsert_candles([minute(n) for n in range(count)])
        seen = await take(events, count)

    assert [told(event) for event in seen] == [("CLOSED", n) for n in range(count)]


async def test_trades_come_in_the_order_of_writing_and_resume(db, feed):
    await db.tape.insert([a_record(trade_id=n) for n in (1, 2)])

    async with aclosing(feed.trades("okx", "BTC-USDT", None, 1)) as events:
        (snapshot,) = await take(events, 1)
        await db.tape.insert([a_record(trade_id=n) for n in (3, 4)])
        (live,) = await take(events, 1)
    await db.tape.insert([a_record(trade_id=5)])
    async with aclosing(feed.trades("okx", "BTC-USDT", snapshot.position, 0)) as events:
        (resumed,) = await take(events, 1)

    assert [[t.trade_id for t in event.trades] for event in (snapshot, live, resumed)] == [[2], [3, 4], [3, 4, 5]]


async def test_a_watch_list_tells_the_newest_state_of_each(db, feed):
    eth = a_candle(symbol="ETH-USDT")
    await db.market_data.upsert_candles([minute(0), minute(1), eth])

    async with aclosing(feed.watch([BTC_1M, eth.series, BTC_1M])) as events:
        snapshot = await take(events, 2)
        await db.market_data.upsert_candle(minute(0, close=105), force_update=True)  # old news
        await db.market_data.upsert_candle(minute(1, close=106), force_update=True)
        (corrected,) = await take(events, 1)
        await db.bus.publish(FormingNews([forming(2)]))
        (live,) = await take(events, 1)
        await db.market_data.upsert_candles([minute(2), minute(3)])
        (closed,) = await take(events, 1)

    assert {(event.kind.name, event.candle.symbol) for event in snapshot} == {
        ("SNAPSHOT", "BTC-USDT"),
        ("SNAPSHOT", "ETH-USDT"),
    }
    assert (told(corrected), corrected.candle.close) == (("CORRECTED", 1), 106)
    assert [told(event) for event in (live, closed)] == [("FORMING", 2), ("CLOSED", 3)]


BOT = {"name": "One", "strategy_name": "MACD", "symbol": "BTC-USDT", "timeframe": "1m", "virtual_balance": 1}


async def test_every_change_of_a_bot_is_told(db, feed):
    async with aclosing(feed.bots()) as events:
        changes = asyncio.ensure_future(take(events, 3))
        while not feed.topics.followers:
            await asyncio.sleep(0)
        bot = await db.bots.add(BOT | {"config": {"long": "ä" * 9000}})
        await db.bots.update(bot.id, {"status": "paused"})
        await db.bots.delete(bot.id)
        seen = await changes

    assert [event.kind for event in seen] == [BotEventKind.CREATED, BotEventKind.UPDATED, BotEventKind.DELETED]
    assert seen[0].bot == bot


async def test_a_bot_that_falls_silent_is_told_once(db, monkeypatch):
    monkeypatch.setattr(receiver, "TICK", 0.05)
    async with Feed(db, bot_heartbeat_timeout=timedelta(seconds=30)) as feed:
        silent = await db.bots.add(
            BOT | {"status": "active", "last_heartbeat": datetime.now(UTC) - timedelta(minutes=1)}
        )
        await db.bots.add(BOT | {"name": "Alive", "status": "active"})

        async with aclosing(feed.bots()) as events, asyncio.timeout(15):
            async for event in events:
                if event.kind is not BotEventKind.CREATED:
                    break
            await db.bots.update(silent.id, {"status": "paused"})
            next_one = await anext(events)

    assert (event.kind, event.bot) == (BotEventKind.STALE, silent)
    assert next_one.kind is BotEventKind.UPDATED


async def test_health_shows_what_collectors_report(db, feed):
    row = FeedHealth("okx", "trades-all", "BTC-USDT", True, NOON, 2, 1, 12.5)

    async with aclosing(feed.health()) as events:
        await take(events, 1)
        await db.bus.publish(CollectorNews("me", CollectorReport([row], [])))
        async with asyncio.timeout(15):
            async for health in events:
                if health.feeds:
                    break

    assert health.feeds == [row]
    assert health.database.connected


async def test_a_subscriber_that_leaves_leaves_nothing(db, feed):
    async with following(feed):
        assert feed.topics.followers == 1

    assert feed.topics.followers == 0
    assert feed.topics.series() == {}


async def test_a_reader_too_slow_for_its_letters_is_told_so(db, feed):
    async with following(feed) as events:
        await db.market_data.upsert_candles([minute(0)])
        await take(events, 1)
        for first in range(1, MOST + 2, ANNOUNCED_ROWS):
            await db.market_data.upsert_candles([minute(n) for n in range(first, first + ANNOUNCED_ROWS)])
        written = (await db.market_data.revisions([BTC_1M]))[BTC_1M]
        while feed.topics.get(BTC_1M).position < written:
            await asyncio.sleep(0.01)
        async with asyncio.timeout(15):
            with pytest.raises(MailboxOverflow):
                async for _ in events:
                    pass
