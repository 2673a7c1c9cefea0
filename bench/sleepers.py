"""Clients that subscribe and never read: python -m bench.sleepers [--seconds 360] [--rate 50].

They are what a slow reader costs at the worst: `serve` pings, and closes who does not answer within 40 s; here nobody
is pinged. Forming candles conflate, and trades are kept up to the bound of a mailbox. At the end all wake up.
"""

import argparse
import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import cast

import uvloop

from bench.cores import pin
from bench.database import a_database
from bench.servers import Server, a_server
from bench.swarm import HANDSHAKE, masked
from bench.table import Row, head, line
from candleql.logs import configure_logs
from repos.domain import Candle, Origin, Side, Timeframe, Trade, TradeRecord
from repos.feed.news import FormingNews
from repos.operations import DatabaseOperations

SLEEPERS = 100
MOST_KB = 1_000
"""A mailbox of 10,000 rows, each its own event, and what the transport holds."""
_SYMBOL = "SLEEP-USDT"
_MINUTE = Timeframe("1m")
_QUERIES = {
    "forming candles": 'candles(symbol: "SLEEP-USDT", timeframe: "1m") { kind cursor candle { open close volume } }',
    "trades": 'trades(symbol: "SLEEP-USDT") { cursor trades { tradeId price size side timestamp } }',
}
# A name is in every message: the system's own buffers, of some MB a socket, are full sooner.
_NAME = "x" * 1_000
_TOO_SLOW = (1013).to_bytes(2) + b"Too slow"

Publish = Callable[[DatabaseOperations, int], Awaitable[None]]


class _Sleeper(asyncio.Protocol):
    """Asleep from when it has subscribed until it is woken. `overloaded`: whether it was closed with 1013 then."""

    def __init__(self, query: str) -> None:
        loop = asyncio.get_running_loop()
        self._query = query
        self.subscribed: asyncio.Future[None] = loop.create_future()
        self.overloaded: asyncio.Future[bool] = loop.create_future()
        self._last = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(HANDSHAKE % b"/graphql")

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 101"):
            self.transport.write(masked({"type": "connection_init"}))
        if b"connection_ack" in data:
            payload = {"query": f"subscription {{ {self._query} }}"}
            self.transport.write(masked({"id": _NAME, "type": "subscribe", "payload": payload}))
            self.transport.pause_reading()
            self.subscribed.set_result(None)
        self._last = (self._last + data)[-200:]
        if _TOO_SLOW in self._last and not self.overloaded.done():
            self.overloaded.set_result(True)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        if not self.overloaded.done():
            self.overloaded.set_result(False)


async def measure(url: str, seconds: float, rate: int) -> AsyncIterator[Row]:
    """kB of the server's memory for each sleeper, when it is most, of each kind of news."""
    for kind, publish in (("forming candles", _forming), ("trades", _trade)):
        async with a_server("ours", url) as server:
            yield await _sleep(kind, publish, server, url, seconds, rate)


async def _sleep(kind: str, publish: Publish, server: Server, url: str, seconds: float, rate: int) -> Row:
    sleepers = [await _a_sleeper(server.port, _QUERIES[kind]) for _ in range(SLEEPERS)]
    loop = asyncio.get_running_loop()
    async with DatabaseOperations(url) as db:
        await publish(db, 0)  # what the first event makes for good does not count
        await asyncio.sleep(1)
        before = most = _memory(server)
        begun, number = loop.time(), 0
        while loop.time() < begun + seconds:
            number += 1
            await asyncio.sleep(max(0.0, begun + number / rate - loop.time()))
            await publish(db, number)
            if number % rate == 0:
                most = max(most, _memory(server))
    for sleeper in sleepers:
        sleeper.transport.resume_reading()
    woken, _ = await asyncio.wait([sleeper.overloaded for sleeper in sleepers], timeout=20)
    for sleeper in sleepers:
        sleeper.transport.abort()
    await asyncio.sleep(1)
    closed = sum(future.result() for future in woken)
    note = f"{number:,} events in {seconds:.0f} s; {closed} closed with 1013 as they woke up; from {before:,.0f}"
    return Row(
        f"{SLEEPERS} sockets that never read {kind}: memory of each", None, None, (most - before) / SLEEPERS, MOST_KB,
        f"{note} to {most:,.0f} kB in all, {_memory(server):,.0f} at the end", " kB", at_most=True,
    )  # fmt: skip


async def _a_sleeper(port: int, query: str) -> _Sleeper:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(made, ("127.0.0.1", port))
    _, sleeper = await loop.create_connection(lambda: _Sleeper(query), sock=made)
    await sleeper.subscribed
    return sleeper


def _memory(server: Server) -> float:
    """In kB."""
    return float(server.process.memory_info().rss) / 1024


async def _forming(db: DatabaseOperations, number: int) -> None:
    start = _MINUTE.floor(datetime.now(UTC))
    price = Decimal(60_000 + number)
    candle = Candle.stored(
        "okx", _SYMBOL, _MINUTE, price, price, price, price, price, number, start, start + timedelta(minutes=1),
        Origin.TRADES, False,
    )  # fmt: skip
    await db.bus.publish(FormingNews([candle]))


async def _trade(db: DatabaseOperations, number: int) -> None:
    trade = Trade("okx", _SYMBOL, number + 1, datetime.now(UTC), Decimal(60_000), Decimal("0.1"), Side.BUY)
    await db.tape.insert([TradeRecord(trade, "{}")])


async def _main(seconds: float, rate: int) -> None:
    async with a_database(20) as url:
        print(head())
        async for row in measure(url, seconds, rate):
            print(line(row), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.sleepers")
    parser.add_argument("--seconds", type=float, default=360.0)
    parser.add_argument("--rate", type=int, default=50)
    arguments = parser.parse_args()
    pin(1)
    configure_logs("error", "console")
    uvloop.run(_main(arguments.seconds, arguments.rate))
