"""SIGTERM: what is open is closed so that clients come back, what arrived is stored, and the process ends soon."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from collector.okx.simulator.server import Simulator
from tests.gql_server import graphql_ws
from tests.served import BTC, CANDLES, TRADES, read_out, serving
from tests.test_restart import happened, writing_waits

pytestmark = pytest.mark.anyio

SURELY_ARRIVED = timedelta(seconds=0.5)


@asynccontextmanager
async def a_sleeper(address: str) -> AsyncIterator[None]:
    """A client that never reads, and whose every event has 200 kB, so that the server has soon too much for it."""
    host, port = address.split(":")
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.connect((host, int(port)))
        async with graphql_ws(address, sock=made, compression=None, close_timeout=0) as client:
            client.connection.transport.pause_reading()
            for letter in "abcd":
                await client.subscribe(TRADES, name=letter * 200_000)
            yield


async def test_sigterm_closes_all_sockets_stores_what_arrived_and_ends_within_five_seconds(db, database_url, tmp_path):
    async with Simulator(seed=5, rate=16) as exchange, AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(tmp_path, database_url, exchange))
        http = await stack.enter_async_context(httpx2.AsyncClient(headers={"accept": "text/event-stream"}))
        url, body = f"http://{server.address}/graphql", {"query": CANDLES}
        streams = [await stack.enter_async_context(http.stream("POST", url, json=body)) for _ in range(3)]
        clients = [await stack.enter_async_context(graphql_ws(server.address)) for _ in range(20)]
        await stack.enter_async_context(a_sleeper(server.address))
        for client in clients:
            await client.subscribe(TRADES)
        for _ in range(10):
            await asyncio.gather(*(client.event() for client in clients))

        async with writing_waits(db, "raw_trades"):
            waiting_since = datetime.now(UTC)
            while len(happened(exchange, waiting_since, datetime.now(UTC) - SURELY_ARRIVED)) < 10:
                await asyncio.sleep(0.01)
            told, arrived = time.monotonic(), datetime.now(UTC) - SURELY_ARRIVED
            server.process.send_signal(signal.SIGTERM)
            codes = await asyncio.gather(*(read_out(client) for client in clients))
            texts = [(await stream.aread()).decode() for stream in streams]
        took = await server.ended(told)

    stored = await db.tape.between("okx", BTC, waiting_since - timedelta(hours=1), arrived)
    assert codes == [1012] * 20
    assert all("event: next" in text and "event: complete" not in text for text in texts)
    assert stored == happened(exchange, stored[0].timestamp, arrived)[-len(stored) :]
    assert stored[0].timestamp < waiting_since
    assert took < 5
