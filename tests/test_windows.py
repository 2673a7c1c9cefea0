"""Pages out of memory are those of the database, whatever is written, corrected, lost on the way or read in between."""

import asyncio
from dataclasses import replace
from itertools import product

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repos.candle_reader import AskedPage
from repos.domain import Candle, Series, Timeframe
from repos.events import Position
from repos.feed import windows
from repos.feed.hub import Feed
from repos.feed.news import CandleNews
from repos.operations import DatabaseOperations
from tests.builders import BTC_1M, MINUTE, NOON, a_candle
from tests.conftest import selects
from tests.gql_server import Client, an_app

pytestmark = pytest.mark.anyio

KEPT = 6
MINUTES = 12
KILL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
)
NEWEST = {"last": KEPT}


@pytest.fixture
async def feed(db):
    async with Feed(db, hot_candles=KEPT) as feed:
        yield feed


@pytest.fixture
async def elsewhere(db, database_url):
    """The same database in another process, as far as this one knows."""
    async with DatabaseOperations(database_url) as operations:
        yield operations


def minute(number: int, series: Series = BTC_1M, **changes) -> Candle:
    return a_candle(symbol=series.symbol, start_time=NOON + number * MINUTE, **changes)


async def until_hot(feed: Feed, db: DatabaseOperations, series: Series = BTC_1M) -> None:
    """Wait until the window of the series stands where the database stands."""
    asked = AskedPage.of(series, last=1)
    async with asyncio.timeout(60):
        while True:
            [page] = await feed.windows.pages([asked])
            if page is not None and page.position == (await db.market_data.page(series, last=1)).position:
                return
            await asyncio.sleep(0.001)


def asked_pages(series: Series) -> list[AskedPage]:
    """Pages of all kinds."""
    moments = [None, *(NOON + n * MINUTE for n in (0, 3, 7, 11))]
    ranges = [(start, end) for start, end in product(moments, moments) if None in (start, end) or start <= end]
    cuts = [{name: limit} for name in ("first", "last") for limit in (0, 1, 3, 20)]
    places = [{"after": after, "before": before} for after, before in product(moments[::2], moments[::2])]
    return [
        AskedPage.of(series, start=start, end=end, **cut, **place)
        for (start, end), cut, place in product(ranges, cuts, places)
    ]


NUMBERS = st.integers(0, MINUTES - 1)
WRITES = st.tuples(
    st.sampled_from(["write", "write elsewhere"]),
    st.dictionaries(NUMBERS, st.sampled_from([101, "102.50", "1E+3"]), min_size=1),
)
DELETIONS = st.tuples(st.sampled_from(["delete", "delete elsewhere"]), st.tuples(NUMBERS, NUMBERS).map(sorted))
READS = st.tuples(
    st.just("read"),
    st.fixed_dictionaries({"last": st.integers(0, 8)}, optional={"start": NUMBERS, "before": NUMBERS}),
)
STEPS = st.lists(
    WRITES | DELETIONS | READS | st.sampled_from([("lose", None), ("settle", None)]), min_size=1, max_size=12
)


async def test_any_interleaving_of_writes_deletions_losses_and_reads_is_answered_as_by_the_database(
    db, feed, elsewhere
):
    found: list[list] = []

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(STEPS)
    def collect(steps):
        found.append(steps)

    collect()
    from_memory = changes_from_memory = 0
    for number, steps in enumerate(found):
        series = Series("okx", f"S{number}", Timeframe("1m"))
        for step, what in [("read", NEWEST), *steps, ("settle", None)]:
            match step:
                case "write" | "write elsewhere":
                    writer = db if step == "write" else elsewhere
                    candles = [minute(n, series, close=close, high=1000) for n, close in what.items()]
                    await writer.market_data.upsert_candles(candles, force_update=True)
                case "delete" | "delete elsewhere":
                    deleter = db if step == "delete" else elsewhere
                    await deleter.market_data.delete_candles(*series, *(NOON + n * MINUTE for n in what))
                case "lose":
                    async with db.engine.begin() as connection:
                        await connection.exec_driver_sql(KILL)
                case "settle":
                    await until_hot(feed, db, series)
                case "read":
                    times = {name: NOON + n * MINUTE for name, n in what.items() if name != "last"}
                    asked = AskedPage.of(series, last=what["last"], **times)
                    [page] = await feed.windows.pages([asked])
                    [stored] = await db.market_data.stored.pages([asked])
                    if page is not None:
                        from_memory += 1
                        assert page.position.revision >= db.market_data.written.get(series, 0)
                        if page.position.revision == stored.position.revision:
                            assert replace(page, rows=list(page.rows)) == replace(stored, rows=list(stored.rows))
        await check_pages(feed, db, series)
        changes_from_memory += await check_changes(feed, db, series)

    assert from_memory > 5
    assert changes_from_memory > 50


async def check_changes(feed: Feed, db: DatabaseOperations, series: Series) -> int:
    """Changes that the window tells are the database's, wherever one begins; how many times it told them."""
    begin = Position(series, 0, None, None, db.epoch.current)
    changes = await db.market_data.changes(begin, 1000)
    positions = [begin, *(position for _, position in changes)]
    told = 0
    for position in [*positions, *(position._replace(start=None) for position in positions)]:
        stored = await db.market_data.changes(position, 1000)
        kept = await feed.windows.changes(position)
        if kept is not None:
            told += 1
            assert kept == (stored, await db.market_data.position(series))
    return told


async def check_pages(feed: Feed, db: DatabaseOperations, series: Series) -> None:
    """Every page that the window answers is the database's, to the text."""
    asked = asked_pages(series)
    stored = await db.market_data.stored.pages(asked)
    await until_hot(feed, db, series)  # a connection that was killed may have been noticed since
    answered = list(zip(await feed.windows.pages(asked), stored, strict=True))
    assert sum(page is not None for page, _ in answered) > len(answered) / 4
    for page, other in answered:
        if page is not None:
            assert replace(page, rows=list(page.rows)) == replace(other, rows=list(other.rows))
            assert [tuple(row) for row in page.rows.rows] == [tuple(row[-2:]) for row in other.rows.rows]


async def test_a_page_inside_the_window_never_touches_the_database(db, logging_db, caplog):
    await db.market_data.upsert_candles([minute(n) for n in range(MINUTES)])
    query = 'query ($last: Int) { candles(symbol: "BTC-USDT", timeframe: "1m", last: $last) { nodes { startTime } } }'
    async with Feed(logging_db, hot_candles=KEPT) as feed, Client(an_app(logging_db, feed)) as client:
        await client.ask(query, last=3)
        await until_hot(feed, db)
        caplog.clear()
        inside = await client.ask(query, last=KEPT - 1)
        statements = [text for text in caplog.messages if "market_data" in text]
        outside = await client.ask(query, last=KEPT + 1)

    assert [len(data["candles"]["nodes"]) for data in (inside, outside)] == [KEPT - 1, KEPT + 1]
    assert statements == []


async def test_who_wrote_reads_what_it_wrote(db, feed):
    query = 'query { candles(symbol: "BTC-USDT", timeframe: "1m", last: 1) { nodes { close } } }'
    write = "mutation ($input: CandleInput!) { upsertCandle(input: $input, forceUpdate: true) { stored } }"
    fields = {"symbol": "BTC-USDT", "timeframe": "1m", "startTime": NOON.isoformat(), "volume": "1"}
    async with Client(an_app(db, feed)) as client:
        await client.ask(query)
        seen = []
        for close in range(100, 130):
            prices = dict.fromkeys(("open", "high", "low", "close"), str(close))
            await client.ask(write, input=fields | prices)
            data = await client.ask(query)
            seen.append(data["candles"]["nodes"][0]["close"])

    assert seen == [str(close) for close in range(100, 130)]


async def test_window_is_silent_while_news_cannot_arrive(db, feed, elsewhere):
    await db.market_data.upsert_candle(minute(0))
    asked = AskedPage.of(BTC_1M, last=1)
    await until_hot(feed, db)

    feed._lost.set()

    assert await feed.windows.pages([asked]) == [None]
    await elsewhere.market_data.upsert_candle(minute(1))
    await until_hot(feed, db)
    [page] = await feed.windows.pages([asked])
    assert page.rows[0] == minute(1)


async def test_what_was_printed_is_kept_and_follows_the_news(db, feed):
    await db.market_data.upsert_candles([minute(n) for n in range(3)])
    asked = AskedPage.of(BTC_1M, last=KEPT)
    await until_hot(feed, db)
    printed = []

    def texts(series, rows):
        printed.append(len(rows))
        return [orjson.dumps(row[1].split(",")[3]).decode() for row in rows]

    async def printed_page() -> str:
        [page] = await feed.windows.pages([asked])
        return page.rows.json("closes", texts)

    before = [await printed_page(), await printed_page()]
    await db.market_data.upsert_candles([minute(1, close="7", low=1), minute(3)], force_update=True)
    await until_hot(feed, db)

    assert before == ['["101","101","101"]'] * 2
    assert await printed_page() == '["101","7","101","101"]'
    assert printed == [3, 1, 1]


async def test_the_series_asked_least_recently_loses_its_window(db, feed, monkeypatch):
    monkeypatch.setattr(windows, "MOST_SERIES", 2)
    monkeypatch.setattr(windows, "AT_REST", 0.0)
    series = [Series("okx", symbol, Timeframe("1m")) for symbol in ("A", "B", "C")]
    await db.market_data.upsert_candles([minute(0, key) for key in series])
    for key in (*series[:2], series[0], series[2]):
        await until_hot(feed, db, key)

    assert set(feed.topics.series()) == {series[0], series[2]}


async def test_no_window_is_taken_from_who_reads_it(db, feed, monkeypatch):
    monkeypatch.setattr(windows, "MOST_SERIES", 1)
    other = Series("okx", "OTHER", Timeframe("1m"))
    await db.market_data.upsert_candles([minute(0), minute(0, other)])
    await until_hot(feed, db)

    assert await feed.windows.pages([AskedPage.of(other, last=1)]) == [None]
    assert set(feed.topics.series()) == {BTC_1M}


async def test_only_the_newest_candles_open_a_window(db, feed):
    await until_it_hears(feed)

    for asked in ({"last": KEPT + 1}, {"first": 1}, {"last": 1, "end": NOON}, {"last": 1, "before": NOON}, {"last": 0}):
        assert await feed.windows.pages([AskedPage.of(BTC_1M, **asked)]) == [None]

    assert feed.topics.series() == {}


async def test_no_window_is_kept_when_none_is_wanted(db):
    async with Feed(db, hot_candles=0) as feed:
        await until_it_hears(feed)

        assert await feed.windows.pages([AskedPage.of(BTC_1M, last=1)]) == [None]

        assert feed.topics.series() == {}


async def test_many_who_come_at_once_wait_for_one_reading(db, logging_db, caplog):
    await db.market_data.upsert_candles([minute(n) for n in range(3)])
    position = (await db.market_data.page(BTC_1M, last=1)).position
    async with Feed(logging_db, hot_candles=KEPT) as feed:
        await until_it_hears(feed)
        caplog.clear()
        pages = [feed.windows.pages([AskedPage.of(BTC_1M, last=2)]) for _ in range(20)]
        found = await asyncio.gather(*pages, *(feed.windows.changes(position) for _ in range(20)))

    assert [len(page.rows) for [page] in found[:20]] == [2] * 20
    assert found[20:] == [([], position)] * 20
    assert len([text for text in caplog.messages if "market_data" in text]) == 1


async def until_it_hears(feed: Feed) -> None:
    async with asyncio.timeout(10):
        while feed._complete() is None:
            await asyncio.sleep(0.001)


LATEST = """query {
  latestCandle(symbol: "BTC-USDT", timeframe: "1m") { ...all }
  bots { nodes { latestCandle { ...all } } }
  markets { lastTime latestCandle { ...all } }
}
fragment all on Candle {
  exchange symbol timeframe timestamp startTime endTime open high low close volume tradeCount origin isFinal __typename
}"""
ALONE = 'query { latestCandle(symbol: "BTC-USDT", timeframe: "1m") { close isFinal startTime } }'


async def a_bot(db: DatabaseOperations) -> None:
    await db.bots.add({"name": "crossing", "strategy_name": "crossing", "symbol": "BTC-USDT", "timeframe": "1m"})


async def newest_candles(client: Client) -> list:
    """What all fields of LATEST say of one series, which is the same."""
    data = await client.ask(LATEST)
    [market], [bot] = data["markets"], data["bots"]["nodes"]
    assert market["latestCandle"] == bot["latestCandle"] == data["latestCandle"]
    assert market["lastTime"] == data["latestCandle"]["startTime"]
    return data["latestCandle"]


async def test_the_newest_candle_out_of_memory_is_that_of_the_database(db, feed, elsewhere):
    writes = [
        (db, minute(0)),
        (db, minute(1, close="102.50", volume="1E+3", trade_count=None)),
        (elsewhere, minute(1, close="103")),
        (elsewhere, minute(2, close="0.000000010", low=0)),
        (db, minute(0, close="7", low=1)),
    ]
    await a_bot(db)
    async with Feed(db, hot_candles=0) as cold, Client(an_app(db, feed)) as client, Client(an_app(db, cold)) as other:
        for writer, candle in writes:
            await writer.market_data.upsert_candle(candle, force_update=True)
            await until_hot(feed, db)
            found = feed.windows.found
            assert await newest_candles(client) == await newest_candles(other)
            assert feed.windows.found == found + 3
        assert cold.windows.found == 0


async def test_a_newest_candle_in_memory_never_touches_the_table(db, logging_db, caplog):
    await db.market_data.upsert_candles([minute(n) for n in range(MINUTES)])
    await a_bot(db)
    async with Feed(logging_db, hot_candles=KEPT) as feed, Client(an_app(logging_db, feed)) as client:
        before = await newest_candles(client)
        assert [text for text in caplog.messages if "market_data" in text]
        await until_hot(feed, db)
        caplog.clear()
        after = await newest_candles(client)
        with_rows = [text for text in caplog.messages if "market_data" in text]
        caplog.clear()
        alone = await client.ask(ALONE)
        of_alone = selects(caplog)

    assert after == before
    assert alone["latestCandle"]["startTime"] == before["startTime"]
    assert (with_rows, of_alone) == ([], [])


async def test_who_wrote_reads_its_newest_candle(db, feed):
    await until_hot(feed, db)
    async with Client(an_app(db, feed)) as client:
        seen = []
        for number in range(30):
            await db.market_data.upsert_candle(minute(number // 10, close=100 + number, high=1000), force_update=True)
            seen.append((await client.ask(ALONE))["latestCandle"]["close"])

    assert seen == [str(100 + number) for number in range(30)]


async def test_a_newest_candle_is_asked_of_the_database_while_news_cannot_arrive(db, feed, elsewhere):
    await db.market_data.upsert_candle(minute(0))
    await until_hot(feed, db)

    feed._lost.set()

    assert feed.windows.newest(BTC_1M) is None
    await elsewhere.market_data.upsert_candle(minute(1, close=102))
    await until_hot(feed, db)
    async with Client(an_app(db, feed)) as client:
        assert (await client.ask(ALONE))["latestCandle"]["close"] == "102"


async def test_a_window_is_silent_when_it_heard_of_a_write_without_its_rows(db, feed):
    await db.market_data.upsert_candle(minute(0))
    await until_hot(feed, db)
    start = NOON + MINUTE

    # A write of thousands is told so; they are still to be read.
    hole = feed.topics.deliver(CandleNews(BTC_1M, 2, start, start, None))

    assert hole == BTC_1M
    assert feed.windows.newest(BTC_1M) is None
    assert await feed.windows.pages([AskedPage.of(BTC_1M, last=1)]) == [None]
    assert await feed.windows.changes(Position(BTC_1M, 1, None, NOON, db.epoch.current)) is None

    feed.topics.deliver(CandleNews(BTC_1M, 2, start, start, [minute(1)]))
    assert feed.windows.newest(BTC_1M).start_time == start


async def test_a_market_never_shows_an_older_candle_than_its_span(db, feed):
    await db.market_data.upsert_candle(minute(0))
    await until_hot(feed, db)

    assert feed.windows.newest(BTC_1M, 1).start_time == NOON
    # The list of markets was read after a write of which no news has come yet.
    assert feed.windows.newest(BTC_1M, 2) is None


async def test_a_newest_candle_opens_no_window_but_keeps_one_open(db, feed, monkeypatch):
    monkeypatch.setattr(windows, "MOST_SERIES", 1)
    other = Series("okx", "OTHER", Timeframe("1m"))
    await db.market_data.upsert_candles([minute(0), minute(0, other)])
    await until_it_hears(feed)
    assert feed.windows.newest(BTC_1M) is None
    assert feed.topics.series() == {}

    await until_hot(feed, db)
    monkeypatch.setattr(windows, "AT_REST", 0.5)
    feed.windows._windows[BTC_1M].asked_at -= 1.0
    assert feed.windows.newest(BTC_1M) is not None

    assert await feed.windows.pages([AskedPage.of(other, last=1)]) == [None]
    assert set(feed.topics.series()) == {BTC_1M}


async def test_a_deleted_candle_is_the_newest_no_more(db, feed, elsewhere):
    await db.market_data.upsert_candles([minute(n, close=101 + n) for n in range(3)])
    await until_hot(feed, db)
    async with Client(an_app(db, feed)) as client:
        seen = [(await client.ask(ALONE))["latestCandle"]["close"]]
        for deleter, number in ((db, 2), (elsewhere, 1)):
            await deleter.market_data.delete_candles(*BTC_1M, NOON + number * MINUTE, NOON + (number + 1) * MINUTE)
            await until_hot(feed, db)
            found = feed.windows.found
            seen.append((await client.ask(ALONE))["latestCandle"]["close"])
            assert feed.windows.found == found + 1
        await db.market_data.delete_candles(*BTC_1M, NOON, NOON + MINUTE)
        await until_hot(feed, db)
        none = (await client.ask(ALONE))["latestCandle"]

    assert seen == ["103", "102", "101"]
    assert none is None


async def test_a_newest_candle_in_memory_is_printed_once_for_each_selection(db, feed):
    await db.market_data.upsert_candle(minute(0))
    await until_hot(feed, db)
    printed = []

    def texts(series, rows):
        printed.append(len(rows))
        return [row[1].split(",")[3] for row in rows]

    before = [feed.windows.newest(BTC_1M).json(key, texts) for key in ("a", "b", "a", "b")]
    await db.market_data.upsert_candle(minute(0, close=102, high=1000), force_update=True)
    await until_hot(feed, db)

    assert before == ["101"] * 4
    assert feed.windows.newest(BTC_1M).json("a", texts) == "102"
    assert printed == [1, 1, 1]
