"""Which way queries go, and stored candles on the way from PostgreSQL's text to the client's."""

from datetime import UTC, datetime

import pytest

from gql.execution.paths import totals
from repos.candle_reader import AskedPage
from repos.domain import Origin
from tests.builders import BTC_1M, MINUTE, NOON, a_candle
from tests.gql_server import Client, an_app, graphql_ws, running

pytestmark = pytest.mark.anyio

PAGE = 'candles(symbol: "BTC-USDT", timeframe: "1m")'


@pytest.mark.parametrize(
    ("query", "path"),
    [
        pytest.param(f"{{ {PAGE} {{ nodes {{ a: open close }} }} }}", "fast", id="candles"),
        pytest.param(f"{{ {PAGE} {{ edges {{ cursor node {{ open }} }} }} }}", "fast", id="edges"),
        pytest.param("{ bots { nodes { name latestCandle { close } } } }", "fast", id="a field that is resolved"),
        pytest.param('{ latestCandle(symbol: "BTC-USDT", timeframe: "1m") { close } }', "fast", id="an object"),
        pytest.param("{ health { database { connected } } }", "fast", id="health"),
        pytest.param('{ bot(id: "none") { name } }', "fast", id="a mistake of the user"),
        pytest.param("{ __typename }", "normal; Query.__typename", id="introspection"),
        pytest.param("mutation { deleteBot(id: 1) { deleted } }", "normal; not a query", id="a mutation"),
        pytest.param("{ nothing }", "normal", id="an invalid document"),
    ],
)  # fmt: skip
async def test_header_tells_how_the_answer_was_made(db, feed, query, path):
    await db.market_data.upsert_candle(a_candle())
    async with Client(an_app(db, feed, show_path=True)) as client:
        response = await client.http.post("/graphql", json={"query": query})

    assert response.headers["x-candleql-path"] == path


async def test_metrics_tell_how_queries_were_answered(db, feed):
    async with Client(an_app(db, feed)) as client:
        before = await metrics(client)
        for query in (f"{{ {PAGE} {{ nodes {{ open }} }} }}", "{ __typename }", "{ __typename }"):
            await client.ask(query)
        after = await metrics(client)

    counted = ['candleql_answers_total{path="fast"}', 'candleql_answers_total{path="Query.__typename"}']
    assert [after[name] - before.get(name, 0) for name in counted] == [1, 2]
    assert sum(after[f'candleql_window_reads_total{{found="{found}"}}'] for found in ("yes", "no")) == 1
    assert after["candleql_subscribers"] == 0


async def metrics(client) -> dict[str, float]:
    text = (await client.http.get("/metrics")).text
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


async def test_header_is_not_sent_unless_wanted(db, feed):
    async with Client(an_app(db, feed)) as client:
        response = await client.http.post("/graphql", json={"query": "{ __typename }"})

    assert "x-candleql-path" not in response.headers


@pytest.mark.parametrize("timeframe", ["1s", "1m", "1d", "1w", "1M", "3M"])
async def test_stored_candle_is_printed_as_the_domain_knows_it(db, feed, timeframe):
    start = datetime(2024, 1, 1, tzinfo=UTC)
    prices = {"open": "10.50", "high": "12.000", "low": "0.000000000000000001", "close": "11", "volume": "0"}
    candle = a_candle(timeframe=timeframe, start_time=start, **prices, trade_count=None, origin=Origin.EXCHANGE)
    await db.market_data.upsert_candle(candle)
    async with Client(an_app(db, feed)) as client:
        data = await client.ask(
            "query ($timeframe: Timeframe!) { candles(symbol: \"BTC-USDT\", timeframe: $timeframe) { nodes {"
            " timeframe timestamp startTime endTime open high low close volume tradeCount origin isFinal } } }",
            timeframe=timeframe,
        )  # fmt: skip

    assert data["candles"]["nodes"] == [
        prices
        | {
            "timeframe": timeframe,
            "timestamp": "2024-01-01T00:00:00.000Z",
            "startTime": "2024-01-01T00:00:00.000Z",
            "endTime": f"{candle.end_time:%Y-%m-%dT%H:%M:%S}.000Z",
            "tradeCount": None,
            "origin": "EXCHANGE",
            "isFinal": True,
        }
    ]


async def test_stored_candles_are_a_sequence_of_candles(db):
    candles = [a_candle(start_time=NOON + n * MINUTE) for n in range(3)]
    await db.market_data.upsert_candles(candles)

    [page] = await db.market_data.stored.pages([AskedPage.of(BTC_1M)])
    rows = page.rows

    assert (list(rows), rows[-1], list(rows[1:]), len(rows)) == (candles, candles[2], candles[1:], 3)


async def test_queries_over_websockets_are_compiled_too(db, feed):
    await db.market_data.upsert_candle(a_candle())
    before = totals["fast"]
    async with running(an_app(db, feed)) as address, graphql_ws(address) as client:
        await client.subscribe(f'{{ {PAGE} {{ nodes {{ close }} }} nothing: bot(id: "none") {{ name }} }}')
        message = await client.receive()
        ended = await client.receive()

    assert message["payload"]["data"] == {"candles": {"nodes": [{"close": "101"}]}, "nothing": None}
    assert [error["path"] for error in message["payload"]["errors"]] == [["nothing"]]
    assert ended["type"] == "complete"
    assert totals["fast"] == before + 1
