"""Rows of raw_trades that others wrote and that hold no trade: no reader of a tape stumbles over one."""

import re

import asyncpg
import pytest

from repos.domain import Timeframe
from repos.feed.news import Tape
from tests.builders import MINUTE, NOON, a_record
from tests.gql_server import Client, an_app, graphql_ws, running

pytestmark = pytest.mark.anyio

BTC = Tape("okx", "BTC-USDT")
WRONG = [
    "{}",
    "null",
    "[1, 2]",
    '"trade"',
    '{"tradeId": "9", "px": "abc", "sz": "1", "side": "buy", "ts": "1704110400000"}',
    '{"tradeId": "9", "px": "1", "sz": 1e400, "side": "buy", "ts": "1704110400000"}',
    '{"tradeId": "9", "px": "1", "sz": "-1", "side": "buy", "ts": "1704110400000"}',
    '{"tradeId": "9", "px": "1", "sz": "1", "side": {}, "ts": []}',
]


@pytest.fixture
async def tape(db, database_url):
    """Trades 1 and 2, the wrong rows as trades 10 and on, then trades 3 and 4, and once more the wrong ones."""
    connection = await asyncpg.connect(database_url)

    async def write_wrong(first_id: int) -> None:
        await connection.executemany(
            "INSERT INTO raw_trades (exchange, symbol, timestamp, data_type, raw_data, trade_id, first_trade_id)"
            " VALUES ('okx', 'BTC-USDT', $1, 'trade', $2, $3, $3)",
            [(NOON, raw, first_id + number) for number, raw in enumerate(WRONG)],
        )

    await db.tape.insert([a_record(trade_id=1), a_record(trade_id=2)])
    await write_wrong(10)
    await db.tape.insert([a_record(trade_id=103), a_record(trade_id=104)])
    await write_wrong(210)
    await connection.close()
    return db.tape


def ids(trades) -> list[int]:
    return [trade.trade_id for trade in trades]


async def test_a_tape_is_read_without_them_and_as_many_trades_as_were_asked_for(tape):
    before, reached = (await tape.after(*BTC, 0, limit=2))[-1]
    behind = await tape.after(*BTC, before, limit=2)
    newest, _ = await tape.newest(*BTC, 3)
    last = await tape.last(*BTC)

    assert reached.trade_id == 2
    assert ids(trade for _, trade in behind) == [103, 104]
    assert await tape.after(*BTC, behind[-1][0], limit=2) == []
    assert ids(newest) == [2, 103, 104]
    assert ids((await tape.newest(*BTC, 10))[0]) == [1, 2, 103, 104]
    assert last is not None
    assert last.trade_id == 104
    assert ids(await tape.between(*BTC, NOON, NOON + MINUTE)) == [1, 2, 103, 104]


async def test_a_tape_of_nothing_else_is_empty(db, connection_of_others):
    assert await db.tape.last(*BTC) is None
    assert await db.tape.after(*BTC, 0, limit=2) == []
    assert (await db.tape.newest(*BTC, 5))[0] == []


@pytest.fixture
async def connection_of_others(database_url):
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO raw_trades (exchange, symbol, timestamp, data_type, raw_data, trade_id, first_trade_id)"
        " SELECT 'okx', 'BTC-USDT', $1, 'trade', '{}', id, id FROM generate_series(1, 250) AS id",
        NOON,
    )
    yield connection
    await connection.close()


async def test_each_is_told_and_counted_once(tape, logging_db, feed, caplog):
    for _ in range(2):
        await logging_db.tape.between(*BTC, NOON, NOON + MINUTE)
        await logging_db.tape.newest(*BTC, 10)

    told = [text for text in caplog.messages if "A stored trade can't be read, and is left out" in text]
    assert len(told) == len(set(told)) == 2 * len(WRONG)
    assert any("sz: -1 is negative" in text for text in told)
    async with Client(an_app(logging_db, feed)) as client:
        shown = (await client.http.get("/metrics")).text
    assert re.search(r"^candleql_unreadable_trades_total 16.0$", shown, re.MULTILINE)


async def test_pages_have_them_as_they_are_and_no_page_ends_at_one(tape, db, feed):
    query = """query ($after: String) { rawTrades(symbol: "BTC-USDT", dataType: "trade", first: 5, after: $after) {
        nodes { rawData trade { tradeId } } pageInfo { hasNextPage endCursor } totalCount } }"""
    rows, after, more = [], None, True
    async with Client(an_app(db, feed)) as client:
        while more:
            page = (await client.ask(query, after=after))["rawTrades"]
            rows += page["nodes"]
            more, after = page["pageInfo"]["hasNextPage"], page["pageInfo"]["endCursor"]

    assert int(page["totalCount"]) == len(rows) == 4 + 2 * len(WRONG)
    assert [row["rawData"] for row in rows[2:6]] == [{}, "null", [1, 2], "trade"]
    assert [row["trade"]["tradeId"] for row in rows if row["trade"]] == ["1", "2", "103", "104"]


@pytest.mark.parametrize("begins", ["with a snapshot", "after a cursor"])
async def test_a_subscription_goes_on_past_them(tape, db, feed, begins):
    query = """subscription ($after: String, $snapshot: Int!) {
        trades(symbol: "BTC-USDT", after: $after, snapshot: $snapshot) { cursor trades { tradeId } } }"""
    async with running(an_app(db, feed)) as address, graphql_ws(address) as socket:
        await socket.subscribe(query, snapshot=3)
        event = (await socket.event())["trades"]
        assert [trade["tradeId"] for trade in event["trades"]] == ["2", "103", "104"]
        if begins == "after a cursor":
            await socket.complete()
            await socket.subscribe(query, name="2", after=event["cursor"], snapshot=0)
        await db.tape.insert([a_record(trade_id=301)])
        event = (await socket.event("2" if begins == "after a cursor" else "1"))["trades"]

    assert [trade["tradeId"] for trade in event["trades"]] == ["301"]


async def test_candles_are_folded_from_the_others(tape, db):
    spans = await db.tape.between(*BTC, NOON, Timeframe("1m").end(NOON))

    assert sum(trade.size for trade in spans) == 4 * a_record().trade.size
