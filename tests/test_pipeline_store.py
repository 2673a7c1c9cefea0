"""What the pipeline reads back: after a restart, after the store lost something, after a write that failed."""

from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from collector import pipeline as module
from collector.tracker import Uncovered
from repos.domain import Candle, Gap
from repos.errors import DatabaseOperationError
from repos.operations import DatabaseOperations
from repos.tables import raw_trades
from tests.builders import NOON
from tests.market import AFTER, BEFORE, BTC, Market
from tests.test_pipeline_forming import published
from tests.trades import SECOND, a_trade, plain, records

pytestmark = pytest.mark.anyio
__all__ = ["published"]


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


async def _fails(*_: Any, **__: Any) -> None:
    raise DatabaseOperationError("the disk is full")


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


async def test_far_apart_candles_are_read_apart(db: DatabaseOperations) -> None:
    market = Market(db, "5s", "1M", live=False)
    trades = [a_trade(i, i * 1_000_000) for i in range(3)]

    await market.add(*trades)
    await market.pipeline.finish()

    assert await market.candles() == plain(trades, "5s")
    assert await market.candles("1M") == plain(trades, "1M")
