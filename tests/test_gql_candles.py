"""Candles over a real server and database: pages, columns, writes, and every mistake named."""

import pytest

from repos.domain import Origin
from tests.builders import MINUTE, NOON, a_candle
from tests.gql_server import Client, an_app

pytestmark = pytest.mark.anyio


def minutes(nodes):
    return [int(node["startTime"][14:16]) for node in nodes]


@pytest.fixture
async def client(db, feed):
    async with Client(an_app(db, feed)) as client:
        yield client


@pytest.fixture
async def ten(db):
    """Ten candles, a minute apart."""
    await db.market_data.upsert_candles([a_candle(start_time=NOON + n * MINUTE) for n in range(10)])


PAGE = """
query ($first: Int, $after: String, $last: Int, $before: String, $start: DateTime, $end: DateTime) {
  candles(symbol: "BTC-USDT", timeframe: "1m", first: $first, after: $after, last: $last, before: $before,
          start: $start, end: $end) {
    nodes { startTime }
    edges { cursor node { startTime } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    totalCount
  }
}
"""


async def test_every_field_of_a_candle_is_exact(client, db):
    prices = {"open": "10.50", "high": 12, "low": "0.00000001", "close": 11}
    await db.market_data.upsert_candle(a_candle(**prices, origin=Origin.TRADES))

    data = await client.ask(
        """{ latestCandle(symbol: "BTC-USDT", timeframe: "60s") {
             exchange symbol timeframe timestamp startTime endTime open high low close volume tradeCount origin isFinal
           } }"""
    )

    assert data["latestCandle"] == {
        "exchange": "okx",
        "symbol": "BTC-USDT",
        "timeframe": "1m",
        "timestamp": "2024-01-01T12:00:00.000Z",
        "startTime": "2024-01-01T12:00:00.000Z",
        "endTime": "2024-01-01T12:01:00.000Z",
        "open": "10.50",
        "high": "12",
        "low": "0.00000001",
        "close": "11",
        "volume": "1.5",
        "tradeCount": 3,
        "origin": "TRADES",
        "isFinal": True,
    }


async def test_the_latest_of_an_unknown_series_is_null(client):
    assert await client.ask('{ latestCandle(symbol: "NO-SUCH", timeframe: "1m") { open } }') == {"latestCandle": None}


@pytest.mark.usefixtures("ten")
async def test_pages_forward_meet_without_hole_or_double(client):
    seen, after, flags = [], None, []

    while True:
        page = (await client.ask(PAGE, first=4, **({} if after is None else {"after": after})))["candles"]
        seen += minutes(page["nodes"])
        flags.append((page["pageInfo"]["hasPreviousPage"], page["pageInfo"]["hasNextPage"]))
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break

    assert seen == list(range(10))
    assert flags == [(False, True), (True, True), (True, False)]


@pytest.mark.usefixtures("ten")
async def test_pages_backward_meet_without_hole_or_double(client):
    pages, before, flags = [], None, []

    while True:
        page = (await client.ask(PAGE, last=4, **({} if before is None else {"before": before})))["candles"]
        pages.insert(0, minutes(page["nodes"]))
        flags.append((page["pageInfo"]["hasPreviousPage"], page["pageInfo"]["hasNextPage"]))
        before = page["pageInfo"]["startCursor"]
        if not page["pageInfo"]["hasPreviousPage"]:
            break

    assert pages == [[0, 1], [2, 3, 4, 5], [6, 7, 8, 9]]
    assert flags == [(True, False), (True, True), (False, True)]


@pytest.mark.usefixtures("ten")
async def test_edges_carry_the_cursor_of_their_own_row(client):
    page = (await client.ask(PAGE, first=3))["candles"]
    second = page["edges"][1]

    behind = (await client.ask(PAGE, first=1, after=second["cursor"]))["candles"]

    assert [edge["node"] for edge in page["edges"]] == page["nodes"]
    assert page["pageInfo"]["startCursor"] == page["edges"][0]["cursor"]
    assert page["pageInfo"]["endCursor"] == page["edges"][2]["cursor"]
    assert minutes(behind["nodes"]) == [2]


@pytest.mark.usefixtures("ten")
async def test_a_page_of_none_still_knows_its_neighbours(client):
    page = (await client.ask(PAGE, first=0))["candles"]

    assert page["nodes"] == page["edges"] == []
    assert page["pageInfo"] == {
        "hasNextPage": True,
        "hasPreviousPage": False,
        "startCursor": None,
        "endCursor": None,
    }
    assert page["totalCount"] == "10"


@pytest.mark.usefixtures("ten")
async def test_a_range_is_half_open_and_counted_whole(client):
    window = {"start": "2024-01-01T12:02:00Z", "end": "2024-01-01T12:05:00Z"}

    page = (await client.ask(PAGE, last=2, **window))["candles"]
    empty = (await client.ask(PAGE, start=window["start"], end=window["start"]))["candles"]

    assert minutes(page["nodes"]) == [3, 4]
    assert page["totalCount"] == "3"
    assert (page["pageInfo"]["hasPreviousPage"], page["pageInfo"]["hasNextPage"]) == (True, False)
    assert empty["nodes"] == []


@pytest.mark.usefixtures("ten")
async def test_columns_hold_the_newest_oldest_first(client):
    data = await client.ask(
        """{ candleSeries(symbol: "BTC-USDT", timeframe: "1m", last: 2) {
             exchange symbol timeframe time open high low close volume tradeCount truncated liveCursor } }"""
    )

    columns = data["candleSeries"]
    assert columns.pop("liveCursor")
    assert columns == {
        "exchange": "okx",
        "symbol": "BTC-USDT",
        "timeframe": "1m",
        "time": [1704110880000.0, 1704110940000.0],
        "open": [100.0, 100.0],
        "high": [101.0, 101.0],
        "low": [100.0, 100.0],
        "close": [101.0, 101.0],
        "volume": [1.5, 1.5],
        "tradeCount": [3, 3],
        "truncated": True,
    }


BAD = [
    ('symbol: "", timeframe: "1m"', "symbol"),
    (r'symbol: "BTC\u0000", timeframe: "1m"', "symbol"),
    ('symbol: "B C", timeframe: "1m"', "symbol"),
    ('exchange: "", symbol: "BTC-USDT", timeframe: "1m"', "exchange"),
    ('symbol: "BTC-USDT", timeframe: "1x"', "timeframe"),
    ('symbol: "BTC-USDT", timeframe: "20y"', "timeframe"),
    ('symbol: "BTC-USDT", timeframe: "1m", first: -1', "first"),
    ('symbol: "BTC-USDT", timeframe: "1m", first: 10001', "first"),
    ('symbol: "BTC-USDT", timeframe: "1m", last: 10001', "last"),
    ('symbol: "BTC-USDT", timeframe: "1m", first: 1, last: 1', "last"),
    ('symbol: "BTC-USDT", timeframe: "1m", after: ""', "after"),
    ('symbol: "BTC-USDT", timeframe: "1m", after: "garbage"', "after"),
    ('symbol: "BTC-USDT", timeframe: "1m", before: "*"', "before"),
    ('symbol: "BTC-USDT", timeframe: "1m", start: "yesterday"', "start"),
    ('symbol: "BTC-USDT", timeframe: "1m", start: "2024-01-02T00:00:00Z", end: "2024-01-01T00:00:00Z"', "start"),
    ('symbol: "BTC-USDT", timeframe: "1m", first: "1"', "first"),
    ('symbol: null, timeframe: "1m"', "symbol"),
]


async def test_every_bad_argument_is_refused_by_its_name(client):
    for arguments, name in BAD:
        code, message = await client.refused(f"{{ candles({arguments}) {{ nodes {{ open }} }} }}")

        assert (code, message.partition(": ")[0]) == ("BAD_USER_INPUT", name), arguments


@pytest.mark.usefixtures("ten")
async def test_a_cursor_of_another_kind_or_series_is_refused(client):
    page = await client.ask(
        """{ candles(symbol: "BTC-USDT", timeframe: "1m", first: 1) { pageInfo { endCursor } liveCursor } }"""
    )
    other = """query ($after: String) { candles(symbol: "ETH-USDT", timeframe: "1m", after: $after) { totalCount } }"""

    of_another_kind = await client.refused(PAGE, after=page["candles"]["liveCursor"])
    of_another_series = await client.refused(other, after=page["candles"]["pageInfo"]["endCursor"])

    assert of_another_kind == ("BAD_USER_INPUT", "after: is no cursor that belongs here")
    assert of_another_series == ("BAD_USER_INPUT", "after: is a cursor of symbol 'BTC-USDT', not 'ETH-USDT'")


@pytest.mark.usefixtures("ten")
async def test_a_field_that_fails_leaves_its_siblings_alone(client):
    answer = await client.post(
        """{ bad: candles(symbol: "", timeframe: "1m") { totalCount }
             good: candles(symbol: "BTC-USDT", timeframe: "1m") { totalCount } }"""
    )

    assert answer["data"] == {"bad": None, "good": {"totalCount": "10"}}
    assert answer["errors"][0]["path"] == ["bad"]


@pytest.mark.usefixtures("ten")
async def test_null_for_an_optional_argument_means_left_out(client):
    query = """query ($start: DateTime, $end: DateTime, $first: Int, $after: String, $last: Int, $before: String) {
      candles(symbol: "BTC-USDT", timeframe: "1m", start: $start, end: $end, first: $first, after: $after,
        last: $last, before: $before) { nodes { startTime } } }"""
    unset = dict.fromkeys(("start", "end", "first", "after", "last", "before"))
    for name in ("first", "last"):
        left_out = await client.ask(query, **{name: 3})
        assert len(left_out["candles"]["nodes"]) == 3
        assert await client.ask(query, **{**unset, name: 3}) == left_out
    literal = await client.ask(
        '{ candles(symbol: "BTC-USDT", timeframe: "1m", start: null, after: null, last: null, first: 3)'
        " { nodes { startTime } } }"
    )
    assert len(literal["candles"]["nodes"]) == 3
