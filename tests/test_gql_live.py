"""Subscriptions over real sockets, endings included."""

import asyncio
import sys

import pytest
from websockets.asyncio.client import connect

from repos.domain import Gap
from repos.events import CollectorReport, FeedHealth
from repos.feed.news import CollectorNews, FormingNews
from tests.builders import A_COLLECTOR, BTC_1M, MINUTE, NOON, a_candle, a_record, a_report
from tests.gql_server import WAIT, Client, an_app, graphql_ws, running

pytestmark = pytest.mark.anyio

CANDLES = """
subscription ($after: String, $snapshot: Int! = 1) {
  candles(symbol: "BTC-USDT", timeframe: "1m", after: $after, snapshot: $snapshot) {
    kind cursor candle { startTime close isFinal } gap { start end }
  }
}
"""


@pytest.fixture
async def app(db, feed):
    return an_app(db, feed)


@pytest.fixture
async def address(app):
    async with running(app) as address:
        yield address


@pytest.fixture
async def socket(address):
    async with graphql_ws(address) as socket:
        yield socket


async def until_followed(feed, by):
    """Wait until so many subscriptions follow something here, and one of each series has read where it begins:
    what is written from then on is news to it.
    """
    async with asyncio.timeout(WAIT):
        while feed.topics.followers != by or None in [topic.position for topic in feed.topics.series().values()]:
            await asyncio.sleep(0)


def told(event):
    candle = event["candles"]["candle"]
    return event["candles"]["kind"], candle["startTime"][11:16], candle["close"], candle["isFinal"]


async def test_a_snapshot_is_followed_by_every_change(socket, db):
    await db.market_data.upsert_candles([a_candle(start_time=NOON + n * MINUTE) for n in range(3)])

    await socket.subscribe(CANDLES, snapshot=2)
    events = [told(await socket.event()), told(await socket.event())]
    await db.bus.publish(FormingNews([a_candle(start_time=NOON + 3 * MINUTE, close=90, is_final=False)]))
    events.append(told(await socket.event()))
    await db.market_data.upsert_candle(a_candle(start_time=NOON + 3 * MINUTE, close=91))
    events.append(told(await socket.event()))
    await db.market_data.upsert_candle(a_candle(close=92), force_update=True)
    events.append(told(await socket.event()))

    assert events == [
        ("SNAPSHOT", "12:01", "101", True),
        ("SNAPSHOT", "12:02", "101", True),
        ("FORMING", "12:03", "90", False),
        ("CLOSED", "12:03", "91", True),
        ("CORRECTED", "12:00", "92", True),
    ]


async def test_a_live_cursor_hands_over_from_a_page_to_the_feed(app, socket, db):
    await db.market_data.upsert_candles([a_candle(start_time=NOON + n * MINUTE) for n in range(2)])
    async with Client(app) as client:
        page = await client.ask('{ candles(symbol: "BTC-USDT", timeframe: "1m") { nodes { open } liveCursor } }')
        columns = await client.ask('{ candleSeries(symbol: "BTC-USDT", timeframe: "1m") { liveCursor } }')
    await db.market_data.upsert_candle(a_candle(close=99), force_update=True)
    await db.market_data.upsert_candle(a_candle(start_time=NOON + 2 * MINUTE))
    await db.market_data.upsert_candle(a_candle(start_time=NOON + 2 * MINUTE, close=98), force_update=True)

    await socket.subscribe(CANDLES, after=page["candles"]["liveCursor"])
    missed = [await socket.event(), await socket.event()]
    await db.market_data.upsert_candle(a_candle(start_time=NOON + 3 * MINUTE))
    live_event = await socket.event()
    await socket.complete()
    await socket.subscribe(CANDLES, name="2", after=missed[0]["candles"]["cursor"])
    again = [await socket.event("2"), await socket.event("2")]

    assert page["candles"]["liveCursor"] == columns["candleSeries"]["liveCursor"]
    assert [told(event) for event in missed] == [
        ("CORRECTED", "12:00", "99", True),
        ("CLOSED", "12:02", "98", True),
    ]
    assert told(live_event) == ("CLOSED", "12:03", "101", True)
    assert again == [missed[1], live_event]


async def test_a_candle_of_another_process_arrives(socket, feed, database_url):
    await socket.subscribe(CANDLES, snapshot=0)
    await until_followed(feed, by=1)

    script = (
        "import asyncio, sys\n"
        "from repos.operations import DatabaseOperations\n"
        "from tests.builders import a_candle\n"
        "async def write():\n"
        "    async with DatabaseOperations(sys.argv[1]) as db:\n"
        "        await db.market_data.upsert_candle(a_candle(close='123.45'))\n"
        "asyncio.run(write())\n"
    )
    writer = await asyncio.create_subprocess_exec(sys.executable, "-c", script, database_url)
    event = await socket.event()

    assert await writer.wait() == 0
    assert told(event) == ("CLOSED", "12:00", "123.45", True)


async def test_a_watch_list_brings_each_series_in_its_newest_state(socket, db, feed):
    feed.collectors.keep(A_COLLECTOR, a_report(BTC_1M._replace(symbol="SOL-USDT")))
    await db.market_data.upsert_candles([a_candle(), a_candle(symbol="ETH-USDT", close=50)])

    await socket.subscribe(
        """subscription ($series: [SeriesInput!]!) {
             watchCandles(series: $series) { kind candle { symbol close } } }""",
        series=[{"symbol": symbol, "timeframe": "60s"} for symbol in ("BTC-USDT", "ETH-USDT", "SOL-USDT")],
    )
    first = [await socket.event(), await socket.event()]
    await db.market_data.upsert_candle(a_candle(symbol="SOL-USDT", close=7))
    third = await socket.event()

    snapshots = {(e["watchCandles"]["kind"], e["watchCandles"]["candle"]["symbol"]) for e in first}
    assert snapshots == {("SNAPSHOT", "BTC-USDT"), ("SNAPSHOT", "ETH-USDT")}
    assert third == {"watchCandles": {"kind": "CLOSED", "candle": {"symbol": "SOL-USDT", "close": "7"}}}


async def test_the_tape_resumes_from_its_cursor(socket, db):
    await db.tape.insert([a_record(trade_id=1), a_record(trade_id=2)])
    query = """
        subscription ($after: String, $snapshot: Int! = 0) {
          trades(symbol: "BTC-USDT", after: $after, snapshot: $snapshot) {
            cursor trades { tradeId price side count } gap { start }
          } }"""

    await socket.subscribe(query, snapshot=1)
    snapshot = (await socket.event())["trades"]
    await db.tape.insert([a_record(trade_id=3), a_record(trade_id=4, price="99.5")])
    batch = (await socket.event())["trades"]
    await socket.complete()
    await socket.subscribe(query, name="2", after=snapshot["cursor"])
    again = (await socket.event("2"))["trades"]

    assert [trade["tradeId"] for trade in snapshot["trades"]] == ["2"]
    assert batch["trades"] == [
        {"tradeId": "3", "price": "100", "side": "BUY", "count": 1},
        {"tradeId": "4", "price": "99.5", "side": "BUY", "count": 1},
    ]
    assert again == batch


async def test_bots_are_followed_with_the_newest_candle_of_the_moment(socket, db, feed):
    fields = {"name": "b", "strategy_name": "s", "symbol": "BTC-USDT", "timeframe": "1m"}
    await socket.subscribe("subscription { bots { kind bot { name status latestCandle { close } } } }")
    await until_followed(feed, by=1)

    bot = await db.bots.add(fields)
    created = (await socket.event())["bots"]
    await db.market_data.upsert_candle(a_candle(close="105"))
    await db.bots.update(bot.id, {"status": "active"})
    updated = (await socket.event())["bots"]
    await db.bots.delete(bot.id)
    deleted = (await socket.event())["bots"]

    assert created == {"kind": "CREATED", "bot": {"name": "b", "status": "INACTIVE", "latestCandle": None}}
    assert updated == {
        "kind": "UPDATED",
        "bot": {"name": "b", "status": "ACTIVE", "latestCandle": {"close": "105"}},
    }
    assert deleted["kind"] == "DELETED"


async def test_health_is_told_again_when_a_collector_reports(socket, db):
    await socket.subscribe("subscription { health { healthy feeds { channel connected lagMs } bus { subscribers } } }")
    first = (await socket.event())["health"]
    report = FeedHealth("okx", "trades", "BTC-USDT", connected=True, lag_ms=12.5)
    await db.bus.publish(CollectorNews("another", CollectorReport([report], [])))
    second = (await socket.event())["health"]

    assert (first["feeds"], first["bus"]["subscribers"]) == ([], 1)
    assert second["feeds"] == [{"channel": "trades", "connected": True, "lagMs": 12.5}]


async def test_unsubscribing_ends_the_following(socket, feed):
    await socket.subscribe(CANDLES, snapshot=0)
    await until_followed(feed, by=1)

    await socket.complete()

    await until_followed(feed, by=0)


async def test_a_client_that_vanishes_is_not_followed_for(address, feed):
    async with graphql_ws(address) as socket:
        await socket.subscribe(CANDLES, snapshot=0)
        await until_followed(feed, by=1)
        socket.connection.transport.abort()

    await until_followed(feed, by=0)


async def test_queries_and_mutations_run_over_a_websocket_too(socket):
    await socket.subscribe("{ stats { candleCount } }", name="q")
    message = await socket.receive()
    done = await socket.receive()

    assert message == {"id": "q", "type": "next", "payload": {"data": {"stats": {"candleCount": "0"}}}}
    assert done == {"id": "q", "type": "complete"}


MISTAKES = [
    ("subscription { candles(", "GRAPHQL_PARSE_FAILED", "Syntax Error"),
    ("subscription { nonsense }", "GRAPHQL_VALIDATION_FAILED", "nonsense"),
    ('subscription { candles(symbol: "", timeframe: "1m") { kind } }', "BAD_USER_INPUT", "symbol: "),
    ('subscription { candles(symbol: "X", timeframe: "1x") { kind } }', "BAD_USER_INPUT", "timeframe: "),
    (
        'subscription { candles(symbol: "X", timeframe: "1m", snapshot: 1001) { kind } }',
        "BAD_USER_INPUT",
        "snapshot: ",
    ),
    (
        'subscription { candles(symbol: "X", timeframe: "1m", after: "x") { kind } }',
        "BAD_USER_INPUT",
        "after: ",
    ),
    ("subscription { watchCandles(series: []) { kind } }", "BAD_USER_INPUT", "series: "),
    (
        'subscription { watchCandles(series: [{symbol: " ", timeframe: "1m"}]) { kind } }',
        "BAD_USER_INPUT",
        "series[0].symbol: ",
    ),
    ('subscription { trades(symbol: "X", snapshot: -1) { cursor } }', "BAD_USER_INPUT", "snapshot: "),
    ('subscription { trades(symbol: "X", after: "x") { cursor } }', "BAD_USER_INPUT", "after: "),
    ('subscription { trades(exchange: "", symbol: "X") { cursor } }', "BAD_USER_INPUT", "exchange: "),
    ("query A { __typename } fragment F on Query { __typename }", "GRAPHQL_VALIDATION_FAILED", "F"),
    ("fragment F on Query { __typename }", "BAD_USER_INPUT", "operation"),
    ("query A { __typename } query B { __typename }", "BAD_USER_INPUT", "operationName"),
    ("", "BAD_USER_INPUT", "query"),
]


async def test_every_mistake_is_an_error_message_and_leaves_the_socket_open(socket):
    for query, code, message in MISTAKES:
        await socket.subscribe(query)
        refused = await socket.receive()

        assert (refused["id"], refused["type"]) == ("1", "error"), query
        [error] = refused["payload"]
        assert error["extensions"] == {"code": code}, query
        assert message in error["message"], query


async def test_a_cursor_of_another_series_or_kind_is_refused(app, socket):
    async with Client(app) as client:
        page = await client.ask('{ candles(symbol: "ETH-USDT", timeframe: "1m") { liveCursor } }')

    await socket.subscribe(CANDLES, after=page["candles"]["liveCursor"])
    [error] = (await socket.receive())["payload"]

    assert error["extensions"] == {"code": "BAD_USER_INPUT"}
    assert error["message"] == "after: is a cursor of symbol 'ETH-USDT', not 'BTC-USDT'"


@pytest.mark.parametrize(
    "query",
    [
        'subscription { candles(symbol: "BTC-USDT", timeframe: "1m", after: null) { kind } }',
        'subscription ($after: String) { candles(symbol: "BTC-USDT", timeframe: "1m", after: $after) { kind } }',
    ],
)
async def test_null_for_a_cursor_begins_with_the_snapshot(socket, db, query):
    await db.market_data.upsert_candles([a_candle()])

    await socket.subscribe(query, after=None)

    assert (await socket.receive())["payload"] == {"data": {"candles": {"kind": "SNAPSHOT"}}}


async def test_the_limit_of_operations_on_a_socket_has_a_code(socket):
    for number in range(101):
        await socket.subscribe(CANDLES, name=str(number), snapshot=0)

    message = await socket.receive()

    assert (message["id"], message["type"]) == ("100", "error")
    assert message["payload"][0]["extensions"] == {"code": "RATE_LIMITED"}


async def test_the_old_protocol_is_not_spoken(address):
    async with connect(f"ws://{address}/graphql", subprotocols=["graphql-ws"]) as connection:
        await connection.wait_closed()

    assert connection.close_code == 4406


async def test_a_message_that_is_no_json_closes_the_socket(socket):
    await socket.connection.send('{"type": NaN}')

    assert await socket.closed() == 4400


async def test_a_gap_is_told_to_those_who_share_and_once_to_each_who_comes(socket, db, feed):
    gap = Gap("okx", "BTC-USDT", 11, 20, NOON, NOON + MINUTE)
    await db.gaps.add(gap)
    for name in "12":
        await socket.subscribe(CANDLES, name=name, snapshot=0)
    await until_followed(feed, by=2)

    await db.gaps.leave_open(gap, gap)
    shared = [await socket.receive(), await socket.receive()]
    await socket.subscribe(CANDLES, name="3", snapshot=0)
    own = (await socket.event("3"))["candles"]
    await db.market_data.upsert_candle(a_candle(start_time=NOON + 5 * MINUTE))
    then = [await socket.receive() for _ in range(3)]

    assert {message["id"] for message in shared} == {"1", "2"}
    assert [message["payload"]["data"]["candles"] for message in shared] == [own, own]
    assert (own["kind"], own["candle"]) == ("GAP", None)
    assert own["gap"] == {"start": "2024-01-01T12:00:00.000Z", "end": "2024-01-01T12:02:00.000Z"}
    assert [message["payload"]["data"]["candles"]["kind"] for message in then] == ["CLOSED"] * 3
