"""Deleting candles: what is left, and what readers hear of it, live and when they come back."""

import asyncio
from contextlib import aclosing
from datetime import datetime, timedelta

import pytest

from repos import deletions
from repos.domain import InvalidValue, Origin
from repos.errors import CursorExpired
from repos.events import CandleEvent, Deletion, Position
from repos.feed import receiver
from repos.feed.hub import Feed
from repos.feed.news import FormingNews
from repos.operations import DatabaseOperations
from tests.builders import BTC_1M, MINUTE, NOON
from tests.test_feed import ETH_1M, following, forming, has_read, minute, take

pytestmark = pytest.mark.anyio


def at(number: int) -> datetime:
    return NOON + number * MINUTE


async def delete(db: DatabaseOperations, start: int, end: int) -> int:
    return await db.market_data.delete_candles(*BTC_1M, at(start), at(end))


async def written(db: DatabaseOperations, *numbers: int) -> None:
    """Each by a revision of its own."""
    for number in numbers:
        await db.market_data.upsert_candle(minute(number))


def number(moment: datetime) -> int:
    return int((moment - NOON) / MINUTE)


def told(event: CandleEvent) -> tuple[str, ...]:
    """Kind, and minute or minutes."""
    assert (event.candle is None) is (event.gap is not None)
    moments = [event.candle.start_time] if event.candle else event.gap
    return event.kind.name, *(number(moment) for moment in moments)


def seen(changes) -> list[tuple]:
    return [
        ("deleted", number(change.start), number(change.end))
        if isinstance(change, Deletion)
        else number(change.start_time)
        for change, _ in changes
    ]


async def test_the_range_is_half_open_and_other_series_stay(db):
    await written(db, 0, 1, 2, 3)
    await db.market_data.upsert_candle(minute(1, symbol="ETH-USDT"))

    assert await delete(db, 1, 3) == 2

    left = await db.market_data.get_candles("BTC-USDT", "1m", at(-9), at(9))
    assert [number(candle.start_time) for candle in left] == [0, 3]
    assert await db.market_data.count(ETH_1M) == 1


@pytest.mark.parametrize(
    ("start", "end", "span"),
    [
        pytest.param(0, 2, (2, 4, 3), id="the oldest"),
        pytest.param(3, 9, (0, 2, 3), id="the newest"),
        pytest.param(2, 3, (0, 4, 4), id="in between"),
        pytest.param(-9, 9, None, id="all"),
    ],
)
async def test_the_series_knows_what_is_left(db, start, end, span):
    await written(db, 0, 1, 2, 3, 4)

    await delete(db, start, end)

    markets = [(number(m.first_time), number(m.last_time), m.candle_count) for m in await db.market_data.markets()]
    assert markets == ([span] if span else [])
    newest = (await db.market_data.position(BTC_1M)).newest
    assert newest == (at(span[1]) if span else None)
    latest = await db.market_data.get_latest_candle("BTC-USDT", "1m")
    assert (latest and latest.start_time) == newest
    assert (await db.get_stats()).candle_count == (span[2] if span else 0)


async def test_a_deletion_of_nothing_takes_no_revision(db):
    assert await delete(db, 0, 9) == 0
    await written(db, 0)

    assert await delete(db, 1, 9) == 0
    assert await delete(db, 0, 0) == 0

    assert (await db.market_data.position(BTC_1M)).revision == 1


@pytest.mark.parametrize(
    ("named", "given"),
    [
        ("start", (*BTC_1M, at(1), at(0))),
        ("start", (*BTC_1M, at(0).replace(tzinfo=None), at(1))),
        ("end", (*BTC_1M, at(0), at(1).replace(tzinfo=None))),
        ("timeframe", ("okx", "BTC-USDT", "1x", at(0), at(1))),
        ("symbol", ("okx", "", "1m", at(0), at(1))),
        ("exchange", ("o x", "BTC-USDT", "1m", at(0), at(1))),
    ],
)
async def test_a_wrong_argument_is_refused_by_name_and_nothing_is_deleted(db, named, given):
    await written(db, 0)

    with pytest.raises(InvalidValue) as raised:
        await db.market_data.delete_candles(*given)

    assert (raised.value.name, await db.market_data.count(BTC_1M)) == (named, 1)


async def test_candles_come_back_after_a_deletion(db):
    await written(db, 0, 1, 2)
    await delete(db, 1, 9)

    await written(db, 1)

    [market] = await db.market_data.markets()
    assert (market.first_time, market.last_time, market.candle_count) == (at(0), at(1), 2)


async def test_writers_and_deleters_side_by_side_leave_contiguous_revisions_and_right_counts(db):
    async def write(turn: int) -> None:
        for n in range(8):
            await db.market_data.upsert_candle(minute(n, close=102 + turn), force_update=True)

    deleted: list[int] = []

    async def remove(writing: asyncio.Future) -> None:
        while not writing.done() or not any(deleted):
            deleted.extend([await delete(db, n, n + 2) for n in range(0, 8, 2)])

    writing = asyncio.gather(write(1), write(2))
    async with asyncio.timeout(60):
        await asyncio.gather(writing, remove(writing), remove(writing))

    [market], stored = await db.market_data.markets() or [None], await db.market_data.count(BTC_1M)
    position = await db.market_data.position(BTC_1M)
    newest = await db.market_data.get_latest_candle("BTC-USDT", "1m")
    assert (market.candle_count if market else 0) == stored
    assert position.newest == (newest and newest.start_time)
    # Every write changes something.
    assert position.revision == 16 + sum(count > 0 for count in deleted)


async def test_a_long_deletion_lets_writers_in_between(db, monkeypatch):
    monkeypatch.setattr(deletions, "AT_ONCE", 2)
    await db.market_data.upsert_candles([minute(n) for n in range(5)])
    begun = await db.market_data.position(BTC_1M)

    assert await delete(db, 0, 9) == 5

    changes = await db.market_data.changes(begun, 100)
    assert seen(changes) == [("deleted", 0, 2), ("deleted", 2, 4), ("deleted", 4, 9)]
    assert await db.market_data.markets() == []


async def test_changes_tell_a_deletion_once_among_writes_in_order(db):
    await written(db, 0, 1, 2, 3)
    begun = await db.market_data.position(BTC_1M)
    await delete(db, 1, 3)
    await written(db, 2, 4)

    whole = await db.market_data.changes(begun, 100)
    by_one, position = [], begun
    while page := await db.market_data.changes(position, 1):
        by_one += page
        position = page[-1][1]

    assert seen(whole) == [("deleted", 1, 3), 2, 4]
    assert by_one == whole


async def test_the_newest_start_that_a_reader_knows_is_lowered(db):
    await written(db, 0, 1, 2)
    knew_all = await db.market_data.position(BTC_1M)
    knew_one = knew_all._replace(newest=at(1), revision=2)
    await delete(db, 2, 9)

    assert [position.newest for _, position in await db.market_data.changes(knew_all, 9)] == [at(1)]
    assert [position.newest for _, position in await db.market_data.changes(knew_one, 9)] == [at(1)]


async def test_a_deletion_within_a_later_one_is_told_no_more(db):
    await written(db, 0, 1, 2)
    begun = await db.market_data.position(BTC_1M)
    await delete(db, 1, 2)
    await written(db, 1)
    await delete(db, 0, 9)

    assert seen(await db.market_data.changes(begun, 9)) == [("deleted", 0, 9)]


async def test_who_stands_before_a_deletion_that_is_forgotten_begins_anew(db, monkeypatch):
    monkeypatch.setattr(deletions, "KEPT", 2)
    await written(db, 0, 1, 2, 3)
    before = await db.market_data.position(BTC_1M)
    await delete(db, 0, 1)
    after = await db.market_data.position(BTC_1M)
    await delete(db, 1, 2)
    assert seen(await db.market_data.changes(before, 9)) == [("deleted", 0, 1), ("deleted", 1, 2)]

    await delete(db, 2, 3)

    with pytest.raises(CursorExpired, match="begin anew"):
        await db.market_data.changes(before, 9)
    assert seen(await db.market_data.changes(after, 9)) == [("deleted", 1, 2), ("deleted", 2, 3)]


async def test_followers_hear_a_deletion_and_then_what_is_written_in_its_range(db, feed):
    await written(db, 0, 1, 2)

    async with following(feed) as events:
        await delete(db, 1, 9)
        await written(db, 1, 0, 2)
        await db.market_data.upsert_candle(minute(0, close=107), force_update=True)
        heard = await take(events, 4)

    assert [told(event) for event in heard] == [("DELETED", 1, 9), ("CLOSED", 1), ("CLOSED", 2), ("CORRECTED", 0)]
    assert [event.position.newest for event in heard] == [at(0), at(1), at(2), at(2)]


async def test_forming_goes_on_after_the_newest_candle_is_deleted(db, feed):
    await written(db, 0, 1)

    async with following(feed) as events:
        await db.bus.publish(FormingNews([forming(2)]))
        assert [told(event) for event in await take(events, 1)] == [("FORMING", 2)]
        await delete(db, 1, 9)
        heard = await take(events, 2)
        await db.bus.publish(FormingNews([forming(1)]))
        heard += await take(events, 1)

    # The one that forms is told anew: it lay in the range.
    assert [told(event) for event in heard] == [("DELETED", 1, 9), ("FORMING", 2), ("FORMING", 1)]


async def test_a_forming_candle_of_before_is_not_told_after_its_deletion(db, feed):
    async with aclosing(feed.candles(BTC_1M, None, 0)) as events:
        first = asyncio.ensure_future(anext(events))
        await has_read(feed)
        await db.bus.publish(FormingNews([forming(0)]))
        assert told(await first) == ("FORMING", 0)
        # Nobody reads meanwhile, so all of it waits.
        await db.bus.publish(FormingNews([forming(0, close=105)]))
        await db.market_data.upsert_candle(minute(0, origin=Origin.TRADES))
        await delete(db, 0, 1)
        await written(db, 1)
        heard = await take(events, 3)

    assert [told(event) for event in heard] == [("CLOSED", 0), ("DELETED", 0, 1), ("CLOSED", 1)]


async def test_who_comes_back_hears_the_deletion_also_after_a_restart(db, feed, database_url):
    await written(db, 0, 1, 2)
    cursor = await db.market_data.position(BTC_1M)
    await delete(db, 1, 9)
    await written(db, 3)

    async with DatabaseOperations(database_url) as again, Feed(again) as feed_again:
        for resumed in (feed, feed_again):
            async with aclosing(resumed.candles(BTC_1M, cursor, 0)) as events:
                heard = await take(events, 2)
                await db.market_data.upsert_candle(minute(3, close=109 + (resumed is feed)), force_update=True)
                live = await take(events, 1)
            assert [told(event) for event in heard + live] == [("DELETED", 1, 9), ("CLOSED", 3), ("CORRECTED", 3)]
            cursor_after = heard[0].position
            async with aclosing(resumed.candles(BTC_1M, cursor_after, 0)) as events:
                assert [told(event) for event in await take(events, 1)] == [("CLOSED", 3)]


async def test_a_deletion_while_the_reader_resumes_is_told_once_and_leaves_it_where_the_table_stands(db, feed):
    await written(db, 0, 1, 2)
    begun = Position(BTC_1M, 0, None, None, await db.epoch.known())

    async with aclosing(feed.candles(BTC_1M, begun, 0)) as events:
        heard = await take(events, 1)  # all three are read, or about to be
        await delete(db, 1, 9)
        await written(db, 1)
        heard += await take(events, 4)

    assert [told(event) for event in heard] == [
        ("CLOSED", 0),
        ("CLOSED", 1),
        ("CLOSED", 2),
        ("DELETED", 1, 9),
        ("CLOSED", 1),
    ]


async def test_a_deletion_of_another_process_is_heard_and_followed_by_the_hot_window(db, feed, database_url):
    await written(db, 0, 1, 2)

    async with DatabaseOperations(database_url) as elsewhere, following(feed) as events:
        assert await elsewhere.market_data.delete_candles(*BTC_1M, at(1), at(2)) == 1
        heard = await take(events, 1)

    assert [told(event) for event in heard] == [("DELETED", 1, 2)]


async def test_a_deletion_whose_news_was_lost_is_read_from_the_table(db, feed, monkeypatch):
    monkeypatch.setattr(receiver, "TICK", 0.1)
    await written(db, 0, 1, 2)

    async def silent(*_: object) -> None:
        pass

    async with following(feed) as events:
        with monkeypatch.context() as patched:
            patched.setattr(db.bus, "announce", silent)
            await delete(db, 1, 9)
        await written(db, 1)
        heard = await take(events, 2)

    assert [told(event) for event in heard] == [("DELETED", 1, 9), ("CLOSED", 1)]


async def test_followers_begin_anew_when_more_deletions_were_missed_than_are_kept(db, feed, monkeypatch):
    monkeypatch.setattr(deletions, "KEPT", 1)
    await written(db, 0, 1, 2, 3)

    async def silent(*_: object) -> None:
        pass

    async with following(feed) as events:
        with monkeypatch.context() as patched:
            patched.setattr(db.bus, "announce", silent)
            await delete(db, 0, 1)
            await delete(db, 1, 2)
        await written(db, 4)
        with pytest.raises(CursorExpired):
            await take(events, 1)


async def test_a_watch_list_tells_the_deletion_and_what_is_the_newest_now(db, feed):
    await written(db, 0, 1)

    async with aclosing(feed.watch([BTC_1M, ETH_1M])) as events:
        heard = await take(events, 1)
        await delete(db, 1, 2)
        heard += await take(events, 2)
        await written(db, 1)
        heard += await take(events, 1)
        await delete(db, 0, 9)
        heard += await take(events, 1)
        await db.bus.publish(FormingNews([forming(0)]))
        heard += await take(events, 1)

    assert [told(event) for event in heard] == [
        ("SNAPSHOT", 1), ("DELETED", 1, 2), ("SNAPSHOT", 0), ("CLOSED", 1), ("DELETED", 0, 9), ("FORMING", 0),
    ]  # fmt: skip


async def test_a_range_may_reach_from_the_beginning_to_the_end_of_time(db, feed):
    await written(db, 0)
    whole = (
        datetime(1970, 1, 1, tzinfo=NOON.tzinfo),
        datetime(2262, 1, 1, tzinfo=NOON.tzinfo) - timedelta(microseconds=1),
    )

    async with following(feed) as events:
        assert await db.market_data.delete_candles(*BTC_1M, *whole) == 1
        [event] = await take(events, 1)

    assert event.gap == whole
