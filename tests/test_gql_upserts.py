"""Writing candles through mutations, and every mistake in one named."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.gql_server import Client, an_app

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(db, feed):
    async with Client(an_app(db, feed)) as client:
        yield client


UPSERT = """
mutation ($input: CandleInput!, $force: Boolean! = false) {
  upsertCandle(input: $input, forceUpdate: $force) { stored candle { close origin endTime tradeCount } }
}
"""


def an_input(**changes):
    values = {
        "symbol": "BTC-USDT",
        "timeframe": "1m",
        "startTime": "2024-01-01T12:00:00Z",
        "open": "10",
        "high": "12",
        "low": "9",
        "close": "11",
        "volume": 2,
    }
    return values | changes


async def test_a_stored_candle_stays_unless_forced(client):
    first = await client.ask(UPSERT, input=an_input())
    second = await client.ask(UPSERT, input=an_input(close="10.5", tradeCount=7))
    forced = await client.ask(UPSERT, input=an_input(close="10.5", tradeCount=7), force=True)

    stored = {"close": "11", "origin": "CLIENT", "endTime": "2024-01-01T12:01:00.000Z", "tradeCount": None}
    assert first["upsertCandle"] == {"stored": True, "candle": stored}
    assert second["upsertCandle"] == {"stored": False, "candle": stored}
    assert forced["upsertCandle"] == {"stored": True, "candle": stored | {"close": "10.5", "tradeCount": 7}}


async def test_a_candle_is_written_back_as_it_was_read_with_nulls(client):
    await client.ask(UPSERT, input=an_input())
    fields = "exchange symbol timeframe startTime endTime open high low close volume tradeCount"
    read = await client.ask(f'{{ latestCandle(symbol: "BTC-USDT", timeframe: "1m") {{ {fields} }} }}')
    assert read["latestCandle"]["tradeCount"] is None

    written = await client.ask(UPSERT, input=read["latestCandle"] | {"close": "10"}, force=True)
    without_end = await client.ask(UPSERT, input=an_input(endTime=None), force=True)

    stored = {"close": "10", "origin": "CLIENT", "endTime": "2024-01-01T12:01:00.000Z", "tradeCount": None}
    assert written["upsertCandle"] == {"stored": True, "candle": stored}
    assert without_end["upsertCandle"] == {"stored": True, "candle": stored | {"close": "11"}}


UPSERT_MANY = """
mutation ($input: [CandleInput!]!, $force: Boolean! = false) {
  upsertCandles(input: $input, forceUpdate: $force) { storedCount keptCount }
}
"""


async def test_many_candles_are_counted_and_the_last_of_a_key_wins(client, db):
    await client.ask(UPSERT, input=an_input(startTime="2024-01-01T12:05:00Z"))
    new = [
        an_input(startTime=f"2024-01-01T12:{minute}:00Z", close=close)
        for minute, close in (("05", "9"), ("10", "10"), ("11", "10"), ("11", "12"))
    ]

    data = await client.ask(UPSERT_MANY, input=new)

    assert data["upsertCandles"] == {"storedCount": 2, "keptCount": 1}
    assert (await db.market_data.get_latest_candle("BTC-USDT", "1m")).close == 12


async def test_one_bad_candle_keeps_all_out_and_is_named_by_its_place(client, db):
    batch = [an_input(), an_input(startTime="2024-01-01T12:01:00Z", low="10.5")]

    code, message = await client.refused(UPSERT_MANY, input=batch)

    assert code == "BAD_USER_INPUT"
    assert message == "input[1].low: 10.5 is above open 10"
    assert await db.market_data.markets() == []


async def test_more_than_ten_thousand_candles_are_refused(client):
    code, message = await client.refused(UPSERT_MANY, input=[an_input()] * 10_001)

    assert (code, message) == ("BAD_USER_INPUT", "input: 10001 candles are more than 10000 in one transaction")


BAD = [
    ({"high": "9.5"}, "input.high"),
    ({"volume": "-1"}, "input.volume"),
    ({"tradeCount": -1}, "input.tradeCount"),
    ({"endTime": "2024-01-01T12:02:00Z"}, "input.endTime"),
    ({"startTime": "2024-01-01T12:00:01Z"}, "input.startTime"),
    ({"symbol": "BTC\0USDT"}, "input.symbol"),
    ({"exchange": ""}, "input.exchange"),
    ({"open": 1.5}, "'$input' has invalid value at .open"),
    ({"open": "1e-19"}, "'$input' has invalid value at .open"),
    ({"startTime": "2024-01-01"}, "'$input' has invalid value at .startTime"),
    ({"timeframe": "5x"}, "'$input' has invalid value at .timeframe"),
    ({"tradeCount": 2**31}, "'$input' has invalid value at .tradeCount"),
    ({"surprise": 1}, "'$input' has invalid value"),
]


async def test_every_bad_candle_is_refused_by_the_name_of_its_field(client):
    for changes, named in BAD:
        code, message = await client.refused(UPSERT, input=an_input(**changes))

        assert code == "BAD_USER_INPUT"
        assert named in message


def from_now(seconds):
    """A whole second so far from now."""
    return (datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)).isoformat()


async def test_a_candle_may_start_a_minute_ahead_of_the_clock_and_no_more(client, db):
    near, far = (an_input(timeframe="1s", startTime=from_now(seconds)) for seconds in (50, 70))

    code, message = await client.refused(UPSERT, input=far)
    code_of_many, message_of_many = await client.refused(UPSERT_MANY, input=[an_input(), far])
    assert await db.market_data.markets() == []
    taken = await client.ask(UPSERT, input=near)

    assert (code, code_of_many) == ("BAD_USER_INPUT", "BAD_USER_INPUT")
    assert message.startswith("input.startTime: ")
    assert "more than a minute ahead of the clock" in message
    assert message_of_many.startswith("input[1].startTime: ")
    assert taken["upsertCandle"]["stored"] is True
