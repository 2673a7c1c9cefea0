"""JSON that is stored is told whole: no row, whoever wrote it, spoils a page or an event for the others."""

import asyncio
import json
from contextlib import suppress
from decimal import Decimal

import asyncpg
import pytest

from collector.okx.protocol import Malformed, parse_frame
from repos.domain import DataType, InvalidValue, MarketDataPoint
from repos.json_text import DEEPEST, check_json, json_text, read_json, written
from tests.builders import NOON
from tests.gql_server import Client, an_app, graphql_ws, running

pytestmark = pytest.mark.anyio

STRANGE = {
    "5,000 digits": f'{{"a": {"9" * 5000}}}',
    "4,300 digits": f'{{"a": {"9" * 4300}}}',
    "beyond floats": f'{{"a": 1{"0" * 400}.5}}',
    "-beyond floats": f'{{"a": -1{"0" * 400}.5}}',
    "64 bits and one": f'{{"a": {2**64}}}',
    "300 levels": '{"a":' * 300 + "1" + "}" * 300,
    "2,000 levels": '{"a":' * 2000 + "1" + "}" * 2000,
    "no object": "[1, 2]",
}
BOTS = "{ bots { nodes { name config } } }"
RAW = '{ rawTrades(symbol: "X", dataType: "x") { nodes { rawData } } }'


@pytest.fixture
async def sql(database_url):
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


def exactly(text):
    """JSON with its numbers as they are written."""
    return json.loads(text, parse_int=Decimal, parse_float=Decimal)


async def asked(client, query):
    response = await client.http.post("/graphql", json={"query": query})
    answer = exactly(response.text)
    assert "errors" not in answer
    return answer["data"]


@pytest.mark.parametrize("strange", STRANGE)
async def test_a_row_that_somebody_else_wrote_spoils_no_page(db, feed, sql, strange):
    bots = [await db.bots.add({"name": n, "strategy_name": "s", "symbol": "X", "timeframe": "1m"}) for n in "abc"]
    for data in ({"n": 1}, {"n": 2}, {"n": 3}):
        await db.raw_trades.insert_raw_websocket_data("okx", "X", "x", data, NOON)
    await sql.execute("UPDATE raw_trades SET raw_data = $1::text::jsonb WHERE id = 2", STRANGE[strange])
    await sql.execute("UPDATE bots SET config = $1::text::jsonb WHERE id = $2", STRANGE[strange], bots[1].id)

    async with Client(an_app(db, feed)) as client:
        told = [node["rawData"] for node in (await asked(client, RAW))["rawTrades"]["nodes"]]
        configs = [node["config"] for node in (await asked(client, BOTS))["bots"]["nodes"]]
        one = (await asked(client, f'{{ bot(id: "{bots[1].id}") {{ config }} }}'))["bot"]["config"]

    # What is nested too deeply to be read is its text.
    deep = "levels" in strange
    kept = json.dumps(STRANGE[strange].replace(":", ": ")) if deep else STRANGE[strange]
    assert told == [{"n": 1}, exactly(kept), {"n": 3}]
    assert (configs, one) == ([{}, exactly(kept), {}], exactly(kept))


@pytest.mark.parametrize("strange", STRANGE)
async def test_a_bot_with_such_a_config_goes_on_and_is_told_to_subscribers(db, feed, sql, strange):
    bot = await db.bots.add({"name": "a", "strategy_name": "s", "symbol": "X", "timeframe": "1m"})
    await sql.execute("UPDATE bots SET config = $1::text::jsonb", STRANGE[strange])

    async with running(an_app(db, feed)) as address, graphql_ws(address) as socket:
        await socket.subscribe("subscription { bots { bot { config } } }")
        event = {}
        async with asyncio.timeout(60):
            while "payload" not in event:
                await db.bots.record_heartbeat(bot.id)  # until it is subscribed
                with suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        event = exactly(await socket.connection.recv())

    kept = json.dumps(STRANGE[strange].replace(":", ": ")) if "levels" in strange else STRANGE[strange]
    assert event["payload"]["data"]["bots"]["bot"]["config"] == exactly(kept)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**64, 1e22, 1e300, float("inf"), float("nan")])
@pytest.mark.parametrize("place", ["createBot", "updateBot", "insertRawWebsocketData", "insertMarketDataPoint"])
async def test_one_rule_for_numbers_holds_at_every_input(db, feed, number, place):
    bot = await db.bots.add({"name": "a", "strategy_name": "s", "symbol": "X", "timeframe": "1m"})
    common = 'symbol: "X", timeframe: "1m", virtualBalance: 0'
    mutation = {
        "createBot": f'createBot(input: {{name: "b", strategyName: "s", {common}, config: $j}}) {{ bot {{ id }} }}',
        "updateBot": f'updateBot(id: "{bot.id}", input: {{config: $j}}) {{ bot {{ id }} }}',
        "insertRawWebsocketData": 'insertRawWebsocketData(input: {symbol: "X", dataType: "x", rawData: $j}) { stored }',
        "insertMarketDataPoint": (
            'insertMarketDataPoint(input: {symbol: "X", dataType: TICKER, timestamp: "2024-01-01T12:00:00Z", '
            "data: $j}) { stored }"
        ),
    }[place]
    body = json.dumps({"query": f"mutation ($j: JSON!) {{ {mutation} }}", "variables": {"j": {"big": number}}})

    async with Client(an_app(db, feed)) as client:
        headers = {"content-type": "application/json"}
        response = await client.http.post("/graphql", content=body, headers=headers)

    # Infinity and NaN are no JSON at all.
    assert response.status_code in (200, 400)
    assert response.json()["errors"][0]["extensions"]["code"] in ("BAD_USER_INPUT", "BAD_REQUEST")
    with pytest.raises(InvalidValue, match=r"64 bits|is not a number"):
        json_text("config", {"big": number})


async def test_a_config_of_null_is_an_empty_one(db, feed):
    mutation = (
        "mutation ($c: JSON) { createBot(input: "
        '{name: "b", strategyName: "s", symbol: "X", timeframe: "1m", virtualBalance: 0, config: $c}) '
        "{ bot { config } } }"
    )

    async with Client(an_app(db, feed)) as client:
        answer = await client.post(mutation, c=None)

    assert answer["data"]["createBot"]["bot"]["config"] == {}


async def test_what_an_exchange_sends_is_stored_whole_whatever_its_numbers(db):
    point = MarketDataPoint("okx", "X", NOON, DataType.TICKER, {"vol": 10**30})

    assert await db.raw_trades.insert_points([point]) == 1

    [row] = await db.raw_trades.get_raw_trades("X", "ticker", NOON, NOON.replace(hour=13))
    assert row.raw_data == {"vol": 10**30}


def test_an_exchanges_object_that_is_too_deep_is_malformed():
    deep = '{"a":' * DEEPEST + "1" + "}" * DEEPEST
    trade = f'{{"instId":"X","tradeId":"1","px":"1","sz":"1","side":"buy","ts":"1","x":{deep}}}'

    [event] = parse_frame(f'{{"arg":{{"channel":"trades","instId":"X"}},"data":[{trade}]}}')

    assert isinstance(event, Malformed)
    assert "deeper than 32 levels" in event.reason


@pytest.mark.parametrize("text", [text for name, text in STRANGE.items() if "levels" not in name])
def test_what_is_read_is_written_as_it_was(text):
    assert exactly(written(read_json(text))) == exactly(text)


@pytest.mark.parametrize("value", [{1: 2}, {"a": NOON}, {"a": {1, 2}}, {"a": "\ud800"}, {"\0": 1}, object()])
def test_what_json_has_no_form_for_is_refused(value):
    with pytest.raises(InvalidValue, match=r"^config: "):
        check_json("config", value)
