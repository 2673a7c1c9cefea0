import asyncio
from datetime import timedelta

import pytest

from collector.pipeline import Pipeline
from collector.tracker import Uncovered
from repos.domain import Candle, Gap, Origin
from repos.operations import DatabaseOperations
from tests.builders import NOON
from tests.market import AFTER, BEFORE, BTC, Market
from tests.trades import SECOND, a_trade, plain, records

pytestmark = pytest.mark.anyio


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


async def test_trades_that_make_no_valid_candle_stop_nothing(db: DatabaseOperations) -> None:
    market = Market(db)
    await market.add(a_trade(9, -1), *(a_trade(i, 1, size="9" * 38) for i in (10, 11)))
    assert market.pipeline.forming(BTC) is None

    await market.add(a_trade(12, 6), a_trade(13, 11))

    assert await market.candles() == plain([a_trade(12, 6)], "5s")
    assert market.holes == [Uncovered(BTC, NOON, NOON + 5 * SECOND)]


async def test_a_trade_of_a_stored_id_and_another_time_is_another(db: DatabaseOperations) -> None:
    await db.tape.insert(records(a_trade(10, 1)))
    market = Market(db, live=False)

    assert await market.add(a_trade(10, 100), a_trade(11, 200)) == [a_trade(10, 100), a_trade(11, 200)]
    await market.pipeline.finish()

    assert await market.candles() == plain([a_trade(10, 100), a_trade(11, 200)], "5s")


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
