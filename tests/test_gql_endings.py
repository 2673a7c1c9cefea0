"""Endings: clients that go away at any moment leave nothing behind, and a server that goes away says so."""

import asyncio
import random
import socket
import struct

import orjson
import pytest

from bench.swarm import HANDSHAKE, masked
from tests.builders import MINUTE, NOON, a_candle
from tests.gql_server import an_app, graphql_ws, running

pytestmark = pytest.mark.anyio

MANY = 400
SUBSCRIBE = masked(
    {
        "id": "1",
        "type": "subscribe",
        "payload": {"query": 'subscription { candles(symbol: "BTC-USDT", timeframe: "1m") { kind cursor } }'},
    }
)
BODY = orjson.dumps({"query": '{ candles(symbol: "BTC-USDT", timeframe: "1m") { nodes { open } } }'})
HEAD = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
POST = HEAD % len(BODY)
INIT = masked({"type": "connection_init"})
HELLO = HANDSHAKE % b"/graphql"
LIVES = {
    "connects": [],
    "begins a handshake": [HELLO[:60]],
    "shakes hands": [HELLO],
    "is welcomed": [HELLO, INIT],
    "subscribes": [HELLO, INIT, SUBSCRIBE],
    "subscribes twice": [HELLO, INIT, SUBSCRIBE, SUBSCRIBE],
    "sends half a frame": [HELLO, INIT, SUBSCRIBE[:20]],
    "posts half a body": [POST + BODY[:10]],
    "posts": [POST + BODY],
}
ANSWERED = {HELLO, INIT, SUBSCRIBE, POST + BODY}


async def live(port: int, dice: random.Random) -> None:
    """One client's life, up to a moment drawn by lot; its end is a reset or a plain close."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for said in LIVES[dice.choice(sorted(LIVES))]:
        writer.write(said)
        if said in ANSWERED and dice.random() < 0.7:
            await reader.read(1)
    if dice.random() < 0.5:
        # Nothing lingers: close() resets the connection.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


async def test_clients_that_go_away_at_any_moment_leave_nothing_behind(db, feed):
    await db.market_data.upsert_candles([a_candle(start_time=NOON + n * MINUTE) for n in range(3)])
    app, dice = an_app(db, feed), random.Random(1)  # noqa: S311
    async with running(app) as address:
        port = int(address.rpartition(":")[2])
        async with graphql_ws(address) as client:
            await client.subscribe('subscription { candles(symbol: "BTC-USDT", timeframe: "1m") { kind } }')
            await client.event()
            before = len(asyncio.all_tasks())
            for _ in range(MANY // 20):
                await asyncio.gather(*(live(port, dice) for _ in range(20)), return_exceptions=True)
            async with asyncio.timeout(10):
                while feed.topics.followers > 1 or len(asyncio.all_tasks()) > before:
                    await asyncio.sleep(0.01)

            await db.market_data.upsert_candle(a_candle(start_time=NOON + 3 * MINUTE))
            assert (await client.event())["candles"]["kind"] == "CLOSED"

        async with asyncio.timeout(10):
            while feed.topics.followers:
                await asyncio.sleep(0.01)
        assert app.graphql.service.broadcasts._running == {}
