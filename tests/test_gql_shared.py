"""Equal subscriptions share one execution, and nobody can tell but by the speed."""

import asyncio
import json
import random
import socket
from collections import Counter

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame
from websockets.streams import StreamReader

from gql.cursors import live_cursor
from gql.frames import Connection, text_frame
from gql.selection import Selection
from repos.feed.mailbox import Mailbox
from repos.feed.news import CandleNews, FormingNews
from tests.builders import BTC_1M, MINUTE, NOON, a_candle, a_record
from tests.gql_server import WAIT, an_app, graphql_ws, running
from tests.test_gql_live import CANDLES, told, until_followed

pytestmark = pytest.mark.anyio

LONG = "n" * 20_000
"""A name that makes every message large, so that few of them fill a connection."""


def minute(number, **changes):
    return a_candle(start_time=NOON + number * MINUTE, **changes)


@pytest.fixture
async def app(db, feed):
    return an_app(db, feed)


@pytest.fixture
def broadcasts(app):
    """Those of the application's websockets."""
    return app.graphql.service.broadcasts._running


def members(broadcasts):
    return sum(len(named) for broadcast in broadcasts.values() for named in broadcast._members.values())


@pytest.fixture
async def address(app):
    async with running(app) as address:
        yield address


@pytest.fixture
def executions(monkeypatch):
    """How often a selection was executed, by the event."""
    counted, payload = Counter(), Selection.payload

    def counting(self, event):
        counted[event.kind.name, event.candle.start_time] += 1
        return payload(self, event)

    monkeypatch.setattr(Selection, "payload", counting)
    return counted


async def until_shared(broadcasts, feed, by):
    """Wait until so many subscriptions share, and none goes alone."""
    await until_followed(feed, by)
    async with asyncio.timeout(WAIT):
        while members(broadcasts) != by:
            await asyncio.sleep(0)


async def test_equal_subscriptions_are_executed_once_an_event_whatever_their_names(
    address, db, feed, broadcasts, executions
):
    async with graphql_ws(address) as first, graphql_ws(address) as second:
        await first.subscribe(CANDLES, name="1", snapshot=0)
        await first.subscribe(CANDLES, name="zwei", snapshot=0)
        await second.subscribe(CANDLES, name="1", snapshot=0)
        await until_shared(broadcasts, feed, by=3)
        await db.market_data.upsert_candles([minute(0), minute(1)])
        seen = {}
        for client, count in ((first, 4), (second, 2)):
            for _ in range(count):
                message = await client.receive()
                seen.setdefault((client, message["id"]), []).append(message["payload"])

    assert executions == {("CLOSED", NOON): 1, ("CLOSED", NOON + MINUTE): 1}
    assert [len(payloads) for payloads in seen.values()] == [2, 2, 2]
    assert seen[first, "1"] == seen[first, "zwei"] == seen[second, "1"]


async def test_other_selections_and_other_series_do_not_share(address, feed, broadcasts):
    other = CANDLES.replace("close", "open close")
    skipping = CANDLES.replace("($after", "($no: Boolean = false, $after").replace("close", "close @skip(if: $no)")
    async with graphql_ws(address) as client:
        for number, (query, variables) in enumerate(
            [(CANDLES, {}), (other, {}), (CANDLES.replace("BTC", "ETH"), {}), (skipping, {}), (skipping, {"no": True})]
        ):
            await client.subscribe(query, name=str(number), **variables)
        await until_shared(broadcasts, feed, by=5)

        assert len(broadcasts) == 5


async def test_the_last_subscriber_leaves_nothing_behind(address, db, feed, broadcasts):
    async with graphql_ws(address) as leaving, graphql_ws(address) as vanishing:
        for client in (leaving, vanishing):
            await client.subscribe(CANDLES, snapshot=0)
        await until_shared(broadcasts, feed, by=2)
        await leaving.complete()
        await until_followed(feed, by=1)
        assert len(broadcasts) == 1
        await leaving.subscribe(CANDLES, name="again", snapshot=0)
        await until_shared(broadcasts, feed, by=2)
        vanishing.connection.transport.abort()
        await until_followed(feed, by=1)
        await db.market_data.upsert_candle(a_candle())
        event = await leaving.event("again")

    await until_followed(feed, by=0)
    assert told(event) == ("CLOSED", "12:00", "101", True)
    assert broadcasts == {}
    assert feed.topics.series() == {}


async def test_of_news_that_comes_together_the_first_is_written_at_once_and_the_rest_together(
    address, feed, broadcasts, monkeypatch
):
    writes, write = [], Connection.write
    monkeypatch.setattr(Connection, "write", lambda self, frames: writes.append(frames) or write(self, frames))
    async with graphql_ws(address) as first, graphql_ws(address) as second:
        for client in (first, second):
            await client.subscribe(CANDLES, snapshot=0)
        await until_shared(broadcasts, feed, by=2)
        for number in range(3):
            start = minute(number).start_time
            feed.topics.deliver(CandleNews(BTC_1M, number + 1, start, start, [minute(number)]))

        seen = [[told(await client.event())[:2] for _ in range(3)] for client in (first, second)]

    assert seen[0] == seen[1] == [("CLOSED", "12:00"), ("CLOSED", "12:01"), ("CLOSED", "12:02")]
    assert len(writes) == 4


async def test_who_joins_before_news_is_written_gets_it_no_second_time(address, feed, broadcasts):
    reading = feed.candles(BTC_1M, None, 0)
    written, unwritten, later = (
        CandleNews(BTC_1M, n, minute(n).start_time, minute(n).start_time, [minute(n)]) for n in (1, 2, 3)
    )
    async with graphql_ws(address) as client:
        await client.subscribe(CANDLES, snapshot=0)
        await until_shared(broadcasts, feed, by=1)
        [broadcast] = broadcasts.values()
        [member] = broadcast._members["1"]
        with reading.registered():
            async for _ in reading.past():
                pass
            for news in (written, unwritten):
                feed.topics.deliver(news)
                await reading.next()
            late = broadcast.add("late", member.write.__self__, None)
        feed.topics.deliver(later)

        messages = [await client.receive() for _ in range(4)]

        late.cancel()
    assert [message["id"] for message in messages] == ["1", "1", "1", "late"]


async def test_under_another_server_each_goes_alone_to_the_same_effect(app, db, feed, broadcasts):
    async with running(app, ws="websockets-sansio") as address, graphql_ws(address) as client:
        await db.market_data.upsert_candle(a_candle())
        for name in ("1", "2"):
            await client.subscribe(CANDLES, name=name, snapshot=1)
        snapshots = [await client.receive(), await client.receive()]
        await db.market_data.upsert_candle(a_candle(start_time=NOON + MINUTE))
        messages = [await client.receive(), await client.receive()]

        assert broadcasts == {}
    assert {message["id"] for message in snapshots} == {"1", "2"}
    assert {message["id"] for message in messages} == {"1", "2"}
    assert messages[0]["payload"] == messages[1]["payload"]


async def test_trades_are_shared_too(address, db, feed, broadcasts):
    query = 'subscription { trades(symbol: "BTC-USDT") { cursor trades { tradeId price } } }'
    async with graphql_ws(address) as first, graphql_ws(address) as second:
        for client in (first, second):
            await client.subscribe(query)
        await until_shared(broadcasts, feed, by=2)
        await db.tape.insert([a_record(trade_id=1), a_record(trade_id=2)])

        events = [await client.event() for client in (first, second)]

        assert len(broadcasts) == 1
    assert events[0] == events[1]
    assert [trade["tradeId"] for trade in events[0]["trades"]["trades"]] == ["1", "2"]


@pytest.fixture
def small(address):
    """Options of a client whose system keeps little for it, so that the server feels soon that it does not read."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    host, port = address.split(":")
    made.connect((host, int(port)))
    return {"sock": made, "compression": None}


async def all_of(client):
    while True:
        await client.receive()


async def test_a_reader_that_stops_reading_is_closed_alone_and_the_others_miss_nothing(
    address, db, feed, broadcasts, small, monkeypatch
):
    monkeypatch.setattr(Mailbox.__init__, "__defaults__", (50,))
    async with graphql_ws(address) as reader, graphql_ws(address, **small) as sleeper:
        await reader.subscribe(CANDLES, snapshot=0)
        await sleeper.subscribe(CANDLES, name=LONG, snapshot=0)
        await until_shared(broadcasts, feed, by=2)
        sleeper.connection.transport.pause_reading()
        count, seen = 0, []
        while members(broadcasts) == 2 or len(seen) < count + 200:
            await db.market_data.upsert_candles([minute(len(seen) + n) for n in range(10)])
            seen += [told(await reader.event()) for _ in range(10)]
            if members(broadcasts) == 2:
                count = len(seen)
        sleeper.connection.transport.resume_reading()
        with pytest.raises(ConnectionClosed) as closed:
            await all_of(sleeper)
        await db.market_data.upsert_candle(minute(len(seen)))
        seen.append(told(await reader.event()))

    assert closed.value.rcvd.code == 1013
    assert [event[:2] for event in seen] == [("CLOSED", f"{minute(n).start_time:%H:%M}") for n in range(len(seen))]


async def test_a_reader_that_catches_up_shares_again(address, db, feed, broadcasts, small):
    async with graphql_ws(address) as other, graphql_ws(address, **small) as sleeper:
        await other.subscribe(CANDLES, snapshot=0)
        await sleeper.subscribe(CANDLES, name=LONG, snapshot=0)
        await until_shared(broadcasts, feed, by=2)
        sleeper.connection.transport.pause_reading()
        count = 0
        while members(broadcasts) == 2:
            await db.market_data.upsert_candles([minute(count + n) for n in range(10)])
            for _ in range(10):
                await other.event()
            count += 10
        for close in (7, 8, 9):
            await db.bus.publish(FormingNews([minute(count, close=close, is_final=False)]))
            await other.event()
        sleeper.connection.transport.resume_reading()
        seen = [told(await sleeper.event(LONG)) for _ in range(count + 1)]
        await until_shared(broadcasts, feed, by=2)

    assert [event[:2] for event in seen[:-1]] == [("CLOSED", f"{minute(n).start_time:%H:%M}") for n in range(count)]
    assert (seen[-1][0], seen[-1][2]) == ("FORMING", "9")


async def test_late_joiners_see_no_hole_and_no_duplicate_beside_running_ones(address, db, feed, broadcasts):
    """Whoever comes when, from a snapshot or from somebody's cursor: the same events in the same order to the end."""
    order = random.Random(3)  # noqa: S311
    last = 60
    end = f"{minute(last).start_time:%Y-%m-%dT%H:%M}:00.000Z"

    async def follow(**variables):
        events = []
        async with graphql_ws(address) as client:
            await client.subscribe(CANDLES, **variables)
            while not events or events[-1]["kind"] == "FORMING" or events[-1]["candle"]["startTime"] != end:
                events.append((await client.event())["candles"])
        return events

    everyone = [asyncio.create_task(follow(snapshot=0)) for _ in range(3)]
    await until_shared(broadcasts, feed, by=3)
    for number in range(last):
        await db.bus.publish(FormingNews([minute(number, is_final=False)]))
        if order.random() < 0.3:
            everyone.append(asyncio.create_task(follow(snapshot=order.choice([0, 1, 5]))))
        await db.market_data.upsert_candle(minute(number))
        if order.random() < 0.3:
            page = await db.market_data.page(BTC_1M, last=1)
            everyone.append(asyncio.create_task(follow(after=live_cursor(page.position))))
        if order.random() < 0.3:
            past = minute(order.randrange(number + 1), close=f"90.{number}")
            await db.market_data.upsert_candle(past, force_update=True)
    await db.market_data.upsert_candle(minute(last))
    async with asyncio.timeout(WAIT):
        streams = [await task for task in everyone]

    whole = written(streams[0])
    assert len(whole) > last
    assert len(streams) > 20
    for events in streams:
        seen = written(events)
        assert seen == whole[len(whole) - len(seen) :]
        stored = set()
        for event in events:
            if event["kind"] == "FORMING":
                assert event["candle"]["startTime"] not in stored
            else:
                stored.add(event["candle"]["startTime"])


def written(events):
    return [
        (event["kind"], event["candle"]["startTime"], event["candle"]["close"], event["cursor"])
        for event in events
        if event["kind"] in ("CLOSED", "CORRECTED")
    ]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_frame_of_any_size_is_read_as_what_was_written(size):
    text = b"x" * size
    reader = StreamReader()
    reader.feed_data(text_frame(text))
    parsing = Frame.parse(reader.read_exact, mask=False)

    with pytest.raises(StopIteration) as parsed:
        next(parsing)

    assert (parsed.value.value.opcode, parsed.value.value.data) == (1, text)


MALFORMED = [
    '{"type": NaN}',
    "[]",
    "7",
    '{"id": "1"}',
    '{"type": "start"}',
    '{"type": "connection_init", "payload": 7}',
    '{"type": "subscribe", "id": 7, "payload": {"query": "{ stats { candleCount } }"}}',
    '{"type": "subscribe", "id": "", "payload": {"query": "{ stats { candleCount } }"}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": 7}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": "{ a }", "variables": []}}',
    '{"type": "subscribe", "id": "1", "payload": {"query": "{ a }", "operationName": 7}}',
    '{"type": "subscribe", "id": "1"}',
    '{"type": "complete"}',
    b'{"type": "ping"}',
]


async def test_a_malformed_message_closes_its_socket_with_4400(address):
    for message in MALFORMED:
        async with graphql_ws(address) as client:
            await client.connection.send(message)

            assert await client.closed() == 4400, message


async def test_each_breach_of_the_protocol_has_its_close_code(address):
    query = {"id": "1" * 200, "type": "subscribe", "payload": {"query": CANDLES}}
    async with graphql_ws(address) as twice, graphql_ws(address) as same:
        await twice.send(type="connection_init")
        await same.send(**query)
        await same.send(**query)
        codes = [await twice.closed(), await same.closed()]
    async with connect(f"ws://{address}/graphql", subprotocols=["graphql-transport-ws"]) as early:
        await early.send(json.dumps({"type": "ping"}))
        pong = json.loads(await early.recv())
        await early.send(json.dumps(query))
        await early.wait_closed()

    assert codes == [4429, 4409]
    assert pong == {"type": "pong"}
    assert early.close_code == 4401
