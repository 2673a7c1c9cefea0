"""Subscriptions under load: 1,000 websockets on one process, against ready text by Starlette, and plain Strawberry.

    python -m bench.sockets --seconds 5

`raw` sends each of its websockets a text that is ready; `stock` is Strawberry's own view over our schema and feed. The
news is handed to the feed in the server's process, as if the database had sent it.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import IO, Literal, cast

import psutil
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from bench.swarm import Swarm
from candleql.server import COMPRESSED
from gql.app import create_app
from gql.context import Context, Resources
from gql.frames import Connection
from gql.schema import schema
from repos.domain import Candle, Origin, Series, Timeframe
from repos.embedded.server import EmbeddedPostgres
from repos.feed.hub import Feed
from repos.feed.news import CandleNews
from repos.migrations.upgrade import migrate
from repos.operations import DatabaseOperations

SOCKETS = 1_000
WINDOW = 8
"""Events in flight under flood: enough to keep both processes busy."""
RATE = 20
"""Events a second when delays are taken."""
KINDS = ("raw", "stock", "ours")
QUERY = """subscription ($symbol: String!) { candles(symbol: $symbol, timeframe: "1m", snapshot: 0) {
  kind cursor candle { startTime open high low close volume tradeCount isFinal } } }"""
_START = datetime(2024, 1, 1, tzinfo=UTC)
_TEXT = (
    '{"id":"1","type":"next","payload":{"data":{"candles":{"kind":"CLOSED","cursor":"%s","candle":{"startTime":'
    '"2024-01-01T00:00:00.000Z","open":"67000.1","high":"67000.2","low":"67000","close":"67000.1","volume":"%d",'
    '"tradeCount":1234,"isFinal":true}}}}}'
)
_PRICES = (Decimal("67000.1"), Decimal("67000.2"), Decimal(67000), Decimal("67000.1"))
Publish = Callable[[int], Awaitable[None]]


def series(number: int) -> Series:
    return Series("okx", f"S{number}-USDT", Timeframe("1m"))


def payload(number: int) -> object:
    return {"query": QUERY, "variables": {"symbol": series(number).symbol}}


# The servers, each a process of its own.


async def raw(port: int, topics: int) -> None:
    sockets: list[WebSocket] = []

    async def accept(socket: WebSocket) -> None:
        await socket.accept("graphql-transport-ws")
        await socket.receive_text()
        await socket.send_text('{"type":"connection_ack"}')
        await socket.receive_text()
        sockets.append(socket)
        await socket.receive()
        sockets.remove(socket)

    async def publish(_: int) -> None:
        if topics == 1:
            text = _TEXT % ("x" * 56, time.monotonic_ns())
            for socket in sockets.copy():
                await socket.send_text(text)
        else:
            for socket in sockets.copy():
                await socket.send_text(_TEXT % ("x" * 56, time.monotonic_ns()))

    await serve(Starlette(routes=[WebSocketRoute("/graphql", accept)]), port, publish, "websockets-sansio")


async def ours(port: int, topics: int, url: str, *, stock: bool) -> None:
    async with DatabaseOperations(url) as db, Feed(db) as feed:
        timeout = timedelta(minutes=1)
        app = create_app(db, feed, collected=(), bot_heartbeat_timeout=timeout)
        if stock:
            view = Stock(schema, subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL])
            view.resources = Resources(db, feed, (), timeout)
            app = Starlette(routes=[WebSocketRoute("/graphql", view)])

        async def publish(event: int) -> None:
            start = _START + event * timedelta(minutes=1)
            for number in range(topics):
                key = series(number)
                volume = Decimal(time.monotonic_ns())
                candle = Candle(*key, *_PRICES, volume, 1234, start, start + timedelta(minutes=1), Origin.TRADES)
                feed.topics.deliver(CandleNews(key, event, start, start, [candle]))

        await serve(app, port, publish, "websockets-sansio" if stock else Connection)


class Stock(GraphQL[Context, None]):
    resources: Resources

    async def get_context(self, *_: object, **__: object) -> Context:
        return Context(self.resources)


async def serve(
    app: Starlette, port: int, publish: Publish, ws: type[asyncio.Protocol] | Literal["websockets-sansio"]
) -> None:
    """Publish as told on stdin: a number is so many events a second, "flood" is as many as are acknowledged by "+"."""
    config = uvicorn.Config(
        app,
        port=port,
        ws=ws,
        lifespan="off",
        log_level="critical",
        ws_per_message_deflate=COMPRESSED,
        ws_ping_interval=None,  # the swarm answers none
    )
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    room = asyncio.Semaphore(0)
    event = 0

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

    async with asyncio.TaskGroup() as tasks:
        server = uvicorn.Server(config)
        tasks.create_task(server.serve())
        publishing: asyncio.Task[None] | None = None
        while command := (await commands.readline()).decode().strip():
            if command == "+":
                room.release()
                continue
            if publishing is not None:
                publishing.cancel()
                publishing = None
            if command == "flood":
                room = asyncio.Semaphore(WINDOW)
                publishing = tasks.create_task(flood())
            elif command != "stop":
                publishing = tasks.create_task(steadily(int(command)))
        server.should_exit = True
        if publishing is not None:
            publishing.cancel()


# The measuring, from a process of its own.


@dataclass
class Load:
    """One server with its sockets."""

    kind: str
    port: int
    process: subprocess.Popen[bytes]
    swarm: Swarm = field(default_factory=Swarm)
    topics: int = 1
    _acknowledged: int = 0

    def tell(self, command: str) -> None:
        stdin = cast("IO[bytes]", self.process.stdin)
        stdin.write(command.encode() + b"\n")
        stdin.flush()

    @property
    def memory(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss)

    async def connect(self) -> None:
        while True:
            try:
                (await asyncio.open_connection("127.0.0.1", self.port))[1].close()
                break
            except OSError:
                await asyncio.sleep(0.05)
        before = self.memory
        async with asyncio.timeout(60):
            await self.swarm.connect(self.port, b"/graphql", [payload(n % self.topics) for n in range(SOCKETS)])
        await asyncio.sleep(1.5)
        self.idle = (self.memory - before) / SOCKETS / 1024

    async def flood(self, seconds: float) -> float:
        """Events delivered a second, while as many are published as are acknowledged."""
        self.swarm.received = self._acknowledged = 0
        self.swarm.heard = self._acknowledge
        self.tell("flood")
        started = time.perf_counter()
        await asyncio.sleep(seconds)
        rate = self.swarm.received / (time.perf_counter() - started)
        self.tell("stop")
        await asyncio.sleep(0.3)
        self.swarm.heard = lambda: None
        return rate

    def _acknowledge(self) -> None:
        while self.swarm.received >= (self._acknowledged + 1) * SOCKETS:
            self._acknowledged += 1
            self.tell("+")

    async def steady(self, seconds: float, rate: int) -> tuple[float, float, float]:
        """Events delivered a second at so many published, and p50 and p99 of their delays in ms."""
        self.swarm.received, self.swarm.delays = 0, []
        self.tell(str(rate))
        await asyncio.sleep(seconds)
        self.tell("stop")
        await asyncio.sleep(0.5)
        delays, self.swarm.delays = self.swarm.delays, None
        cuts = statistics.quantiles(delays, n=100)
        return self.swarm.received / seconds, cuts[49] / 1e6, cuts[98] / 1e6


async def measure(url: str, seconds: float, rounds: int, topics: int) -> None:
    loads = [start(kind, url, topics) for kind in KINDS]
    try:
        for load in loads:
            await load.connect()
        floods: dict[str, list[float]] = {kind: [] for kind in KINDS}
        steady: dict[str, list[tuple[float, float, float]]] = {kind: [] for kind in KINDS}
        kept: dict[str, float] = {}
        for turn in range(rounds):
            for load in loads:
                before = load.memory
                floods[load.kind].append(await load.flood(seconds))
                if turn:
                    kept[load.kind] = (load.memory - before) / (load.swarm.received / SOCKETS) / 1024
            for load in loads:
                steady[load.kind].append(await load.steady(seconds, RATE if topics == 1 else 1))
        print(f"{SOCKETS} sockets on {topics} series; medians of {rounds} rounds of {seconds:g} s")
        names = ("flood/s", "of raw", "at rate/s", "p50 ms", "p99 ms", "kB idle", "kB/event")
        print(" " * 8 + "".join(f"{name:>10}" for name in names))
        for load in loads:
            flood = statistics.median(floods[load.kind])
            share = statistics.median(a / b for a, b in zip(floods[load.kind], floods["raw"], strict=True))
            rate, p50, p99 = (statistics.median(column) for column in zip(*steady[load.kind], strict=True))
            print(
                f"{load.kind:8}{flood:10.0f}{share:10.2f}{rate:10.0f}{p50:10.1f}{p99:10.1f}"
                f"{load.idle:10.1f}{kept.get(load.kind, 0):10.2f}"
            )
    finally:
        for load in loads:
            load.swarm.close()
            load.process.kill()
            load.process.wait()


def start(kind: str, url: str, topics: int) -> Load:
    port = 18_300 + KINDS.index(kind)
    arguments = [sys.executable, "-m", "bench.sockets", "--serve", kind, "--port", str(port), "--topics", str(topics)]
    process = subprocess.Popen([*arguments, "--url", url], stdin=subprocess.PIPE)
    os.sched_setaffinity(process.pid, {0})
    return Load(kind, port, process, topics=topics)


async def run(seconds: float, rounds: int) -> None:
    os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # under root the server's account must pass through
        server = EmbeddedPostgres(Path(folder) / "data")
        url = await server.start()
        try:
            await migrate(url)
            for topics in (1, SOCKETS):
                await measure(url, seconds, rounds, topics)
        finally:
            await server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", choices=KINDS, help=argparse.SUPPRESS)
    for name, kind in (("--port", int), ("--topics", int), ("--url", str)):
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    given = parser.parse_args()

    if given.serve is None:
        uvloop.run(run(given.seconds, given.rounds))
    elif given.serve == "raw":
        uvloop.run(raw(given.port, given.topics))
    else:
        uvloop.run(ours(given.port, given.topics, given.url, stock=given.serve == "stock"))


if __name__ == "__main__":
    main()
