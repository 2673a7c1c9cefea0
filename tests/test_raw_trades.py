"""Raw exchange data in a real database: every trade once, whole, and in an order that readers can follow."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import orjson
import pytest
import sqlalchemy as sa

from repos.domain import DataType, InvalidValue, MarketDataPoint, TradeRecord
from repos.errors import DatabaseOperationError
from repos.feed.news import Tape
from repos.operations import DatabaseOperations
from tests.builders import NOON, a_record, a_trade

pytestmark = pytest.mark.anyio

SECOND = timedelta(seconds=1)
BTC = Tape("okx", "BTC-USDT")


async def add(db: DatabaseOperations, *ids: int | tuple[int, int]) -> list[int]:
    """Store matches of these ids, or aggregates (first, last); the ids that were new."""
    records = []
    for one in ids:
        first, last = one if isinstance(one, tuple) else (one, one)
        # As matches of one order do, they share their time.
        records.append(a_record(trade_id=last, count=last - first + 1, timestamp=NOON))
    return [trade.trade_id for trade in await db.tape.insert(records)]


@pytest.fixture
async def connection(database_url) -> AsyncIterator[asyncpg.Connection]:
    made = await asyncpg.connect(database_url)
    yield made
    await made.close()


async def is_waited_for(connection: asyncpg.Connection) -> None:
    """Return when another connection waits for a lock of this one."""
    async with asyncio.timeout(10):
        while not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
        ):
            await asyncio.sleep(0)


async def test_a_trade_is_stored_once_and_whole(db):
    record = a_record(trade_id=7, price="0.00001234")

    first = await db.tape.insert([record, record])
    second = await db.tape.insert([record])

    (row,) = await db.raw_trades.get_raw_trades("BTC-USDT", "trade", NOON, NOON + SECOND)
    assert (first, second) == ([record.trade], [])
    assert row.raw_data == orjson.loads(record.raw)
    assert row.trade == record.trade


async def test_new_trades_come_back_by_id_whatever_their_order(db):
    assert await add(db, 3, 1, 2) == [1, 2, 3]
    assert await add(db, 5, 2, 4) == [4, 5]


@pytest.mark.parametrize(
    ("before", "then", "stored", "kept"),
    [
        pytest.param([(4, 6)], [4, 5, 6, 7], [7], [6, 7], id="matches inside a stored aggregate are known"),
        pytest.param([(4, 6)], [3], [3], [3, 6], id="a match beside it is not"),
        pytest.param([4, 5, 6], [(4, 6)], [], [4, 5, 6], id="an aggregate of stored matches is known"),
        pytest.param([4], [(4, 6)], [6], [6], id="an aggregate of more than is stored stands for all"),
        pytest.param([], [(4, 6), 5, 4], [6], [6], id="within a batch as well"),
        pytest.param([(4, 6)], [(4, 6)], [], [6], id="the same aggregate twice"),
    ],
)
async def test_aggregates_and_matches_of_one_order_count_once(db, before, then, stored, kept):
    await add(db, *before)

    new = await add(db, *then)

    read = await db.tape.between(*BTC, NOON, NOON + 100 * SECOND)
    assert (new, [trade.trade_id for trade in read]) == (stored, kept)


async def test_a_trade_is_known_by_its_id_and_its_time(db):
    old = [a_record(trade_id=n, timestamp=NOON + n * SECOND) for n in (4, 5, 6)]
    new = [a_record(trade_id=n, timestamp=NOON + (60 + n) * SECOND) for n in (4, 5)]
    aggregate = a_record(trade_id=9, count=9, timestamp=NOON + 90 * SECOND)
    await db.tape.insert([old[0], old[2]])

    stored = await db.tape.insert([new[1], old[1], new[0], old[0], aggregate])
    again = await db.tape.insert([*old, *new, aggregate])
    read = await db.tape.between(*BTC, NOON, NOON + 100 * SECOND)

    trades = [record.trade for record in (*old, *new, aggregate)]
    assert stored == [old[1].trade, *trades[3:]]
    assert again == []
    assert read == trades
    assert await db.tape.last(*BTC) == aggregate.trade
    assert await db.tape.last(*BTC, NOON + 66 * SECOND) == new[1].trade


async def test_ids_of_symbols_do_not_meet(db):
    stored = await db.tape.insert([a_record(symbol="ETH-USDT"), a_record()])

    assert [trade.symbol for trade in stored] == ["BTC-USDT", "ETH-USDT"]


async def test_a_match_is_known_by_itself_or_inside_an_aggregate(db):
    await add(db, 1, (4, 6))

    known = [await db.tape.has(*BTC, number) for number in range(8)]

    assert known == [False, True, False, False, True, True, True, False]


async def test_the_last_trade_is_the_latest(db):
    assert await db.tape.last(*BTC) is None
    await add(db, 5)
    await add(db, 2)

    assert (await db.tape.last(*BTC)).trade_id == 5


async def test_the_tape_is_in_the_order_of_writing(db):
    await add(db, 5)
    await add(db, 2, 3)
    (_, first), (middle, _), _ = await db.tape.after(*BTC, 0, limit=10)

    rest = await db.tape.after(*BTC, middle, limit=10)
    newest, end = await db.tape.newest(*BTC, 2)

    assert first.trade_id == 5
    assert [trade.trade_id for _, trade in rest] == [3]
    assert [trade.trade_id for trade in newest] == [2, 3]
    assert {BTC: end} == await db.tape.last_ids([BTC])
    assert await db.tape.last_ids([]) == {}
    assert await db.tape.newest("okx", "NONE", 5) == ([], 0)


async def test_a_reader_of_the_tape_misses_nothing_of_concurrent_writers(db):
    seen: list[int] = []

    async def read() -> None:
        after = 0
        while len(seen) < 90:
            for row, trade in await db.tape.after(*BTC, after, limit=7):
                seen.append(trade.trade_id)
                after = row

    async def write(writer: int) -> None:
        for turn in range(15):
            number = writer * 100 + turn * 2
            await add(db, number, number + 1)

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        tasks.create_task(read())
        for writer in range(3):
            tasks.create_task(write(writer))

    assert len(set(seen)) == 90


@pytest.fixture
async def elsewhere(db, database_url) -> AsyncIterator[DatabaseOperations]:
    """Another process, which knows nothing of what this one wrote."""
    async with DatabaseOperations(database_url) as operations:
        yield operations


async def test_what_another_process_stored_meanwhile_counts_once(db, elsewhere):
    assert await add(db, 1, 2) == [1, 2]
    assert await add(elsewhere, (3, 6)) == [6]

    assert await add(db, 3, 4, 5, 6, 7) == [7]
    assert await add(elsewhere, 7, 8) == [8]
    assert await add(db, (7, 9), 10) == [9, 10]


async def test_writers_of_the_same_trades_store_each_match_once(db, elsewhere):
    async def write(operations: DatabaseOperations, size: int) -> None:
        for last in range(size, 121, size):
            # Single matches from one, aggregates of 2 to 4 from the others.
            await add(operations, last if size == 1 else (last - size + 1, last))

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        for operations, size in ((db, 1), (elsewhere, 1), (db, 2), (elsewhere, 3), (db, 4), (elsewhere, 4)):
            tasks.create_task(write(operations, size))

    rows = [trade for _, trade in await db.tape.after(*BTC, 0, limit=1000)]
    ends = {trade.trade_id for trade in rows}
    assert len(ends) == len(rows)
    for trade in rows:
        inside = [one for one in rows if trade.first_id <= one.trade_id < trade.trade_id]
        # What lies inside a stored range was there before it.
        assert all(rows.index(one) < rows.index(trade) for one in inside)
    assert {number for trade in rows for number in range(trade.first_id, trade.trade_id + 1)} == set(range(1, 121))


async def test_a_trade_written_past_the_tape_fails_one_write_and_is_found_by_the_next(db, connection):
    await add(db, 1)
    await connection.execute(
        "INSERT INTO raw_trades (exchange, symbol, timestamp, data_type, raw_data, trade_id, first_trade_id) "
        "VALUES ('okx', 'BTC-USDT', $1, 'trade', '{}', 2, 2)",
        NOON,
    )

    with pytest.raises(DatabaseOperationError, match="duplicate key"):
        await add(db, 2, 3)

    assert await add(db, 2, 3) == [3]


@pytest.mark.parametrize("times", [pytest.param(1, id="once"), pytest.param(2, id="and again while it rolls back")])
async def test_a_write_that_is_cancelled_while_it_waits_leaves_no_lock_and_no_trade(db, connection, times):
    await add(db, 1)
    async with connection.transaction():
        await connection.execute("SELECT FROM tapes FOR UPDATE")
        waiting = asyncio.create_task(add(db, 2))
        await is_waited_for(connection)
        for _ in range(times):
            waiting.cancel()
            await asyncio.sleep(0)
        await asyncio.wait([waiting])

    assert waiting.cancelled()
    async with asyncio.timeout(10):
        assert await add(db, 3) == [3]
    assert not await db.tape.has(*BTC, 2)


async def test_one_text_that_is_no_single_object_fails_the_whole_batch(db):
    good, bad = a_record(trade_id=1), TradeRecord(a_trade(trade_id=2), "{}, {}")

    with pytest.raises(DatabaseOperationError, match="null value"):
        await db.tape.insert([good, bad])

    assert await db.tape.last(*BTC) is None


async def test_any_object_can_be_stored_under_any_name(db):
    stored = await db.raw_trades.insert_raw_websocket_data(
        "okx", "BTC-USDT", "raw_trade", {"instId": "BTC-USDT", "px": "50000", "sz": "0.1"}, NOON
    )

    (row,) = await db.raw_trades.get_raw_trades("BTC-USDT", "raw_trade", NOON, NOON + SECOND)
    assert stored
    assert (row.raw_data["px"], row.trade, row.timestamp) == ("50000", None, NOON)


async def test_a_point_without_trade_id_is_stored_each_time(db):
    point = MarketDataPoint("okx", "BTC-USDT", NOON, DataType.TRADE, {"price": 50000, "size": 0.1, "side": "buy"})

    both = [await db.raw_trades.insert_market_data_point(point) for _ in range(2)]

    rows = await db.raw_trades.get_raw_trades("BTC-USDT", "trade", NOON, NOON + SECOND, limit=10)
    assert (both, len(rows)) == ([True, True], 2)


async def test_a_point_that_is_a_trade_is_stored_once(db):
    data = orjson.loads(a_record().raw)
    point = MarketDataPoint("okx", "BTC-USDT", NOON, DataType.TRADE, data)

    both = [await db.raw_trades.insert_market_data_point(point) for _ in range(2)]

    assert both == [True, False]
    assert await db.tape.has(*BTC, 1)


async def test_a_trade_takes_its_own_time_and_no_other(db):
    data = orjson.loads(a_record().raw)

    await db.raw_trades.insert_raw_websocket_data("okx", "BTC-USDT", "trade", data)
    with pytest.raises(InvalidValue, match=r"timestamp: .* is not the trade's own"):
        await db.raw_trades.insert_raw_websocket_data("okx", "BTC-USDT", "trade", data, NOON + SECOND)

    assert await db.tape.last(*BTC) == a_trade()


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"a": ["b\0"]}, id="a NUL character"),
        pytest.param({"a": "\ud800"}, id="a lone surrogate"),
        pytest.param({"a": 2**70}, id="a number that is too long"),
        pytest.param({"a": {1, 2}}, id="a set"),
        pytest.param({"a": float("nan")}, id="no number"),
        pytest.param({"a": NOON}, id="a date"),
    ],
)
async def test_what_cannot_be_stored_is_refused(db, value):
    with pytest.raises(InvalidValue) as refused:
        await db.raw_trades.insert_raw_websocket_data("okx", "BTC-USDT", "ticker", value)

    assert refused.value.name == "raw_data"


async def test_an_escaped_backslash_before_u0000_is_no_nul(db):
    assert await db.raw_trades.insert_raw_websocket_data("okx", "BTC-USDT", "ticker", {"a": "\\u0000"}, NOON)

    (row,) = await db.raw_trades.get_raw_trades("BTC-USDT", "ticker", NOON, NOON + SECOND)
    assert row.raw_data == {"a": "\\u0000"}


async def test_points_of_other_channels_go_in_together(db):
    points = [
        MarketDataPoint("okx", "BTC-USDT", NOON + n * SECOND, DataType.TICKER, {"last": str(n)}) for n in range(3)
    ]

    assert await db.raw_trades.insert_points(points) == 3
    assert await db.raw_trades.insert_points([]) == 0
    rows = await db.raw_trades.get_raw_trades("BTC-USDT", "ticker", NOON, NOON + 2 * SECOND)
    assert [row.raw_data["last"] for row in rows] == ["0", "1"]


async def test_pages_are_cut_by_time_and_id(db):
    await db.tape.insert([a_record(trade_id=number) for number in range(5)])
    page = await db.raw_trades.page(*BTC, "trade", first=2)

    last = page.rows[-1]
    rest = await db.raw_trades.page(*BTC, "trade", after=(last.timestamp, last.id))
    back = await db.raw_trades.page(*BTC, "trade", last=1, before=(last.timestamp, last.id))

    assert [row.trade.trade_id for row in page.rows] == [0, 1]
    assert ([row.trade.trade_id for row in rest.rows], rest.has_next, rest.has_previous) == ([2, 3, 4], False, True)
    assert [row.trade.trade_id for row in back.rows] == [0]


async def test_a_wrong_range_or_limit_is_refused(db):
    with pytest.raises(InvalidValue, match=r"start: .* is after end"):
        await db.raw_trades.get_raw_trades("BTC-USDT", "trade", NOON + SECOND, NOON)
    with pytest.raises(InvalidValue, match="limit: -1 is not between 0 and"):
        await db.raw_trades.get_raw_trades("BTC-USDT", "trade", NOON, NOON + SECOND, limit=-1)


async def test_rows_that_were_stored_in_another_case_come_back_as_the_changelog_says(db):
    await db.raw_trades.insert_raw_websocket_data("okx", "BTC-USDT", "trade", {"px": "1"}, NOON)
    async with db.engine.begin() as connection:
        await connection.execute(sa.text("UPDATE raw_trades SET data_type = 'TRADE'"))
    span = NOON, NOON + timedelta(minutes=1)
    lost = await db.raw_trades.get_raw_trades("BTC-USDT", "TRADE", *span)

    changelog = " ".join((Path(__file__).parent.parent / "CHANGELOG.md").read_text().split())
    told = re.search(r"`(UPDATE raw_trades SET [^`]*)`", changelog)
    assert told
    async with db.engine.begin() as connection:
        await connection.execute(sa.text(told[1]))

    assert lost == []
    assert [row.data_type for row in await db.raw_trades.get_raw_trades("BTC-USDT", "TRADE", *span)] == ["trade"]


@pytest.mark.parametrize(("ahead", "taken"), [(timedelta(seconds=50), True), (timedelta(minutes=2), False)])
async def test_a_trade_may_be_a_minute_ahead_of_the_clock_and_no_more(db, ahead, taken):
    record = a_record(timestamp=datetime.now(UTC) + ahead)

    if taken:
        assert await db.raw_trades.insert_raw_websocket_data("okx", "BTC-USDT", "trade", orjson.loads(record.raw))
    else:
        with pytest.raises(InvalidValue, match=r"ts: .* is more than a minute ahead"):
            await db.raw_trades.insert_raw_websocket_data("okx", "BTC-USDT", "trade", orjson.loads(record.raw))
    assert (await db.tape.last("okx", "BTC-USDT") is not None) is taken
