"""However many operations a server answers, none leaves an object behind in its process."""

import asyncio
import gc
import json
import os
import sys
from collections import Counter
from contextlib import asynccontextmanager, contextmanager
from itertools import count

import httpx2
import pytest

from gql.limits import Limits
from tests.builders import a_candle, a_record
from tests.gql_server import WAIT, an_app, connected, graphql_ws, running

pytestmark = pytest.mark.anyio

NUMBER = int(os.environ.get("LEFTOVERS_OF", "100"))
"""Operations of each kind over each transport that are counted; `make leftovers` has 10,000."""
WARM = 30
"""Operations of each kind before: then documents, pools and caches are there."""
MOST = 0.5
"""Objects of one type that an operation may leave behind: fewer than one, and more than chance leaves."""
BLOCKS = "blocks of memory"
CHANCE = 2_000
"""Blocks that may come without a leak."""
ROUNDS = 3
"""Tries to see nothing grow: what happens but once, a table or a pool that grows, is no leak."""
SETTLING = 3.0
"""Seconds that the server has to end what its clients have left."""
NAME = "an operation " * 5
"""Of each operation on the websocket; long, as only 100 frames a second may be shorter than 64 bytes."""

SERIES = 'symbol: "BTC-USDT", timeframe: "1m"'
UPSERT = "mutation ($input: CandleInput!) { upsertCandle(input: $input, forceUpdate: true) { candle { close } } }"
_close = count(1)


def a_change():
    candle = {"symbol": "BTC-USDT", "timeframe": "1m", "startTime": "2024-01-01T12:00:00Z", "volume": "1"}
    prices = {"open": "1", "high": "1000000", "low": "1", "close": str(next(_close))}
    return {"query": UPSERT, "variables": {"input": candle | prices}}


KINDS = {
    "query": (lambda: {"query": f"{{ candles({SERIES}) {{ nodes {{ open }} }} }}"}, '"open"'),
    "query that is not compiled": (lambda: {"query": "{ __schema { queryType { name } } }"}, '"Query"'),
    "mutation": (a_change, '"close"'),
    "refused mutation": (
        lambda: {"query": 'mutation { recordHeartbeat(id: "9") { bot { id } } }'},
        "NOT_FOUND",
    ),
    "refused document": (lambda: {"query": "{ nothing }"}, "GRAPHQL_VALIDATION_FAILED"),
    "text that is no document": (lambda: {"query": f"{{ nothing(to: {next(_close)}"}, "GRAPHQL_PARSE_FAILED"),
    "wrong variables": (lambda: {"query": UPSERT, "variables": {"input": next(_close)}}, "BAD_USER_INPUT"),
    "query of trades": (lambda: {"query": '{ rawTrades(symbol: "BTC-USDT") { nodes { rawData } } }'}, '"rawData"'),
    "subscription": (lambda: {"query": f"subscription {{ candles({SERIES}) {{ kind }} }}"}, "SNAPSHOT"),
    "subscription to many": (
        lambda: {"query": f"subscription {{ watchCandles(series: [{{ {SERIES} }}]) {{ kind }} }}"},
        "SNAPSHOT",
    ),
    "subscription to trades": (
        lambda: {"query": 'subscription { trades(symbol: "BTC-USDT", snapshot: 1) { trades { tradeId } } }'},
        '"tradeId"',
    ),
    "subscription to health": (lambda: {"query": "subscription { health { healthy } }"}, '"healthy"'),
}
"""What is asked, and what the answer has."""
SUBSCRIPTIONS = {kind for kind in KINDS if kind.startswith("subscription")}
MUTATIONS = {kind for kind, (made, _) in KINDS.items() if "mutation" in made()["query"]}


@asynccontextmanager
async def by_post(address):
    async with httpx2.AsyncClient(base_url=f"http://{address}", timeout=WAIT, trust_env=False) as http:

        async def ask(payload, expected):
            text = (await http.post("/graphql", json=payload)).text
            assert expected in text, text

        yield ask


@asynccontextmanager
async def by_get(address):
    async with httpx2.AsyncClient(base_url=f"http://{address}", timeout=WAIT, trust_env=False) as http:

        async def ask(payload, expected):
            text = (await http.get("/graphql", params=payload)).text
            assert expected in text, text

        yield ask


@asynccontextmanager
async def by_events(address):
    """Each operation has a connection, which ends after the first event."""

    async def ask(payload, expected):
        reader, writer = await connected(address)
        body = json.dumps(payload).encode()
        head = "POST /graphql HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        async with asyncio.timeout(WAIT):
            await reader.readuntil(expected.encode())
        writer.close()
        await writer.wait_closed()

    yield ask


@asynccontextmanager
async def by_websocket(address):
    """All operations have one connection; a subscription is completed after its first event."""
    async with graphql_ws(address) as client:

        async def ask(payload, expected):
            await client.send(id=NAME, type="subscribe", payload=payload)
            message = await client.receive()
            assert expected in json.dumps(message), message
            if payload["query"].startswith("subscription"):
                await client.complete(NAME)
            elif message["type"] == "next":
                assert (await client.receive())["type"] == "complete"

        yield ask


@pytest.mark.parametrize(
    ("transport", "kinds"),
    [
        pytest.param(by_post, KINDS.keys() - SUBSCRIPTIONS, id="POST"),
        pytest.param(by_get, KINDS.keys() - SUBSCRIPTIONS - MUTATIONS, id="GET"),
        pytest.param(by_events, KINDS.keys(), id="server-sent events"),
        pytest.param(by_websocket, KINDS.keys(), id="websocket"),
    ],
)
async def test_operations_leave_nothing_behind(db, feed, transport, kinds):
    await db.market_data.upsert_candle(a_candle())
    await db.tape.insert([a_record()])
    app = an_app(db, feed, limits=Limits(points_a_minute=10**12))
    left = {}
    async with running(app, access_log=False) as address, transport(address) as ask:
        for kind in sorted(kinds):
            made, expected = KINDS[kind]
            for _ in range(WARM):
                await ask(made(), expected)
            left[kind] = await left_by(ask, made, expected)

    assert {kind: found for kind, found in left.items() if found} == {}


async def left_by(ask, made, expected):
    """By type, how many objects each operation leaves behind, where these are too many in every round."""
    with counting():
        for _ in range(ROUNDS):
            before = await counted()
            for _ in range(NUMBER):
                await ask(made(), expected)
            left = await grown(before)
            if not left:
                break
    return left


async def grown(before):
    """As soon as nothing has, and at the latest when the server has had its time."""
    loop = asyncio.get_running_loop()
    end = loop.time() + SETTLING
    while True:
        more = (await counted()) - before - Counter({BLOCKS: CHANCE})
        left = {kind: number / NUMBER for kind, number in more.items() if number >= MOST * NUMBER}
        if not left or loop.time() > end:
            return left
        await asyncio.sleep(0.05)


@contextmanager
def counting():
    """What there is already is left out of the counts, which would take half a second each."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


async def counted():
    """The objects that the collector knows, exceptions, tracebacks and frames among them, by type; and all blocks."""
    loop = asyncio.get_running_loop()
    for _ in range(1_000):  # the loop keeps cancelled timers until they are a hundred, and most of all
        loop.call_later(WAIT, int).cancel()
    await asyncio.sleep(0)
    gc.collect()
    names = Counter(kind.__qualname__ for kind in map(type, gc.get_objects()))
    # Strings and bytes are among them. Tables and caches grow at times, whatever is asked: a few are no sign.
    names[BLOCKS] = sys.getallocatedblocks()
    return names
