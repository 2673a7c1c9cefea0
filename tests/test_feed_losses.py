"""What a subscriber sees after news was lost, or could not come."""

import asyncio
from contextlib import aclosing

import asyncpg
import pytest

from repos.events import CandleEventKind
from repos.feed import receiver
from repos.feed.hub import Feed
from repos.feed.news import (
    ANNOUNCED_ROWS,
    Tape,
)
from repos.operations import DatabaseOperations
from tests.builders import A_COLLECTOR, BTC_1M, a_record, a_report
from tests.test_feed import following, forming, has_read, minute, take, told

pytestmark = pytest.mark.anyio


@pytest.fixture
async def connection(database_url):
    made = await asyncpg.connect(database_url)
    yield made
    await made.close()


async def test_a_hole_in_the_revisions_is_read_from_the_table(db, feed, connection):
    await db.market_data.upsert_candle(minute(0))

    async with following(feed) as events:
        # A write whose news never came.
        await connection.execute("UPDATE market_data SET close = 105, high = 105, revision = 2")
        await connection.execute("UPDATE series SET revision = 2")
        await db.market_data.upsert_candle(minute(1))
        seen = await take(events, 2)

    assert [told(event) for event in seen] == [("CORRECTED", 0), ("CLOSED", 1)]


async def test_lost_news_is_mended_without_any_other_write(db, feed, connection, monkeypatch):
    monkeypatch.setattr(receiver, "TICK", 0.1)
    await db.market_data.upsert_candle(minute(0))

    async with following(feed) as events:
        await connection.execute("UPDATE market_data SET close = 105, high = 105, revision = 2")
        await connection.execute("UPDATE series SET revision = 2")
        feed._look_now.set()
        seen = await take(events, 1)

    assert [told(event) for event in seen] == [("CORRECTED", 0)]


async def test_nothing_is_lost_with_the_listening_connection(db, feed, connection):
    async with following(feed) as events:
        for turn in range(5):
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            )
            await db.market_data.upsert_candle(minute(turn))
        seen = await take(events, 5)

    assert [told(event) for event in seen] == [("CLOSED", n) for n in range(5)]


async def test_a_listener_that_hears_nothing_is_replaced(db, feed, monkeypatch):
    async with aclosing(feed.health()) as healths:
        async for health in healths:
            if health.bus.connected:
                break
    listen, connections = db.bus.listen, []

    async def counted(*args) -> None:
        connections.append(args)
        await listen(*args)

    monkeypatch.setattr(db.bus, "listen", counted)
    with monkeypatch.context() as patched:
        patched.setattr(receiver, "SILENCE", -1.0)
        lost = feed._lost
        feed._look_now.set()
        async with asyncio.timeout(5):
            await lost.wait()

    async with following(feed) as events:
        await db.market_data.upsert_candle(minute(0))
        seen = await take(events, 1)
        await asyncio.gather(*(db.market_data.upsert_candle(minute(n)) for n in range(1, 20)))
        await take(events, 19)

    assert told(seen[0]) == ("CLOSED", 0)
    assert len(connections) == 1


async def test_what_the_feed_reads_again_comes_to_nobody_twice(db, feed):
    await db.tape.insert([a_record(trade_id=n) for n in (1, 2)])

    async with aclosing(feed.trades("okx", "BTC-USDT", None, 1)) as events:
        await take(events, 1)
        behind = feed.topics.get(Tape("okx", "BTC-USDT"))
        behind.position = 0
        await db.tape.insert([a_record(trade_id=n) for n in (3, 4)])
        (live,) = await take(events, 1)

    assert [trade.trade_id for trade in live.trades] == [3, 4]


async def test_a_hole_in_the_tape_is_read_from_the_table(db, feed):
    async with aclosing(feed.trades("okx", "BTC-USDT", None, 0)) as events:
        batches = asyncio.ensure_future(take(events, 1))
        await has_read(feed)
        await db.tape.insert([a_record(trade_id=n) for n in range(ANNOUNCED_ROWS + 1)])
        (batch,) = await batches
        (rest,) = await take(events, 1)

    assert [t.trade_id for t in [*batch.trades, *rest.trades]] == list(range(ANNOUNCED_ROWS + 1))


async def test_unreadable_news_does_not_stop_the_feed(db, feed, connection):
    async with following(feed) as events:
        await connection.execute("SELECT pg_notify('candleql', 'nonsense')")
        await db.market_data.upsert_candle(minute(0))
        seen = await take(events, 1)

    assert [event.kind for event in seen] == [CandleEventKind.CLOSED]


@pytest.fixture
def late(database_url) -> DatabaseOperations:
    """Operations whose first two connections for news fail."""
    late = DatabaseOperations(database_url)
    connect, failures = late.bus._connect, [ConnectionRefusedError("not yet"), ConnectionRefusedError("not yet")]

    async def refuse_twice():
        if failures:
            raise failures.pop()
        return await connect()

    late.bus._connect = refuse_twice
    return late


async def test_who_subscribes_before_anything_can_be_heard_gets_the_forming_candle_too(db, late):
    async with late, Feed(late) as feed:
        feed.collectors.keep(A_COLLECTOR, a_report(BTC_1M))
        with feed.answer(lambda series: forming(4) if series == BTC_1M else None):
            async with aclosing(feed.candles(BTC_1M, None, 1)) as events:
                seen = await take(events, 1)

    assert [told(event) for event in seen] == [("FORMING", 4)]


async def test_the_feed_waits_for_a_database_that_comes_later(db, late):
    async with late, Feed(late) as feed:
        feed.collectors.keep(A_COLLECTOR, a_report(BTC_1M))
        async with following(feed) as events:
            await db.market_data.upsert_candle(minute(0))
            seen = await take(events, 1)

    assert [told(event) for event in seen] == [("CLOSED", 0)]
