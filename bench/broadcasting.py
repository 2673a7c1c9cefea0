"""A server of subscriptions on the first core: python -m bench.broadcasting KIND TOPICS [URL]. It prints its port.

`raw` writes a frame that is ready to each of its sockets, which are nothing but sockets; `stock` is Strawberry's own
view over our schema and feed. The news is handed to the feed in this process, as if the database had sent it, and as
stdin tells: a number is so many events a second of each topic, "flood" as many as are acknowledged by "+", "stop" none.
"""

import asyncio
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal, cast

import sqlalchemy as sa
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from strawberry.asgi import GraphQL
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from bench.cores import pin
from bench.roomy import ROOMY
from candleql.server import settle
from gql.app import create_app
from gql.context import Context
from gql.door import Door
from gql.frames import Connection
from gql.resources import Gate, Resources
from gql.schema import schema
from repos.domain import Candle, Origin, Series, Timeframe
from repos.feed.hub import Feed
from repos.feed.news import CandleNews
from repos.operations import DatabaseOperations

_WINDOW = 8
"""Events in flight under flood: enough to keep both processes busy."""
_QUERY = """subscription ($symbol: String!) { candles(symbol: $symbol, timeframe: "1m", snapshot: 0) {
  kind cursor candle { startTime open high low close volume tradeCount isFinal } } }"""
_START = datetime(2024, 1, 1, tzinfo=UTC)
_TEXT = (
    '{"id":"1","type":"next","payload":{"data":{"candles":{"kind":"CLOSED","cursor":"%s","candle":{"startTime":'
    '"2024-01-01T00:00:00.000Z","open":"67000.1","high":"67000.2","low":"67000","close":"67000.1","volume":"%d",'
    '"tradeCount":1234,"isFinal":true}}}}}'
)
_UPGRADED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)
"""To the key of bench.swarm.HANDSHAKE, which is that of RFC 6455, 1.3."""
_SERIES = sa.text("""
INSERT INTO series (exchange, symbol, timeframe, revision, first_time, last_time, candle_count)
SELECT 'okx', 'S' || n || '-USDT', '1m', 1, :start, :start, 1 FROM generate_series(0, CAST(:topics AS int) - 1) AS n
ON CONFLICT DO NOTHING
""")
"""Stored, so that they are known. Events go on from that revision."""
_MINUTE = Timeframe("1m")
_PRICES = (Decimal("67000.1"), Decimal("67000.2"), Decimal(67000), Decimal("67000.1"))
_Publish = Callable[[int], Awaitable[None]]


def subscription(number: int) -> object:
    """The payload of the message that subscribes to topic `number`."""
    return {"query": _QUERY, "variables": {"symbol": _series(number).symbol}}


def _series(number: int) -> Series:
    return Series("okx", f"S{number}-USDT", _MINUTE)


class _Ready(asyncio.Protocol):
    """A websocket without anything between it and the system, for clients that mask with zeros and say what they do."""

    def __init__(self, sockets: list[asyncio.Transport]) -> None:
        self._sockets = sockets

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET "):
            self._transport.write(_UPGRADED)
        elif b'"connection_init"' in data:
            self._transport.write(_framed('{"type":"connection_ack"}'))
        elif b'"subscribe"' in data:
            self._sockets.append(self._transport)

    def connection_lost(self, _: Exception | None) -> None:
        if self._transport in self._sockets:
            self._sockets.remove(self._transport)


def _framed(text: str) -> bytes:
    """The frame of a text, as a server sends it."""
    data = text.encode()
    return (bytes((0x81, len(data))) if len(data) < 126 else b"\x81\x7e" + len(data).to_bytes(2)) + data


async def _raw(topics: int) -> None:
    sockets: list[asyncio.Transport] = []

    async def publish(_: int) -> None:
        cursor = "x" * 56
        frame = _framed(_TEXT % (cursor, time.monotonic_ns()))
        for each in sockets:
            each.write(frame if topics == 1 else _framed(_TEXT % (cursor, time.monotonic_ns())))

    settle()
    server = await asyncio.get_running_loop().create_server(lambda: _Ready(sockets), "127.0.0.1", 0, backlog=2048)
    async with server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await _obey(publish)


async def _ours(topics: int, url: str, *, stock: bool) -> None:
    async with DatabaseOperations(url) as db:
        async with db.engine.begin() as connection:
            await connection.execute(_SERIES, {"topics": topics, "start": _START})
        # Not entered: it would compare with the tables, which know nothing of this news, and begin anew.
        feed = Feed(db)
        timeout = timedelta(minutes=1)
        app: Starlette = create_app(db, feed, bot_heartbeat_timeout=timeout, limits=ROOMY, door=Door(limits=ROOMY))
        if stock:
            view = _Stock(schema, subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL])
            view.resources = Resources(db, feed, timeout, Gate(schema))
            app = Starlette(routes=[WebSocketRoute("/graphql", view)])
        else:
            settle()

        async def publish(event: int) -> None:
            start = _START + event * timedelta(minutes=1)
            for number in range(topics):
                key = _series(number)
                volume, end = Decimal(time.monotonic_ns()), start + timedelta(minutes=1)
                candle = Candle.stored(*key, *_PRICES, volume, 1234, start, end, Origin.TRADES, True)
                feed.topics.deliver(CandleNews(key, event, start, start, [candle]))

        await _serve(app, publish, "websockets-sansio" if stock else Connection)


class _Stock(GraphQL[Context, None]):
    resources: Resources

    async def get_context(self, *_: object, **__: object) -> Context:
        return Context(self.resources)


async def _serve(app: Starlette, publish: _Publish, ws: type[asyncio.Protocol] | Literal["websockets-sansio"]) -> None:
    config = uvicorn.Config(
        app,
        ws=ws,
        lifespan="off",
        log_level="critical",
        ws_per_message_deflate=False,
        ws_ping_interval=None,
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve([listener]))
        print(listener.getsockname()[1], flush=True)
        await _obey(publish)
        server.should_exit = True


async def _obey(publish: _Publish) -> None:
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    room = asyncio.Semaphore(0)
    event = 1

    async def steadily(rate: int) -> None:
        nonlocal event
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            event += 1
            await publish(event)
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def flood() -> None:
        nonlocal event
        while True:
            await room.acquire()
            event += 1
            await publish(event)
            await asyncio.sleep(0)

    publishing: asyncio.Task[None] | None = None
    while command := (await commands.readline()).decode().strip():
        if command == "+":
            room.release()
            continue
        if publishing is not None:
            publishing.cancel()
            publishing = None
        if command == "flood":
            room = asyncio.Semaphore(_WINDOW)
            publishing = asyncio.create_task(flood())
        elif command != "stop":
            publishing = asyncio.create_task(steadily(int(command)))
    if publishing is not None:
        publishing.cancel()


if __name__ == "__main__":
    kind, topics, *url = sys.argv[1:]
    pin(0)
    uvloop.run(_raw(int(topics)) if kind == "raw" else _ours(int(topics), *url, stock=kind == "stock"))
