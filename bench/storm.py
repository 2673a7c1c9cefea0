"""A storm: after an outage all dashboards come back at once, each with its last cursor and for its page of candles.

    python -m bench.storm URL COUNT

Each opens a websocket, resumes its candles and gets what it missed; then it asks for the newest 500 by POST. All follow
one of 20 series. It is measured twice: with the window in memory, and from the database alone.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import cycle, islice
from statistics import quantiles
from typing import Any

import asyncpg
import httpx2
import uvloop

from bench.cores import pin
from bench.database import SYMBOLS
from bench.load import load
from bench.questions import FIELDS, asked_of
from bench.servers import Server, a_server
from bench.swarm import HANDSHAKE, MARK, masked
from bench.table import Row, head, line
from candleql.logs import configure_logs
from repos.domain import Candle, Origin, Timeframe
from repos.operations import DatabaseOperations

MISSED = 3
"""Candles written while the dashboards were away."""
_AT_ONCE = 200
"""Handshakes under way; the rest waits in the clients."""
_PAGE = (
    "query Page($symbol: String!)"
    f' {{ candles(symbol: $symbol, timeframe: "1m", last: 500) {{ nodes {{ {FIELDS} }} }} }}'
)
_RESUME = (
    "subscription ($symbol: String!, $after: String!) {"
    ' candles(symbol: $symbol, timeframe: "1m", after: $after) { kind cursor candle { startTime close volume } } }'
)


class _Dashboard(asyncio.Protocol):
    """Done when it has what it missed."""

    def __init__(self, resume: bytes) -> None:
        self._resume = resume
        self._missing = MISSED
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(HANDSHAKE % b"/graphql")

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 101"):
            self.transport.write(masked({"type": "connection_init"}))
        if b"connection_ack" in data:
            self.transport.write(self._resume)
        self._missing -= data.count(MARK)
        if self._missing <= 0 and not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))


async def measure(url: str, count: int) -> AsyncIterator[Row]:
    """One row: dashboards a second that have all they want, against the same without the window."""
    cursors = await _cursors(url)
    await _miss(url)
    rates, notes = {}, {}
    for name in ("cold", "ours"):
        async with a_server(name, url) as server:
            rates[name], notes[name] = await _storm(server, cursors, count)
    note = f"base is without the window; {notes['ours']}; without it {notes['cold']}"
    yield Row(f"storm of {count:,} dashboards", None, rates["cold"], rates["ours"], None, note)


async def _storm(server: Server, cursors: dict[str, str], count: int) -> tuple[float, str]:
    asked = [{"query": _RESUME, "variables": {"symbol": symbol, "after": cursors[symbol]}} for symbol in cursors]
    resumes = [masked({"id": "1", "type": "subscribe", "payload": payload}) for payload in asked]
    room = asyncio.Semaphore(_AT_ONCE)
    took: list[float] = []
    dashboards: list[_Dashboard] = []
    loop = asyncio.get_running_loop()

    async def come_back(resume: bytes) -> None:
        async with room:
            begun = time.perf_counter()
            _, dashboard = await loop.create_connection(lambda: _Dashboard(resume), "127.0.0.1", server.port)
            dashboards.append(dashboard)
            await dashboard.done
            took.append(time.perf_counter() - begun)

    begun, cpu = time.perf_counter(), server.cpu()
    async with asyncio.timeout(300):
        await asyncio.gather(*(come_back(resume) for resume in islice(cycle(resumes), count)))
    resumed = time.perf_counter() - begun
    pages = await load(server.port, asked_of(_PAGE, [{"symbol": symbol} for symbol in cursors]), 120, 64, count)
    seconds = resumed + pages.seconds
    busy = server.cpu() - cpu
    for dashboard in dashboards:
        dashboard.transport.abort()
    p99 = quantiles(took, n=100)[98] * 1000
    note = f"{resumed:.1f} s until all resumed (p99 {p99:.0f} ms each), {pages.seconds:.1f} s for their pages"
    return count / seconds, f"{note}, CPU {busy:.1f} s"


async def _cursors(url: str) -> dict[str, str]:
    """Where the dashboards were when they were cut off, by symbol."""
    query = 'query ($symbol: String!) { candles(symbol: $symbol, timeframe: "1m", last: 1) { liveCursor } }'
    cursors = {}
    async with a_server("ours", url) as server, httpx2.AsyncClient() as client:
        for symbol in SYMBOLS:
            body = {"query": query, "variables": {"symbol": symbol}}
            answer = (await client.post(f"http://127.0.0.1:{server.port}/graphql", json=body)).json()
            cursors[symbol] = answer["data"]["candles"]["liveCursor"]
    return cursors


async def _miss(url: str) -> None:
    """Write what the dashboards miss."""
    connection = await asyncpg.connect(url)
    newest: datetime = await connection.fetchval("SELECT max(last_time) FROM series WHERE timeframe = '1m'")
    await connection.close()
    minute, price = Timeframe("1m"), Decimal(60_000)
    async with DatabaseOperations(url) as db:
        for n in range(1, MISSED + 1):
            start = newest.astimezone(UTC) + n * timedelta(minutes=1)
            prices = (price, price, price, price, Decimal(n))
            rest = (*prices, n, start, minute.end(start), Origin.TRADES)
            await db.market_data.upsert_candles([Candle("okx", symbol, minute, *rest) for symbol in SYMBOLS])


async def _main(url: str, count: str) -> None:
    print(head())
    async for row in measure(url, int(count)):
        print(line(row))


if __name__ == "__main__":
    pin(1)
    configure_logs("error", "console")
    uvloop.run(_main(*sys.argv[1:]))
