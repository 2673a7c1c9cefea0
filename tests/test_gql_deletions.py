"""Deleting candles over GraphQL: the mutation, what subscribers hear of it over each transport, and what pages show."""

import pytest

from gql.auth import Access, Anonymous
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations
from tests.builders import BTC_1M, MINUTE, NOON, a_candle
from tests.gql_server import Client, an_app, graphql_ws, running
from tests.test_gql_events import http, sse_events
from tests.test_gql_live import CANDLES, until_followed
from tests.test_windows import until_hot

pytestmark = pytest.mark.anyio
__all__ = ["http"]

DELETE = """
mutation ($symbol: String! = "BTC-USDT", $timeframe: Timeframe! = "1m", $start: DateTime!, $end: DateTime!) {
  deleteCandles(symbol: $symbol, timeframe: $timeframe, start: $start, end: $end) { deletedCount }
}
"""
ALL_OF_IT = """{
  candles(symbol: "BTC-USDT", timeframe: "1m") { nodes { startTime } totalCount }
  latestCandle(symbol: "BTC-USDT", timeframe: "1m") { startTime }
  candleSeries(symbol: "BTC-USDT", timeframe: "1m") { time }
  markets { symbol firstTime lastTime candleCount }
  stats { candleCount }
}"""
WATCHED = """subscription { watchCandles(series: [{symbol: "BTC-USDT", timeframe: "1m"}]) {
  kind candle { startTime close isFinal } gap { start end }
} }"""


def time(number: int) -> str:
    return f"2024-01-01T12:{number:02}:00.000Z"


def between(start: int, end: int) -> dict[str, str]:
    return {"start": time(start), "end": time(end)}


def told(data) -> tuple[str, ...]:
    [event] = data.values()
    assert (event["candle"] is None) is (event["gap"] is not None)
    times = event["gap"].values() if event["gap"] else [event["candle"]["startTime"]]
    return event["kind"], *(time[14:16] for time in times)


async def write(db, *numbers: int) -> None:
    """Each by a revision of its own."""
    for number in numbers:
        await db.market_data.upsert_candle(a_candle(start_time=NOON + number * MINUTE))


@pytest.fixture
async def app(db, feed):
    return an_app(db, feed, collected=())


@pytest.fixture
async def client(app):
    async with Client(app) as client:
        yield client


@pytest.fixture
async def address(app):
    async with running(app) as address:
        yield address


async def test_what_is_deleted_is_counted_and_nowhere_any_more(client, db, feed):
    await write(db, 0, 1, 2, 3)
    await client.ask(ALL_OF_IT)  # opens the hot window
    await until_hot(feed, db)

    first = await client.ask(DELETE, **between(1, 3))
    left = await client.ask(ALL_OF_IT)
    again = await client.ask(DELETE, **between(1, 3))
    rest = await client.ask(DELETE, **between(0, 9))
    nothing = await client.ask(ALL_OF_IT)

    counts = [answer["deleteCandles"]["deletedCount"] for answer in (first, again, rest)]
    assert counts == [2, 0, 2]
    assert left == {
        "candles": {"nodes": [{"startTime": time(0)}, {"startTime": time(3)}], "totalCount": "2"},
        "latestCandle": {"startTime": time(3)},
        "candleSeries": {"time": [NOON.timestamp() * 1000, (NOON + 3 * MINUTE).timestamp() * 1000]},
        "markets": [{"symbol": "BTC-USDT", "firstTime": time(0), "lastTime": time(3), "candleCount": "2"}],
        "stats": {"candleCount": "2"},
    }
    assert nothing == {
        "candles": {"nodes": [], "totalCount": "0"},
        "latestCandle": None,
        "candleSeries": {"time": []},
        "markets": [],
        "stats": {"candleCount": "0"},
    }


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (between(2, 1), "start: 2024-01-01T12:02:00+00:00 is after end"),
        (between(0, 1) | {"symbol": ""}, "symbol: '' is not"),
        (between(0, 1) | {"timeframe": "1x"}, "1x"),
        (between(0, 1) | {"start": "2024-01-01T12:00:00"}, "offset"),
        (between(0, 1) | {"end": "2300-01-01T00:00:00Z"}, "2261"),
    ],
)
async def test_a_wrong_argument_is_refused_and_nothing_is_deleted(client, db, given, problem):
    await write(db, 0)

    code, message = await client.refused(DELETE, **given)

    assert code == "BAD_USER_INPUT"
    assert problem in message
    assert await db.market_data.count(BTC_1M) == 1


@pytest.mark.parametrize(
    ("role", "allowed"), [("viewer", False), ("trader", False), ("collector", True), ("admin", True)]
)
async def test_only_who_writes_market_data_may_delete_it(db, feed, role, allowed):
    await write(db, 0)
    access = Access(db.keys, anonymous=Anonymous.REFUSED)
    _, secret = await db.keys.create("somebody", role)
    async with Client(an_app(db, feed, access=access), authorization=f"Bearer {secret}") as client:
        answer = await client.post(DELETE, **between(0, 9))

    assert await db.market_data.count(BTC_1M) == (0 if allowed else 1)
    if not allowed:
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]


async def test_everybody_hears_it_over_every_transport_and_goes_on(address, client, db, feed, http):
    await write(db, 0, 1, 2)
    async with graphql_ws(address) as one, graphql_ws(address) as other:
        for socket in (one, other):  # which share what is live
            await socket.subscribe(CANDLES, snapshot=0)
        await one.subscribe(WATCHED, name="watched")
        assert told(await one.event("watched")) == ("SNAPSHOT", "02")
        async with http.stream("POST", f"http://{address}/graphql", json={"query": CANDLES}) as response:
            lines = response.aiter_lines()

            async def streamed():
                while not (events := sse_events(await anext(lines))):
                    pass
                return told(events[0]["data"])

            assert await streamed() == ("SNAPSHOT", "02")
            await until_followed(feed, by=4)

            assert await client.ask(DELETE, **between(1, 9)) == {"deleteCandles": {"deletedCount": 2}}
            await write(db, 1)

            assert [await streamed(), await streamed()] == [("DELETED", "01", "09"), ("CLOSED", "01")]
            assert [told(await other.event()) for _ in range(2)] == [("DELETED", "01", "09"), ("CLOSED", "01")]
            heard = {"1": [], "watched": []}
            while len(heard["1"]) < 2 or heard["watched"][-1:] not in ([("CLOSED", "01")], [("SNAPSHOT", "01")]):
                message = await one.receive()
                heard[message["id"]].append(told(message["payload"]["data"]))
    assert heard["1"] == [("DELETED", "01", "09"), ("CLOSED", "01")]
    # What is left is read, and may be of after the write.
    assert heard["watched"] in (
        [("DELETED", "01", "09"), ("SNAPSHOT", "00"), ("CLOSED", "01")],
        [("DELETED", "01", "09"), ("SNAPSHOT", "01")],
    )


async def test_a_client_that_comes_back_to_another_server_hears_of_it_once_and_in_order(address, db, database_url):
    await write(db, 0, 1, 2)
    async with graphql_ws(address) as socket:
        await socket.subscribe(CANDLES)
        snapshot = await socket.event()
    await db.market_data.delete_candles(*BTC_1M, NOON + MINUTE, NOON + 2 * MINUTE)
    await write(db, 3)

    async with (
        DatabaseOperations(database_url) as later,
        Feed(later) as feed,
        running(an_app(later, feed)) as again,
        graphql_ws(again) as socket,
    ):
        await socket.subscribe(CANDLES, after=snapshot["candles"]["cursor"])
        heard = [await socket.event(), await socket.event()]
        await socket.complete()
        await socket.subscribe(CANDLES, name="2", after=heard[0]["candles"]["cursor"])
        rest = await socket.event("2")

    assert [told(event) for event in heard] == [("DELETED", "01", "02"), ("CLOSED", "03")]
    assert rest == heard[1]
