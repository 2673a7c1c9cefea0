"""Raw exchange data over the API."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.builders import MINUTE, NOON, a_record
from tests.gql_server import Client, an_app

pytestmark = pytest.mark.anyio

POINT = "mutation ($input: MarketDataPointInput!) { insertMarketDataPoint(input: $input) { stored } }"
RAW = "mutation ($input: RawWebsocketDataInput!) { insertRawWebsocketData(input: $input) { stored } }"
PAGE = """
query ($type: String! = "trade", $first: Int, $after: String, $last: Int, $before: String, $start: DateTime) {
  rawTrades(symbol: "BTC-USDT", dataType: $type, first: $first, after: $after, last: $last, before: $before,
            start: $start) {
    nodes { id exchange symbol timestamp dataType rawData
            trade { exchange symbol tradeId timestamp price size side count } }
    edges { cursor }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}
"""
TRADE = {
    "instId": "BTC-USDT",
    "tradeId": "130639474",
    "px": "42219.9",
    "sz": "0.12060306",
    "side": "buy",
    "ts": "1704110400000",
    "count": "3",
}


@pytest.fixture
async def client(db, feed):
    async with Client(an_app(db, feed)) as client:
        yield client


def a_point(**changes):
    return {
        "symbol": "BTC-USDT",
        "timestamp": "2024-01-01T12:00:00Z",
        "dataType": "TRADE",
        "data": TRADE,
    } | changes


async def test_a_trade_is_stored_once_whole_and_decoded(client):
    first = await client.ask(POINT, input=a_point())
    second = await client.ask(POINT, input=a_point())
    third = await client.ask(RAW, input={"symbol": "BTC-USDT", "dataType": "trade", "rawData": TRADE})
    [node] = (await client.ask(PAGE))["rawTrades"]["nodes"]

    stored = [answer.popitem()[1]["stored"] for answer in (first, second, third)]
    assert stored == [True, False, False]
    assert node.pop("id").isdigit()
    assert node == {
        "exchange": "okx",
        "symbol": "BTC-USDT",
        "timestamp": "2024-01-01T12:00:00.000Z",
        "dataType": "trade",
        "rawData": TRADE,
        "trade": {
            "exchange": "okx",
            "symbol": "BTC-USDT",
            "tradeId": "130639474",
            "timestamp": "2024-01-01T12:00:00.000Z",
            "price": "42219.9",
            "size": "0.12060306",
            "side": "BUY",
            "count": 3,
        },
    }


@pytest.mark.parametrize("data", [{"asks": [["1", "2"]], "deep": {"x": None}}, ["a", 1], "text", 7, 0.5])
async def test_any_json_is_kept_under_any_name(client, data):
    answer = await client.ask(RAW, input={"symbol": "BTC-USDT", "dataType": "raw_trade", "rawData": data})
    [node] = (await client.ask(PAGE, type="raw_trade"))["rawTrades"]["nodes"]

    assert answer["insertRawWebsocketData"]["stored"] is True
    assert (node["rawData"], node["trade"]) == (data, None)


@pytest.mark.parametrize("number", ["1e22", "-1e22", "1.8446744073709552e19", "1E+300"])
async def test_whole_numbers_beyond_64_bits_are_refused_in_any_notation(client, number):
    given = f'{{symbol: "X", dataType: "x", rawData: {{a: [{number}]}}}}'
    mutation = f"mutation {{ insertRawWebsocketData(input: {given}) {{ stored }} }}"

    code, message = await client.refused(mutation)

    assert code == "BAD_USER_INPUT"
    assert "more than 64 bits" in message


async def test_a_stored_integer_of_any_length_spoils_no_page(client, db):
    plain, long = a_record(trade_id=1, timestamp=NOON), a_record(trade_id=2, timestamp=NOON + MINUTE)
    await db.tape.insert([plain, long._replace(raw='{"extra":1e22,' + long.raw.removeprefix("{"))])

    nodes = (await client.ask(PAGE))["rawTrades"]["nodes"]

    assert [node["rawData"].get("extra") for node in nodes] == [None, 10**22]


async def test_rows_come_in_pages_both_ways(client, db):
    await db.tape.insert([a_record(trade_id=number, timestamp=NOON + number * MINUTE) for number in range(1, 6)])

    def ids(page):
        return [node["trade"]["tradeId"] for node in page["nodes"]]

    whole = (await client.ask(PAGE))["rawTrades"]
    first = (await client.ask(PAGE, first=2))["rawTrades"]
    behind = (await client.ask(PAGE, first=2, after=first["pageInfo"]["endCursor"]))["rawTrades"]
    ahead = (await client.ask(PAGE, last=1, before=whole["edges"][3]["cursor"]))["rawTrades"]
    late = (await client.ask(PAGE, start="2024-01-01T12:04:00Z"))["rawTrades"]

    assert ids(whole) == ["1", "2", "3", "4", "5"]
    assert ids(first) == ["1", "2"]
    assert ids(behind) == ["3", "4"]
    assert (behind["pageInfo"]["hasPreviousPage"], behind["pageInfo"]["hasNextPage"]) == (True, True)
    assert ids(ahead) == ["3"]
    assert ids(late) == ["4", "5"]


async def test_raw_data_with_null_for_its_time_is_of_now(client):
    sent = {"symbol": "X", "dataType": "x", "rawData": 1, "timestamp": None}
    before = datetime.now(UTC)

    assert (await client.ask(RAW, input=sent))["insertRawWebsocketData"]["stored"] is True

    read = await client.ask('{ rawTrades(symbol: "X", dataType: "x", start: null, end: null) { nodes { timestamp } } }')
    [node] = read["rawTrades"]["nodes"]
    assert abs(datetime.fromisoformat(node["timestamp"]) - before) < timedelta(minutes=1)


async def test_the_whole_list_is_counted_whatever_the_page_holds(client, db):
    await db.tape.insert([a_record(trade_id=number, timestamp=NOON + number * MINUTE) for number in range(1, 6)])
    await client.ask(RAW, input={"symbol": "BTC-USDT", "dataType": "other", "rawData": 1})

    data = await client.ask(
        """{ all: rawTrades(symbol: "BTC-USDT", first: 2) { nodes { id } totalCount }
             some: rawTrades(symbol: "BTC-USDT", start: "2024-01-01T12:02:00Z", end: "2024-01-01T12:04:00Z") {
               totalCount
             } }"""
    )

    assert (len(data["all"]["nodes"]), data["all"]["totalCount"], data["some"]["totalCount"]) == (2, "5", "2")


@pytest.mark.parametrize("name", ["TRADE", "Trade"])
async def test_a_known_data_type_is_written_and_found_in_any_case(client, name):
    answers = [await client.ask(RAW, input={"symbol": "BTC-USDT", "dataType": name, "rawData": TRADE}) for _ in "12"]

    [node] = (await client.ask(PAGE, type=name))["rawTrades"]["nodes"]
    cursor = (await client.ask(PAGE))["rawTrades"]["pageInfo"]["endCursor"]
    behind = (await client.ask(PAGE, type=name, after=cursor))["rawTrades"]["nodes"]

    assert [answer["insertRawWebsocketData"]["stored"] for answer in answers] == [True, False]
    assert (node["dataType"], node["trade"]["tradeId"], behind) == ("trade", TRADE["tradeId"], [])


async def test_every_mistake_is_named(client):
    cases = [
        (POINT, a_point(data=[1]), "input.data: "),
        (POINT, a_point(data=TRADE | {"px": "NaN"}), "input.data.px: "),
        (POINT, a_point(data=TRADE | {"side": "hold"}), "input.data.side: "),
        (POINT, a_point(timestamp="2024-01-01T12:00:01Z"), "input.timestamp: "),
        (POINT, a_point(symbol="a b"), "input.symbol: "),
        (POINT, a_point(data={"a": "\0"}), "Variable '$input' has invalid value at .data: "),
        (RAW, {"symbol": "X", "dataType": "", "rawData": 1}, "input.dataType: "),
        (RAW, {"symbol": "X", "dataType": "trade", "rawData": {"tradeId": "1"}}, "input.rawData."),
        (RAW, {"symbol": "X", "dataType": "x\0", "rawData": 1}, "input.dataType: "),
    ]
    for mutation, sent, start in cases:
        code, message = await client.refused(mutation, input=sent)

        assert (code, message[: len(start)]) == ("BAD_USER_INPUT", start)

    for arguments, start in [
        ('dataType: ""', "dataType: "),
        ("first: 10001", "first: "),
        ('after: "x"', "after: "),
        ('start: "2024-01-02T00:00:00Z", end: "2024-01-01T00:00:00Z"', "start: "),
    ]:
        code, message = await client.refused(f'{{ rawTrades(symbol: "X", {arguments}) {{ nodes {{ id }} }} }}')

        assert (code, message[: len(start)]) == ("BAD_USER_INPUT", start)


async def test_a_cursor_of_other_data_is_refused(client, db):
    await db.tape.insert([a_record()])
    cursor = (await client.ask(PAGE))["rawTrades"]["pageInfo"]["endCursor"]

    code, message = await client.refused(PAGE, after=cursor, type="orderbook")

    assert (code, message) == ("BAD_USER_INPUT", "after: is a cursor of data type 'trade', not 'orderbook'")
