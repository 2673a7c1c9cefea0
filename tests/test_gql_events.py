"""Server-sent events, and subscriptions that fail or do not end, over both transports."""

import asyncio
import gc
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta

import httpx2
import pytest
import strawberry
from strawberry.schema.config import StrawberryConfig

from gql.auth import Access
from gql.context import Context
from gql.resources import Gate, Resources
from gql.scalars import SCALARS
from gql.schema import schema
from gql.view import GraphQLView
from repos.errors import MailboxOverflow
from tests.builders import MINUTE, NOON, a_candle
from tests.gql_server import WAIT, graphql_ws, running
from tests.test_gql_live import CANDLES, address, app, told, until_followed

pytestmark = pytest.mark.anyio
__all__ = ["address", "app"]


def sse_events(text):
    return [
        json.loads(line.removeprefix("data: "))
        for line in text.splitlines()
        if line.startswith("data: ") and line != "data: "
    ]


@pytest.fixture
async def http():
    async with httpx2.AsyncClient(timeout=WAIT, headers={"accept": "text/event-stream"}) as http:
        yield http


async def test_server_sent_events_carry_the_same(address, http, db, feed):
    await db.market_data.upsert_candle(a_candle())
    body = {"query": CANDLES}

    async with http.stream("POST", f"http://{address}/graphql", json=body) as response:
        lines = response.aiter_lines()
        events = []
        async for line in lines:
            events += sse_events(line)
            if len(events) == 1:
                await db.market_data.upsert_candle(a_candle(start_time=NOON + MINUTE, close=7))
            if len(events) == 2:
                break

    assert response.headers["content-type"].startswith("text/event-stream")
    assert [told(event["data"]) for event in events] == [
        ("SNAPSHOT", "12:00", "101", True),
        ("CLOSED", "12:01", "7", True),
    ]
    await until_followed(feed, by=0)


async def test_a_mistake_over_server_sent_events_has_its_code(address, http):
    for query, code in [
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        ('subscription { candles(symbol: "", timeframe: "1m") { kind } }', "BAD_USER_INPUT"),
    ]:
        response = await http.post(f"http://{address}/graphql", json={"query": query})

        [event] = sse_events(response.text)
        assert event["errors"][0]["extensions"] == {"code": code}


async def fails_after_one(error) -> AsyncGenerator[int, None]:
    yield 1
    raise error


@strawberry.type
class Asking:
    @strawberry.field
    def more(self, than: int) -> int:
        return than + 1


@strawberry.type
class Faulty:
    @strawberry.subscription
    def secret(self) -> AsyncGenerator[int, None]:
        return fails_after_one(RuntimeError("SELECT balance FROM /srv/accounts"))

    @strawberry.subscription
    def flooded(self) -> AsyncGenerator[int, None]:
        return fails_after_one(MailboxOverflow("more than 10000 rows were waiting"))

    @strawberry.subscription
    async def asking(self) -> AsyncGenerator[Asking, None]:
        yield Asking()


@strawberry.type
class Nothing:
    nothing: int = 0


@pytest.fixture
async def faulty(db, feed, app):
    """The address of a server whose subscriptions fail after their first event."""
    faulty = strawberry.Schema(
        query=Nothing,
        subscription=Faulty,
        config=StrawberryConfig(scalar_map=SCALARS),
    )
    app.graphql = GraphQLView(Resources(db, feed, timedelta(seconds=60), Gate(faulty)), Access())
    async with running(app) as address:
        yield address


async def test_a_failing_subscription_is_masked_and_completes(faulty, http):
    async with graphql_ws(faulty) as socket:
        await socket.subscribe("subscription { secret }")
        first, failure, done = await socket.event(), await socket.receive(), await socket.receive()
    response = await http.post(f"http://{faulty}/graphql", json={"query": "subscription { secret }"})

    assert first == {"secret": 1}
    [error] = failure["payload"]["errors"]
    assert error["message"] == "Internal server error"
    assert error["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert done == {"id": "1", "type": "complete"}
    assert sse_events(response.text)[1]["errors"][0]["message"] == "Internal server error"


async def test_an_event_whose_fields_take_arguments_is_made_by_graphql_core(faulty, http):
    query = "subscription { asking { more(than: 1) } }"

    async with graphql_ws(faulty) as socket:
        await socket.subscribe(query)
        event, done = await socket.event(), await socket.receive()
    response = await http.post(f"http://{faulty}/graphql", json={"query": query})

    assert event == {"asking": {"more": 2}}
    assert done == {"id": "1", "type": "complete"}
    assert sse_events(response.text) == [{"data": event}]


async def test_a_reader_that_is_too_slow_is_closed_with_1013(faulty, http):
    async with graphql_ws(faulty) as socket:
        await socket.subscribe("subscription { flooded }", name="1")
        await socket.subscribe("subscription { flooded }", name="2")
        code = await socket.closed()
    response = await http.post(f"http://{faulty}/graphql", json={"query": "subscription { flooded }"})

    assert code == 1013
    assert sse_events(response.text)[1]["errors"][0]["extensions"] == {"code": "RATE_LIMITED"}


async def test_a_long_subscription_keeps_nothing_of_its_events(db, feed):
    context = Context(Resources(db, feed, timedelta(seconds=60), Gate(schema)))
    async with aclosing(await schema.stream(CANDLES, {"snapshot": 0}, context)) as stream:
        following = asyncio.create_task(anext(stream))
        await until_followed(feed, by=1)
        await db.market_data.upsert_candles([a_candle(start_time=NOON + n * MINUTE) for n in range(600)])

        await following
        for _ in range(99):
            await anext(stream)
        after_100 = len(gc.get_objects())
        for _ in range(500):
            await anext(stream)
        after_600 = len(gc.get_objects())

    assert after_600 - after_100 < 500
