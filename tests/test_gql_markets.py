"""Markets, instruments, health and stats over the API."""

from decimal import Decimal

import pytest

from repos.domain import Instrument, Series
from tests.builders import BTC_1M, MINUTE, NOON, a_candle
from tests.conftest import selects
from tests.gql_server import Client, an_app

pytestmark = pytest.mark.anyio

COLLECTED = (BTC_1M, Series.of("okx", "SOL-USDT", "5s"))


def an_instrument(symbol, **changes):
    values = {"tick_size": Decimal("0.1"), "lot_size": Decimal("0.00000001"), "contract_value": None, "state": "live"}
    return Instrument("okx", symbol, **values | changes)


@pytest.fixture
async def client(db, feed):
    async with Client(an_app(db, feed, COLLECTED)) as client:
        yield client


async def test_markets_are_stored_and_collected_series_together(db, logging_db, feed, caplog):
    await db.market_data.upsert_candles(
        [a_candle(), a_candle(start_time=NOON + MINUTE), a_candle(symbol="ETH-USDT"), a_candle(exchange="other")]
    )
    await db.instruments.upsert([an_instrument("BTC-USDT"), an_instrument("SOL-USDT", tick_size=Decimal("0.001"))])

    async with Client(an_app(logging_db, feed, COLLECTED)) as client:
        data = await client.ask(
            """{ markets {
             exchange symbol timeframe firstTime lastTime candleCount isCollected tickSize latestCandle { startTime }
           } }"""
        )

    first, second = "2024-01-01T12:00:00.000Z", "2024-01-01T12:01:00.000Z"
    keys = ["exchange", "symbol", "timeframe", "firstTime", "lastTime", "candleCount", "isCollected", "tickSize"]
    rows = [[market[key] for key in keys] for market in data["markets"]]
    assert rows == [
        ["okx", "BTC-USDT", "1m", first, second, "2", True, "0.1"],
        ["okx", "ETH-USDT", "1m", first, first, "1", False, None],
        ["okx", "SOL-USDT", "5s", None, None, "0", True, "0.001"],
        ["other", "BTC-USDT", "1m", first, first, "1", False, None],
    ]
    assert [market["latestCandle"] and market["latestCandle"]["startTime"] for market in data["markets"]] == [
        second,
        first,
        None,
        first,
    ]
    assert len(selects(caplog)) == 3


async def test_markets_of_one_exchange(client, db):
    await db.market_data.upsert_candle(a_candle(exchange="other"))

    data = await client.ask('{ okx: markets(exchange: "okx") { symbol } other: markets(exchange: "other") { symbol } }')

    assert data == {"okx": [{"symbol": "BTC-USDT"}, {"symbol": "SOL-USDT"}], "other": [{"symbol": "BTC-USDT"}]}
    assert (await client.refused('{ markets(exchange: "") { symbol } }'))[1].startswith("exchange: ")


async def test_instruments_are_searched_in_pages(client, db):
    swap = an_instrument("BTC-USDT-SWAP", contract_value=Decimal("0.01"))
    await db.instruments.upsert([swap, *(an_instrument(f"{coin}-USDT") for coin in ("BTC", "ETH", "WBTC"))])
    query = """query ($first: Int, $after: String) {
        instruments(search: "btc", first: $first, after: $after) {
          nodes { exchange symbol tickSize lotSize contractValue state }
          edges { cursor node { symbol } } pageInfo { hasNextPage hasPreviousPage endCursor startCursor }
          totalCount
        } }"""

    whole = (await client.ask(query))["instruments"]
    first = (await client.ask(query, first=1))["instruments"]
    rest = (await client.ask(query, after=first["pageInfo"]["endCursor"]))["instruments"]

    assert [node["symbol"] for node in whole["nodes"]] == ["BTC-USDT", "BTC-USDT-SWAP", "WBTC-USDT"]
    assert whole["nodes"][1] == {
        "exchange": "okx",
        "symbol": "BTC-USDT-SWAP",
        "tickSize": "0.1",
        "lotSize": "0.00000001",
        "contractValue": "0.01",
        "state": "live",
    }
    assert (first["pageInfo"]["hasNextPage"], first["pageInfo"]["hasPreviousPage"]) == (True, False)
    assert [node["symbol"] for node in rest["nodes"]] == ["BTC-USDT-SWAP", "WBTC-USDT"]
    assert [page["totalCount"] for page in (whole, first, rest)] == ["3", "3", "3"]


async def test_mistakes_about_instruments_are_named(client):
    cases = [
        ('exchange: ""', "exchange: "),
        ('search: ""', "search: "),
        (r'search: "\u0000"', "search: "),
        ("first: 10001", "first: "),
        ("first: -1", "first: "),
        ('after: "nothing"', "after: "),
    ]
    for arguments, start in cases:
        code, message = await client.refused(f"{{ instruments({arguments}) {{ nodes {{ symbol }} }} }}")

        assert (code, message[: len(start)]) == ("BAD_USER_INPUT", start)


async def test_health_and_stats_are_told(client, db):
    await db.market_data.upsert_candle(a_candle())

    data = await client.ask(
        """{ health { healthy checkedAt database { connected latencyMs poolSize poolInUse }
                      feeds { exchange channel symbol connected lastMessageAt reconnects openGaps lagMs }
                      bus { connected subscribers } }
             stats { healthy botCount candleCount rawTradeCount exact databaseBytes candlesPerSecond
                     tradesPerSecond uptimeSeconds } }"""
    )

    assert data["health"]["database"]["connected"] is True
    assert data["health"]["database"]["latencyMs"] > 0
    assert data["health"]["feeds"] == []
    assert data["health"]["bus"]["subscribers"] == 0
    assert (data["stats"]["candleCount"], data["stats"]["botCount"], data["stats"]["exact"]) == ("1", "0", True)
    assert int(data["stats"]["databaseBytes"]) > 0
