"""Subscriptions to what nobody collects: said in words, never silence."""

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal

import httpx2
import pytest

from repos.domain import Instrument, Series, Timeframe
from repos.events import CandleEventKind
from repos.feed import hub
from tests.builders import A_COLLECTOR, BTC_1M, MINUTE, NOON, a_candle, a_record, a_report
from tests.gql_server import an_app, graphql_ws, running
from tests.test_windows import until_hot

pytestmark = pytest.mark.anyio

CANDLES = """subscription ($symbol: String!, $timeframe: Timeframe = "1m", $snapshot: Int! = 1) {
    candles(symbol: $symbol, timeframe: $timeframe, snapshot: $snapshot) {
        kind series { exchange symbol timeframe } candle { close } gap { start } } }"""
TRADES = "subscription ($symbol: String!) { trades(symbol: $symbol) { isCollected trades { tradeId } gap { start } } }"
WATCH = """subscription ($series: [SeriesInput!]!) {
    watchCandles(series: $series) { kind series { symbol timeframe } candle { close } } }"""
UNKNOWN = "'NO-SUCH' is no known instrument of okx, nothing is stored of it, and nobody collects it"
SOL_1M = Series("okx", "SOL-USDT", Timeframe("1m"))
SOL = Instrument("okx", "SOL-USDT", Decimal("0.1"), Decimal("0.1"), None, "live")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Collectors of other processes, of which there are none, are not waited for."""
    monkeypatch.setattr(hub, "CERTAIN_WITHIN", 0.0)


@pytest.fixture
async def address(db, feed):
    await db.instruments.upsert([SOL])
    async with running(an_app(db, feed)) as address:
        yield address


async def streamed(address: str, query: str, **variables):
    """The payload of the first event over server-sent events."""
    headers = {"accept": "text/event-stream"}
    async with (
        asyncio.timeout(30),
        httpx2.AsyncClient(base_url=f"http://{address}", headers=headers, timeout=30) as http,
        http.stream("POST", "/graphql", json={"query": query, "variables": variables}) as response,
    ):
        async for line in response.aiter_lines():
            if line.startswith("data:") and len(line) > len("data: "):
                return json.loads(line.removeprefix("data:"))
    return pytest.fail("the stream ended without an event")


async def over_websocket(address: str, query: str, **variables):
    """The first message over a websocket."""
    async with graphql_ws(address) as client:
        await client.subscribe(query, **variables)
        return await client.receive()


@pytest.mark.parametrize(
    ("query", "variables", "argument"),
    [
        pytest.param(CANDLES, {"symbol": "NO-SUCH"}, "symbol", id="candles"),
        pytest.param(CANDLES, {"symbol": "NO-SUCH", "snapshot": 0}, "symbol", id="no snapshot"),
        pytest.param(TRADES, {"symbol": "NO-SUCH"}, "symbol", id="trades"),
        pytest.param(
            WATCH,
            {
                "series": [
                    {"symbol": "BTC-USDT", "timeframe": "1m"},
                    {"symbol": "SOL-USDT", "timeframe": "1m"},
                    {"symbol": "NO-SUCH", "timeframe": "1m"},
                ]
            },
            "series[2].symbol",
            id="watchCandles",
        ),
    ],
)
async def test_what_nobody_knows_is_refused(address, query, variables, argument):
    stream = await streamed(address, query, **variables)
    message = await over_websocket(address, query, **variables)
    while message["type"] == "next":
        pytest.fail(f"an event: {message}")

    assert message["type"] == "error"
    for errors in (stream["errors"], message["payload"]):
        [error] = errors
        assert (error["extensions"]["code"], error["message"]) == ("BAD_USER_INPUT", f"{argument}: {UNKNOWN}")


async def test_an_instrument_that_nobody_collects_begins_with_saying_so(address):
    sol = {"exchange": "okx", "symbol": "SOL-USDT", "timeframe": "1m"}
    told = {"candles": {"kind": "NOT_COLLECTED", "series": sol, "candle": None, "gap": None}}
    no_trades = {"trades": {"isCollected": False, "trades": [], "gap": None}}

    assert await streamed(address, CANDLES, symbol="SOL-USDT") == {"data": told}
    assert (await over_websocket(address, CANDLES, symbol="SOL-USDT"))["payload"] == {"data": told}
    assert await streamed(address, TRADES, symbol="SOL-USDT") == {"data": no_trades}
    assert (await over_websocket(address, TRADES, symbol="SOL-USDT"))["payload"] == {"data": no_trades}


async def test_another_timeframe_of_what_is_collected_begins_with_saying_so(address):
    event = (await over_websocket(address, CANDLES, symbol="BTC-USDT", timeframe="7m"))["payload"]["data"]["candles"]

    assert (event["kind"], event["series"]["timeframe"]) == ("NOT_COLLECTED", "7m")


async def test_a_watch_list_names_each_series_that_nobody_collects(address, db):
    await db.market_data.upsert_candle(a_candle())
    series = [{"symbol": symbol, "timeframe": "1m"} for symbol in ("SOL-USDT", "BTC-USDT")]

    async with graphql_ws(address) as client:
        await client.subscribe(WATCH, series=series)
        events = [(await client.event())["watchCandles"] for _ in series]

    assert [(event["kind"], event["series"]["symbol"]) for event in events] == [
        ("SNAPSHOT", "BTC-USDT"),
        ("NOT_COLLECTED", "SOL-USDT"),
    ]


@pytest.mark.parametrize("snapshot", [0, 1])
@pytest.mark.parametrize("is_hot", [False, True])
async def test_a_series_of_which_all_was_deleted_begins_with_saying_that_nobody_collects_it(
    db, feed, address, snapshot, is_hot
):
    gone, left = SOL_1M, SOL_1M._replace(timeframe=Timeframe("5m"))
    await db.market_data.upsert_candles([a_candle(symbol="SOL-USDT", timeframe=key.timeframe) for key in (gone, left)])
    if is_hot:
        await until_hot(feed, db, gone)
    await db.market_data.delete_candles(*gone, NOON, NOON + MINUTE)

    told = (await over_websocket(address, CANDLES, symbol="SOL-USDT", snapshot=snapshot))["payload"]["data"]["candles"]
    async with graphql_ws(address) as client:
        await client.subscribe(
            WATCH, series=[{"symbol": "SOL-USDT", "timeframe": key.timeframe} for key in (gone, left)]
        )
        watched = [(await client.event())["watchCandles"] for _ in range(2)]
        await db.market_data.upsert_candle(a_candle(symbol="SOL-USDT"))
        again = (await client.event())["watchCandles"]

    assert (told["kind"], told["series"]["timeframe"]) == ("NOT_COLLECTED", "1m")
    assert [(event["kind"], event["series"]["timeframe"]) for event in watched] == [
        ("SNAPSHOT", "5m"),
        ("NOT_COLLECTED", "1m"),
    ]
    assert (again["kind"], again["series"]["timeframe"]) == ("CLOSED", "1m")


async def test_who_comes_back_to_a_series_of_which_all_was_deleted_hears_of_both(db, feed):
    await db.market_data.upsert_candle(a_candle(symbol="SOL-USDT"))
    stands = await db.market_data.position(SOL_1M)
    await db.market_data.delete_candles(*SOL_1M, NOON, NOON + MINUTE)

    # That no instrument is known by this name is no reason to refuse who was told of the series before.
    await db.instruments.upsert([replace(SOL, symbol="OTHER")])
    async with aclosing(feed.candles(SOL_1M, stands, 0)) as events, asyncio.timeout(30):
        kinds = [(await anext(events)).kind for _ in range(2)]

    assert kinds == [CandleEventKind.DELETED, CandleEventKind.NOT_COLLECTED]


async def test_what_is_stored_is_followed_though_nobody_collects_it(address, db, feed):
    feed.collectors.keep(A_COLLECTOR, None)
    await db.market_data.upsert_candle(a_candle(symbol="STORED"))
    await db.tape.insert([a_record(symbol="STORED")])

    async with graphql_ws(address) as client:
        await client.subscribe(CANDLES, symbol="STORED")
        candle = (await client.event())["candles"]
        await client.subscribe(TRADES, name="2", symbol="STORED")
        await client.subscribe(CANDLES, name="3", symbol="STORED", timeframe="7m")
        other = (await client.event("3"))["candles"]
        await db.tape.insert([a_record(symbol="STORED", trade_id=2)])
        trades = (await client.event("2"))["trades"]

    assert (candle["kind"], candle["candle"]["close"]) == ("SNAPSHOT", "101")
    assert other["kind"] == "NOT_COLLECTED"
    assert trades == {"isCollected": True, "trades": [{"tradeId": "2"}], "gap": None}


async def test_what_comes_later_follows_the_event_that_says_that_nothing_is_collected(address, db):
    async with graphql_ws(address) as client:
        await client.subscribe(CANDLES, symbol="SOL-USDT")
        first = (await client.event())["candles"]
        await db.market_data.upsert_candle(a_candle(symbol="SOL-USDT"))
        second = (await client.event())["candles"]

    assert (first["kind"], second["kind"]) == ("NOT_COLLECTED", "CLOSED")


async def test_before_instruments_are_known_nothing_is_refused(db, feed):
    async with running(an_app(db, feed)) as address:
        event = (await over_websocket(address, CANDLES, symbol="NO-SUCH"))["payload"]["data"]["candles"]

    assert event["kind"] == "NOT_COLLECTED"


async def test_a_collector_of_a_process_that_began_just_now_is_waited_for(db, feed, monkeypatch):
    monkeypatch.setattr(hub, "CERTAIN_WITHIN", 30.0)
    await db.instruments.upsert([SOL])
    feed.collectors.keep(A_COLLECTOR, None)
    unlisted = Series.of("okx", "NO-SUCH", "1m")

    async with running(an_app(db, feed, collected=())) as address, graphql_ws(address) as client:
        await client.subscribe(CANDLES, symbol="NO-SUCH")
        while not feed.topics.get(unlisted):
            await asyncio.sleep(0.01)
        await db.market_data.upsert_candle(a_candle(symbol="NO-SUCH"))
        feed.collectors.keep(A_COLLECTOR, a_report(BTC_1M, unlisted))
        event = (await client.event())["candles"]

    assert event["kind"] in ("SNAPSHOT", "CLOSED")
