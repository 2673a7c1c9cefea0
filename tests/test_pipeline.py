import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from collector import pipeline as module
from collector.pipeline import Pipeline
from collector.tracker import Uncovered
from repos.domain import Candle, Gap, Origin, Timeframe
from repos.errors import DatabaseOperationError
from repos.events import CandleEvent, CandleEventKind
from repos.feed.hub import Feed
from repos.feed.news import FormingNews, News
from repos.operations import DatabaseOperations
from repos.tables import raw_trades
from tests.builders import NOON
from tests.market import AFTER, BEFORE, BTC, Market
from tests.trades import SECOND, a_trade, plain, records

pytestmark = pytest.mark.anyio


@pytest.fixture
def published(db: DatabaseOperations, monkeypatch: pytest.MonkeyPatch) -> list[list[Candle]]:
    """Every announcement of forming candles, which goes out nevertheless."""
    heard: list[list[Candle]] = []
    publish = db.bus.publish

    async def overheard(*news: News) -> None:
        await publish(*news)
        heard.extend(item.candles for item in news if isinstance(item, FormingNews))

    monkeypatch.setattr(db.bus, "publish", overheard)
    return heard


async def test_a_bucket_covered_from_its_start_is_stored_when_a_later_trade_passes_its_end(
    db: DatabaseOperations,
) -> None:
    market = Market(db)
    await market.add(a_trade(10, -1))
    await market.add(a_trade(11, 0, "5"), a_trade(12, 4, "7"))
    assert await market.candles() == []

    await market.add(a_trade(13, 5))

    assert await market.candles() == plain([a_trade(11, 0, "5"), a_trade(12, 4, "7")], "5s")
    assert market.holes == []


async def test_add_returns_what_is_new(db: DatabaseOperations) -> None:
    market = Market(db)
    await market.add(a_trade(10))

    new = await market.add(a_trade(11, 1), a_trade(10))

    assert new == [a_trade(11, 1)]


async def test_trades_of_several_symbols_make_candles_of_each(db: DatabaseOperations) -> None:
    market = Market(db)
    trades = [a_trade(i, i * 3 - 30, symbol=symbol) for symbol in ("BTC-USDT", "ETH-USDT") for i in (9, 10, 11, 12)]

    await market.add(*trades)

    for symbol in ("BTC-USDT", "ETH-USDT"):
        made = plain([trade for trade in trades if trade.symbol == symbol], "5s")
        assert await market.candles(symbol=symbol) == made[1:2]


async def test_the_first_trade_ever_opens_no_candle_but_covers_what_follows(db: DatabaseOperations) -> None:
    market = Market(db, since=NOON - timedelta(hours=1))
    await market.add(a_trade(10, -20 * 3600))

    await market.add(a_trade(11, 2), a_trade(12, 6))

    assert await market.candles() == plain([a_trade(11, 2)], "5s")
    assert market.holes == []


async def test_a_bucket_joined_in_its_middle_is_reported_and_not_stored(db: DatabaseOperations) -> None:
    market = Market(db)

    await market.add(a_trade(10, 2), a_trade(11, 6))

    assert await market.candles() == []
    assert market.holes == [Uncovered(BTC, NOON, NOON + 5 * SECOND)]


async def test_a_bucket_joined_in_its_middle_is_completed_from_the_history(db: DatabaseOperations) -> None:
    market = Market(db)
    trades = [a_trade(i, (i - 10) * 0.7, str(i)) for i in range(6, 25)]
    await market.add(*trades[6:])

    # A page of history, which reaches back beyond the start of the bucket.
    await market.add(*trades[2:7])

    assert await market.candles() == plain(trades, "5s")[1:-1]
    assert market.holes == [Uncovered(BTC, NOON, NOON + 5 * SECOND)]


async def test_calls_made_at_once_wait_for_each_other(db: DatabaseOperations) -> None:
    market = Market(db)
    trades = [a_trade(i, i - 10) for i in range(9, 60)]
    await market.add(trades[0])

    async with asyncio.TaskGroup() as group:
        for trade in trades[1:]:
            group.create_task(market.add(trade))
        group.create_task(market.tick(NOON + 49 * SECOND))

    assert await market.candles() == plain(trades, "5s")[1:-1]


async def test_what_ended_before_the_start_is_not_reported(db: DatabaseOperations) -> None:
    market = Market(db, since=NOON + 5 * SECOND)

    await market.add(a_trade(10, 2), a_trade(11, 6))

    assert await market.candles() == []
    assert market.holes == []


async def test_a_jump_in_the_ids_is_a_gap(db: DatabaseOperations) -> None:
    market = Market(db)
    await market.add(a_trade(9, -1), a_trade(10, 1))

    await market.add(a_trade(14, 3))

    assert market.holes == [Gap("okx", "BTC-USDT", 11, 13, NOON + SECOND, NOON + 3 * SECOND)]


async def test_of_the_candles_that_a_gap_touches_those_with_trades_are_reported(db: DatabaseOperations) -> None:
    market = Market(db)
    await market.add(a_trade(9, -1), a_trade(10, 1))

    await market.add(a_trade(20, 21))

    assert market.holes == [
        Gap("okx", "BTC-USDT", 11, 19, NOON + SECOND, NOON + 21 * SECOND),
        Uncovered(BTC, NOON, NOON + 5 * SECOND),
    ]


async def test_trades_that_fill_a_gap_complete_its_candles(db: DatabaseOperations) -> None:
    market = Market(db, "5s", "1m")
    trades = [a_trade(i, i - 10, str(i)) for i in range(9, 80)]
    await market.add(*trades[:3], *trades[20:])
    assert await market.candles("1m") == []

    # Newest first, as the exchange's history pages come.
    await market.add(*trades[12:20])
    await market.add(*trades[3:12])

    assert await market.candles("5s") == plain(trades, "5s")[1:-1]
    assert await market.candles("1m") == plain(trades, "1m")[1:-1]


async def test_a_late_trade_corrects_its_candle(db: DatabaseOperations) -> None:
    market = Market(db)
    trades = [a_trade(9, -1), a_trade(10, 1), a_trade(11, 6)]
    await market.add(*trades)
    assert await market.revision() == 1

    # The exchange's clock stepped back: the id goes on, the time does not.
    await market.add(a_trade(12, 4, "250"))
    await market.add(a_trade(13, 11))

    assert await market.candles() == plain([*trades[1:], a_trade(12, 4, "250")], "5s")
    assert await market.revision() == 3


async def test_a_corrected_candle_is_not_announced_as_forming_again(
    db: DatabaseOperations, published: list[list[Candle]]
) -> None:
    market = Market(db)
    await market.add(a_trade(9, -1), a_trade(10, 1), a_trade(11, 6))
    published.clear()

    await market.add(a_trade(12, 4, "250"))

    assert published == []
    assert market.pipeline.forming(BTC) is None


async def test_a_trade_from_the_far_future_does_not_end_the_candles_of_today(db: DatabaseOperations) -> None:
    market = Market(db)
    await market.add(a_trade(9, -1), a_trade(10, 1))
    await market.tick(NOON + SECOND)

    await market.add(a_trade(11, 10**9), a_trade(12, 3), a_trade(13, 6))
    ended = await market.candles()
    await market.tick(NOON + 7 * SECOND)

    assert ended == []
    assert await market.candles() == plain([a_trade(10, 1), a_trade(12, 3)], "5s")


async def test_a_repeated_trade_changes_nothing(db: DatabaseOperations) -> None:
    market = Market(db)
    trades = [a_trade(i, i - 10) for i in range(9, 20)]
    await market.add(*trades)
    before = await market.revision()

    assert await market.add(*trades) == []

    assert await market.revision() == before
    assert market.holes == []


async def test_an_aggregated_trade_counts_the_matches_it_holds(db: DatabaseOperations) -> None:
    market = Market(db)

    await market.add(a_trade(9, -1), a_trade(13, 1, size="4", count=4), a_trade(14, 6))

    assert await market.candles() == plain([a_trade(13, 1, size="4", count=4)], "5s")


async def test_an_aggregate_over_half_stored_matches_is_counted_once(db: DatabaseOperations) -> None:
    market = Market(db)
    await market.add(a_trade(9, -1), a_trade(10, 1), a_trade(11, 1))

    await market.add(a_trade(13, 1, size="4", count=4))
    await market.add(a_trade(12, 1), a_trade(14, 6))

    assert await market.candles() == plain([a_trade(13, 1, size="4", count=4)], "5s")


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


async def test_a_quiet_market_makes_no_rows(db: DatabaseOperations, published: list[list[Candle]]) -> None:
    market = Market(db, "5s", "1m")
    await market.add(a_trade(9, -1), a_trade(10, 1))

    for second in range(0, 3600, 7):
        await market.tick(NOON + second * SECOND)

    assert await market.candles() == plain([a_trade(10, 1)], "5s")
    assert await market.candles("1m") == plain([a_trade(10, 1)], "1m")
    assert len(published) == 1
    assert market.holes == []


@pytest.mark.parametrize("ended_by", ["a later trade", "the clock"])
async def test_a_late_trade_is_told_as_a_correction_with_a_higher_revision(
    db: DatabaseOperations, feed: Feed, ended_by: str
) -> None:
    market = Market(db)
    last = [a_trade(11, 6)] if ended_by == "a later trade" else []
    late = a_trade(11 + len(last), 4, "300")
    async with aclosing(feed.candles(BTC, None, 0)) as events, asyncio.timeout(10):
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


async def test_a_restart_refolds_the_open_candle(db: DatabaseOperations) -> None:
    trades = [a_trade(9, -1), a_trade(10, 1), a_trade(11, 2), a_trade(12, 6)]
    await Market(db).add(*trades[:2])
    market = Market(db, since=NOON + 1.5 * SECOND)

    await market.add(*trades[2:])

    assert await market.candles() == plain(trades[1:3], "5s")
    assert market.holes == []


async def test_a_restart_stores_candles_that_a_crash_left_out(db: DatabaseOperations) -> None:
    trades = [a_trade(9, -1), a_trade(10, 1), a_trade(11, 6), a_trade(12, 11)]
    await db.tape.insert(records(*trades[:3]))
    market = Market(db)

    await market.add(trades[3])

    assert await market.candles() == plain(trades[1:3], "5s")


async def test_a_restart_stores_all_candles_of_a_batch_that_had_waited_for_the_database(
    db: DatabaseOperations,
) -> None:
    market = Market(db, "5s", "1m")
    trades = [a_trade(i, (i - 10) * 2, str(i)) for i in range(9, 400)]
    await market.add(*trades[:5])
    await db.tape.insert(records(*trades[5:-1]))
    market = Market(db, "5s", "1m", since=AFTER)

    await market.add(trades[-1])

    assert await market.candles("5s") == plain(trades, "5s")[1:-1]
    assert await market.candles("1m") == plain(trades, "1m")[1:-1]


async def test_a_restart_reports_the_trades_missed_in_between(db: DatabaseOperations) -> None:
    await Market(db).add(a_trade(9, -1), a_trade(10, 1))
    market = Market(db, since=NOON + 21 * SECOND)

    await market.add(a_trade(31, 22), a_trade(32, 26))

    assert market.holes == [
        Gap("okx", "BTC-USDT", 11, 30, NOON + SECOND, NOON + 22 * SECOND),
        Uncovered(BTC, NOON + 20 * SECOND, NOON + 25 * SECOND),
    ]


async def test_trades_that_the_store_lost_are_folded_in_when_they_come_again(db: DatabaseOperations) -> None:
    market = Market(db, "5s", "15s")
    trades = [a_trade(i, i - 10, str(i)) for i in range(9, 40)]
    await market.add(*trades[:28])
    lost = trades[3]
    left = [trade for trade in trades if trade is not lost]
    async with db.engine.begin() as connection:
        await connection.execute(sa.delete(raw_trades).where(raw_trades.c.trade_id == lost.trade_id))
    for timeframe in ("5s", "15s"):
        await db.market_data.upsert_candles(plain(left, timeframe)[1:2])

    assert await market.add(*trades[2:6]) == [lost]
    await market.add(*trades[28:])

    assert await market.candles("5s") == plain(trades, "5s")[1:-1]
    assert await market.candles("15s") == plain(trades, "15s")[1:-1]


async def test_what_the_store_lost_is_in_no_candle_that_is_folded_anew(db: DatabaseOperations) -> None:
    market = Market(db)
    trades = [a_trade(i, i - 10) for i in range(9, 23)]
    await market.add(*trades)
    before = await market.candles()
    async with db.engine.begin() as connection:
        await connection.execute(sa.delete(raw_trades).where(raw_trades.c.trade_id == 12))

    await market.pipeline.refold("okx", "BTC-USDT", NOON)
    await market.pipeline.refold("okx", "never seen", NOON)

    assert await market.candles() == before
    assert market.holes == [Uncovered(BTC, NOON, NOON + 5 * SECOND)]


async def test_after_a_restart_a_late_trade_still_corrects_an_old_candle(db: DatabaseOperations) -> None:
    trades = [a_trade(i, i * 2 - 40) for i in range(20, 60)]
    await Market(db, since=BEFORE).add(*trades[:7], *trades[8:])
    market = Market(db)

    await market.add(trades[7])

    assert trades[7].timestamp < trades[-1].timestamp - 60 * SECOND
    assert await market.candles() == plain(trades, "5s")[1:-1]


async def test_a_candle_of_another_origin_stays_unless_forced(db: DatabaseOperations) -> None:
    [ours] = plain([a_trade(10, 1)], "5s")
    theirs = Candle(*BTC, *[ours.open] * 4, ours.volume, None, ours.start_time, ours.end_time, Origin.EXCHANGE)
    await db.market_data.upsert_candle(theirs)

    await Market(db).add(a_trade(9, -1), a_trade(10, 1), a_trade(11, 6))
    assert await Market(db).candles() == [theirs]
    await Market(db, force_update=True).add(a_trade(12, 7))

    assert await Market(db).candles() == [ours]


async def test_a_symbol_without_timeframes_is_only_stored(db: DatabaseOperations) -> None:
    pipeline = Pipeline(db, lambda _: [])

    assert len(await pipeline.add(records(a_trade(10), a_trade(11, 60)))) == 2
    await pipeline.finish()

    assert pipeline.candles_written == 0


async def test_the_first_change_of_a_candle_is_announced_at_once(
    db: DatabaseOperations, published: list[list[Candle]]
) -> None:
    market = Market(db)
    await market.add(a_trade(9, -1))

    await market.add(a_trade(10, 1))

    assert published == [plain([a_trade(10, 1)], "5s", is_final=False)]


async def test_further_changes_are_announced_every_quarter_of_a_second(
    db: DatabaseOperations, published: list[list[Candle]]
) -> None:
    market = Market(db)
    trades = [a_trade(10, 1), a_trade(11, 2), a_trade(12, 3)]
    await market.add(a_trade(9, -1), trades[0])
    for trade in trades[1:]:
        market.seconds += 0.1
        await market.add(trade)
    await market.tick(NOON + 3 * SECOND)
    assert len(published) == 1

    market.seconds += 0.05
    await market.tick(NOON + 3 * SECOND)
    market.seconds += 1
    await market.tick(NOON + 3 * SECOND)

    assert published[1:] == [plain(trades, "5s", is_final=False)]


async def test_forming_candles_of_many_series_share_one_announcement(
    db: DatabaseOperations, published: list[list[Candle]]
) -> None:
    market = Market(db, "5s", "10s")
    symbols = ("BTC-USDT", "ETH-USDT")
    await market.add(*(a_trade(9, -1, symbol=symbol) for symbol in symbols))

    await market.add(*(a_trade(10, 1, symbol=symbol) for symbol in symbols))

    assert [{str(candle.series) for candle in told} for told in published] == [
        {f"okx {symbol} {timeframe}" for symbol in symbols for timeframe in ("5s", "10s")}
    ]


async def test_a_candle_joined_in_its_middle_is_neither_announced_nor_shown(
    db: DatabaseOperations, published: list[list[Candle]]
) -> None:
    market = Market(db)

    await market.add(a_trade(10, 1))

    assert published == []
    assert market.pipeline.forming(BTC) is None


async def test_the_forming_candle_of_a_series_can_be_asked_for(db: DatabaseOperations) -> None:
    market = Market(db)
    await market.add(a_trade(9, -1), a_trade(10, 1), a_trade(11, 2, "3"))

    [expected] = plain([a_trade(10, 1), a_trade(11, 2, "3")], "5s", is_final=False)

    assert market.pipeline.forming(BTC) == expected
    assert market.pipeline.forming(BTC._replace(timeframe=Timeframe("1m"))) is None
    assert market.pipeline.forming(BTC._replace(symbol="ETH-USDT")) is None


async def test_what_could_not_be_stored_is_stored_by_the_next_call(
    db: DatabaseOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = Market(db)
    await market.add(a_trade(9, -1), a_trade(10, 1))
    with monkeypatch.context() as patched:
        patched.setattr(db.market_data, "upsert_candles", _fails)
        with pytest.raises(DatabaseOperationError):
            await market.add(a_trade(11, 6))

    await market.tick(NOON + 6 * SECOND)

    assert await market.candles() == plain([a_trade(10, 1)], "5s")


@pytest.mark.parametrize("method", ["last", "insert", "between", "has"])
async def test_an_add_that_failed_can_be_repeated(
    db: DatabaseOperations, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    trades = [a_trade(9, -1), a_trade(10, 1), a_trade(11, 6)]
    await db.tape.insert(records(*trades[:1]))
    market = Market(db)
    with monkeypatch.context() as patched:
        patched.setattr(db.tape, method, _fails)
        with pytest.raises(DatabaseOperationError):
            await market.add(*trades[1:])

    await market.add(*trades[1:])

    assert await market.candles() == plain(trades[1:2], "5s")


async def test_an_announcement_that_failed_is_made_by_the_next_call(
    db: DatabaseOperations, published: list[list[Candle]], monkeypatch: pytest.MonkeyPatch
) -> None:
    market = Market(db)
    await market.add(a_trade(9, -1))
    with monkeypatch.context() as patched:
        patched.setattr(db.bus, "publish", _fails)
        with pytest.raises(DatabaseOperationError):
            await market.add(a_trade(10, 1))

    await market.tick(NOON + SECOND)

    assert published == [plain([a_trade(10, 1)], "5s", is_final=False)]


async def _fails(*_: Any) -> None:
    raise DatabaseOperationError("the disk is full")


async def test_trades_that_make_no_valid_candle_stop_nothing(db: DatabaseOperations) -> None:
    market = Market(db)
    await market.add(a_trade(9, -1), *(a_trade(i, 1, size="9" * 38) for i in (10, 11)))
    assert market.pipeline.forming(BTC) is None

    await market.add(a_trade(12, 6), a_trade(13, 11))

    assert await market.candles() == plain([a_trade(12, 6)], "5s")
    assert market.holes == [Uncovered(BTC, NOON, NOON + 5 * SECOND)]


async def test_a_trade_stored_at_another_time_makes_no_candle_here(db: DatabaseOperations) -> None:
    await db.tape.insert(records(a_trade(10, 1)))
    market = Market(db, live=False)

    assert await market.add(a_trade(10, 100), a_trade(11, 200)) == [a_trade(11, 200)]
    await market.pipeline.finish()

    assert await market.candles() == plain([a_trade(11, 200)], "5s")


async def test_a_long_candle_is_read_in_pieces_that_lose_nothing(
    db: DatabaseOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    trades = [a_trade(i, (i - 10) * 600, str(i)) for i in range(10, 70)]
    await db.tape.insert(records(*trades[:-1]))
    market = Market(db, "1d", live=False)
    for many in (1, 10_000):
        monkeypatch.setattr(module, "_MANY", many)

        await market.add(trades[-1], trades[0])
    await market.pipeline.finish()

    assert await market.candles("1d") == plain(trades, "1d")


async def test_an_aggregate_read_after_some_of_its_matches_is_left_out_aloud(db: DatabaseOperations) -> None:
    # A day is read in pieces that end after 5, 15, 35, 75, 155, 315 and 635 minutes.
    border = (635 - 12 * 60) * 60
    matches = [a_trade(10, border - 1), a_trade(11, border - 1)]
    await db.tape.insert(records(*matches))
    await db.tape.insert(records(a_trade(12, border, count=2)))
    market = Market(db, "1d", live=False)

    with structlog.testing.capture_logs() as logs:
        await market.add(matches[0])
    await market.pipeline.finish()

    assert [entry["trade_id"] for entry in logs if "left out" in entry["event"]] == [12]
    assert await market.candles("1d") == plain(matches, "1d")


async def test_ids_full_of_holes_are_followed(db: DatabaseOperations) -> None:
    market = Market(db)
    trades = [a_trade(i * 2, i * 0.01) for i in range(1, 400)]
    await market.add(*trades)

    await market.add(a_trade(2, 0.01), a_trade(800, 6))
    await market.tick(NOON + timedelta(hours=1))

    assert await market.candles() == []
    assert await Market(db).db.tape.between("okx", "BTC-USDT", BEFORE, AFTER) == [*trades, a_trade(800, 6)]


async def test_only_so_many_uncovered_candles_wait_for_their_trades(db: DatabaseOperations) -> None:
    market = Market(db)
    trades = [a_trade(i * 2, i * 5) for i in range(100)]

    for trade in trades:
        await market.add(trade)
    await market.add(a_trade(3, 7), a_trade(1, 2), a_trade(5, 12))

    # The first ones were forgotten, and are read again when their trades come.
    filled = [*trades, a_trade(3, 7), a_trade(5, 12)]
    assert await market.candles() == plain(filled, "5s")[1:3]


async def test_a_replay_stores_every_candle_with_a_trade(db: DatabaseOperations) -> None:
    market = Market(db, "5s", "1m", live=False)
    trades = [a_trade(10, 2), a_trade(14, 7), a_trade(15, 90)]
    await market.add(*trades)

    await market.pipeline.finish()

    assert await market.candles() == plain(trades, "5s")
    assert await market.candles("1m") == plain(trades, "1m")
    assert market.pipeline.candles_written == 5


async def test_a_replay_folds_trades_that_others_stored_too(db: DatabaseOperations) -> None:
    trades = [a_trade(i, i - 10) for i in range(10, 30)]
    await db.tape.insert(records(*trades[::2]))
    market = Market(db, "5s", "1m", live=False)

    await market.add(*trades[5:6])
    await market.add(*trades[7:9])
    await market.pipeline.finish()

    stored = [*trades[::2], trades[5], trades[7]]
    assert await market.candles("1m") == plain(stored, "1m")
    assert await market.candles() == plain(stored, "5s")[1:2]


async def test_far_apart_candles_are_read_apart(db: DatabaseOperations) -> None:
    market = Market(db, "5s", "1M", live=False)
    trades = [a_trade(i, i * 1_000_000) for i in range(3)]

    await market.add(*trades)
    await market.pipeline.finish()

    assert await market.candles() == plain(trades, "5s")
    assert await market.candles("1M") == plain(trades, "1M")
