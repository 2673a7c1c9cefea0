"""Candles in a real database: who may overwrite whom, and in what order writes are seen."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from repos.domain import Candle, InvalidValue, Origin, Series, Timeframe
from repos.events import Position
from repos.operations import DatabaseOperations
from tests.builders import BTC_1M, MINUTE, NOON, a_candle

pytestmark = pytest.mark.anyio


def minutes(*numbers: int, **changes: object) -> list[Candle]:
    return [a_candle(start_time=NOON + number * MINUTE, **changes) for number in numbers]


def starts(candles: list[Candle]) -> list[int]:
    return [int((candle.start_time - NOON) / MINUTE) for candle in candles]


async def revision(db: DatabaseOperations, series: Series = BTC_1M) -> int:
    return (await db.market_data.revisions([series])).get(series, 0)


async def test_a_stored_candle_stays_unless_forced(db):
    await db.market_data.upsert_candle(a_candle(close=101))

    kept = await db.market_data.upsert_candle(a_candle(close=102))
    after_keeping = await db.market_data.get_latest_candle("BTC-USDT", "1m")
    forced = await db.market_data.upsert_candle(a_candle(close=102), force_update=True)
    after_forcing = await db.market_data.get_latest_candle("BTC-USDT", "1m")

    assert (kept, after_keeping) == (False, a_candle(close=101))
    assert (forced, after_forcing) == (True, a_candle(close=102))


@pytest.mark.parametrize(
    ("stored", "written", "force", "replaced"),
    [
        pytest.param(Origin.TRADES, Origin.TRADES, False, True, id="the fold revises its own"),
        pytest.param(Origin.CLIENT, Origin.TRADES, False, False, id="the fold leaves a client's alone"),
        pytest.param(Origin.EXCHANGE, Origin.TRADES, False, False, id="the fold leaves the exchange's alone"),
        pytest.param(Origin.EXCHANGE, Origin.TRADES, True, True, id="a forced fold replaces the exchange's"),
        pytest.param(Origin.TRADES, Origin.CLIENT, False, False, id="a client leaves the fold's alone"),
        pytest.param(Origin.TRADES, Origin.CLIENT, True, True, id="a forced client replaces the fold's"),
    ],
)
async def test_origin_decides_who_overwrites(db, stored, written, force, replaced):
    await db.market_data.upsert_candle(a_candle(origin=stored))

    result = await db.market_data.upsert_candle(a_candle(close=103, origin=written), force)

    latest = await db.market_data.get_latest_candle("BTC-USDT", "1m")
    assert (result, latest.origin) == (replaced, written if replaced else stored)


async def test_a_write_that_changes_nothing_takes_no_revision(db):
    await db.market_data.upsert_candles(minutes(0, 1))

    written = await db.market_data.upsert_candles(minutes(0, 1, open="100.000"), force_update=True)

    assert written == []
    assert await revision(db) == 1


async def test_numbers_come_back_to_the_last_digit(db):
    candle = a_candle(open="0.000000000000000001", close="99999999999999999999.999999999999999999", volume="1E-18")

    await db.market_data.upsert_candle(candle)

    stored = await db.market_data.get_candle(BTC_1M, NOON)
    assert stored == candle
    assert format(stored.volume, "f") == "0.000000000000000001"


async def test_of_a_candle_given_twice_the_last_wins(db):
    written = await db.market_data.upsert_candles([a_candle(close=101), a_candle(close=105)])

    assert [candle.close for candle in written] == [Decimal(105)]


async def test_an_empty_batch_writes_nothing(db):
    assert await db.market_data.upsert_candles([]) == []


async def test_a_forming_candle_is_refused(db):
    with pytest.raises(InvalidValue, match="is still forming"):
        await db.market_data.upsert_candle(a_candle(is_final=False))


@pytest.mark.parametrize(("ahead", "taken"), [pytest.param(50, True, id="50 s"), pytest.param(70, False, id="70 s")])
@pytest.mark.parametrize("origin", Origin)
async def test_a_candle_may_start_a_minute_ahead_of_the_clock_and_no_more(db, origin, ahead, taken):
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=ahead)
    candle = a_candle(timeframe=Timeframe("1s"), start_time=start, origin=origin)

    if taken:
        assert await db.market_data.upsert_candle(candle)
    else:
        with pytest.raises(InvalidValue, match="more than a minute ahead") as raised:
            await db.market_data.upsert_candles([a_candle(), candle])
        assert raised.value.name == "start_time"
    assert [market.candle_count for market in await db.market_data.markets()] == [1] * taken


async def test_a_candle_is_held_against_the_clock_of_its_source_where_that_is_given(db):
    later = datetime.now(UTC) + timedelta(hours=1)
    candle = a_candle(start_time=Timeframe("1m").floor(later))

    assert await db.market_data.upsert_candles([candle], now=later) == [candle]
    with pytest.raises(InvalidValue, match="more than a minute ahead"):
        await db.market_data.upsert_candles([a_candle(start_time=NOON)], now=NOON - 2 * MINUTE)


async def test_series_knows_span_and_count(db):
    await db.market_data.upsert_candles(minutes(5, 7))
    await db.market_data.upsert_candles(minutes(5, 6, close=104), force_update=True)
    await db.market_data.upsert_candle(a_candle(exchange="elsewhere"))

    (market,) = await db.market_data.markets("okx")

    assert (market.series, market.candle_count) == (BTC_1M, 3)
    assert (market.first_time, market.last_time) == (NOON + 5 * MINUTE, NOON + 7 * MINUTE)
    assert len(await db.market_data.markets()) == 2


async def test_writers_side_by_side_leave_contiguous_revisions_and_nobody_waits_for_ever(db):
    many = [Series("okx", f"S{number}-USDT", Timeframe("1m")) for number in range(5)]

    async def write(writer: int) -> None:
        for turn in range(10):
            start = NOON + (writer * 10 + turn) * MINUTE
            # Each in an order of its own: what keeps them from a deadlock is the order of the locks.
            batch = [a_candle(symbol=series.symbol, start_time=start) for series in many]
            await db.market_data.upsert_candles(batch[writer % 5 :] + batch[: writer % 5])

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        for writer in range(8):
            tasks.create_task(write(writer))

    assert await db.market_data.revisions(many) == dict.fromkeys(many, 80)
    for series in many:
        changes = await db.market_data.changes(Position(series, 0, None, None, db.epoch.current), 1000)
        assert [position.revision for _, position in changes] == list(range(1, 81))


async def test_a_reader_that_follows_the_revisions_misses_no_write_of_concurrent_writers(db):
    seen: list[Candle] = []
    done = asyncio.Event()

    async def read() -> None:
        position = Position(BTC_1M, 0, None, None, db.epoch.current)
        while len(seen) < 60:
            for candle, reached in await db.market_data.changes(position, 7):
                seen.append(candle)
                position = reached
        done.set()

    async def write(writer: int) -> None:
        for turn in range(20):
            await db.market_data.upsert_candles(minutes(writer * 20 + turn))

    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        tasks.create_task(read())
        for writer in range(3):
            tasks.create_task(write(writer))

    assert sorted(starts(seen)) == list(range(60))


async def test_changes_tell_each_candle_once_in_its_latest_state(db):
    await db.market_data.upsert_candles(minutes(0, 1, 2))
    await db.market_data.upsert_candles(minutes(1, close=110), force_update=True)

    changes = await db.market_data.changes(Position(BTC_1M, 0, None, None, db.epoch.current), 100)

    assert starts([candle for candle, _ in changes]) == [0, 2, 1]
    assert [position.revision for _, position in changes] == [1, 1, 2]
    assert changes[-1][1].newest == NOON + 2 * MINUTE


async def test_changes_go_on_in_the_middle_of_a_revision(db):
    await db.market_data.upsert_candles(minutes(0, 1, 2))
    ((_, middle),) = await db.market_data.changes(Position(BTC_1M, 0, None, None, db.epoch.current), 1)

    rest = await db.market_data.changes(middle, 100)

    assert starts([candle for candle, _ in rest]) == [1, 2]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param({}, ([0, 1, 2, 3, 4], False, False), id="everything"),
        pytest.param({"first": 2}, ([0, 1], True, False), id="first"),
        pytest.param({"last": 2}, ([3, 4], False, True), id="last"),
        pytest.param({"first": 5}, ([0, 1, 2, 3, 4], False, False), id="exactly all"),
        pytest.param({"first": 2, "after": 1}, ([2, 3], True, True), id="first after"),
        pytest.param({"after": 3}, ([4], False, True), id="after alone"),
        pytest.param({"before": 2}, ([0, 1], True, False), id="before alone"),
        pytest.param({"last": 1, "before": 2}, ([1], True, True), id="last before"),
        pytest.param({"first": 2, "before": 1}, ([0], True, False), id="first stops at before"),
        pytest.param({"last": 9, "after": 2}, ([3, 4], False, True), id="last stops at after"),
        pytest.param({"first": 1, "after": 0, "before": 4}, ([1], True, True), id="between both"),
        pytest.param({"first": 0}, ([], True, False), id="an empty page at the beginning"),
        pytest.param({"last": 0}, ([], False, True), id="an empty page at the end"),
        pytest.param({"first": 3, "after": 4}, ([], False, True), id="beyond the end"),
        pytest.param({"last": 3, "before": 0}, ([], True, False), id="before the beginning"),
        pytest.param({"start": 1, "end": 3}, ([1, 2], False, False), id="a range knows no neighbours"),
        pytest.param({"start": 1, "end": 4, "first": 1}, ([1], True, False), id="first of a range"),
        pytest.param({"start": 9}, ([], False, False), id="an empty range"),
        pytest.param({"start": 2, "end": 2}, ([], False, False), id="a range of nothing"),
    ],
)
async def test_pages_and_their_neighbours(db, asked, expected):
    await db.market_data.upsert_candles(minutes(0, 1, 2, 3, 4))
    times = {k: NOON + v * MINUTE for k, v in asked.items() if k not in ("first", "last")}

    page = await db.market_data.page(BTC_1M, **asked | times)

    assert (starts(page.rows), page.has_next, page.has_previous) == expected


async def test_a_page_knows_where_its_reader_stands(db):
    await db.market_data.upsert_candles(minutes(0, 1))
    page = await db.market_data.page(BTC_1M, first=1)
    await db.market_data.upsert_candles(minutes(2))

    changes = await db.market_data.changes(page.position, 10)

    assert page.position == Position(BTC_1M, 1, None, NOON + MINUTE, db.epoch.current)
    assert starts([candle for candle, _ in changes]) == [2]


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        pytest.param({"first": -1}, "first", id="negative"),
        pytest.param({"last": 10_001}, "last", id="too many"),
        pytest.param({"first": 1, "last": 1}, "last", id="both"),
        pytest.param({"start": NOON, "end": NOON - MINUTE}, "start", id="a range that ends before it starts"),
    ],
)
async def test_a_wrong_page_is_refused_by_name(db, asked, named):
    with pytest.raises(InvalidValue) as refused:
        await db.market_data.page(BTC_1M, **asked)

    assert refused.value.name == named


async def test_a_range_is_half_open(db):
    await db.market_data.upsert_candles(minutes(0, 1, 2))

    candles = await db.market_data.get_candles("BTC-USDT", "60s", NOON, NOON + 2 * MINUTE)

    assert starts(candles) == [0, 1]


async def test_count_is_of_the_range(db):
    await db.market_data.upsert_candles(minutes(0, 1, 2))

    assert await db.market_data.count(BTC_1M) == 3
    assert await db.market_data.count(BTC_1M, start=NOON + MINUTE) == 2


async def test_the_newest_of_many_series_comes_in_one_go(db):
    eth = Series("okx", "ETH-USDT", Timeframe("1m"))
    none = Series("okx", "NONE-USDT", Timeframe("1m"))
    await db.market_data.upsert_candles([*minutes(0, 3), *minutes(1, symbol="ETH-USDT")])

    latest = await db.market_data.latest([eth, BTC_1M, none, eth])

    assert latest == {eth: minutes(1, symbol="ETH-USDT")[0], BTC_1M: minutes(3)[0]}
    assert await db.market_data.latest([]) == {}
    assert await db.market_data.revisions([]) == {}


async def test_columns_are_the_newest_as_floats(db):
    await db.market_data.upsert_candles(minutes(0, 1, 2, trade_count=None))

    columns = await db.market_data.stored.columns(BTC_1M, last=2)

    assert columns.time == [(NOON + minute * MINUTE).timestamp() * 1000 for minute in (1, 2)]
    assert (columns.open, columns.close, columns.volume) == ([100.0] * 2, [101.0] * 2, [1.5] * 2)
    assert (columns.trade_count, columns.truncated) == ([None, None], True)


async def test_columns_of_nothing_are_empty(db):
    columns = await db.market_data.stored.columns(BTC_1M)

    assert (columns.time, columns.trade_count, columns.truncated) == ([], [], False)
    assert columns.position == Position(BTC_1M, 0, None, None, db.epoch.current)


async def test_months_end_where_the_next_begins(db):
    candle = a_candle(timeframe="1M", start_time=NOON.replace(hour=0, month=2))

    await db.market_data.upsert_candle(candle)

    latest = await db.market_data.get_latest_candle("BTC-USDT", "1M")
    assert latest.end_time - latest.start_time == timedelta(days=29)
