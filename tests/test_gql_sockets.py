"""Websockets and streams whose clients are silent, idle or deaf, and servers that go away. (conformance/protocol.py has
the protocol's own rules.)"""

import asyncio
import re
import socket
from contextlib import AsyncExitStack, asynccontextmanager

import httpx2
import pytest

from bench.swarm import HANDSHAKE, masked
from gql import sse
from gql.limits import Limits
from tests.builders import a_candle
from tests.gql_server import WAIT, an_app, graphql_ws, running
from tests.test_gql_live import CANDLES, until_followed

pytestmark = pytest.mark.anyio

SHORT = 0.3
PATIENT = 3.0
"""Seconds in which a client that says nothing is never cut off before its subscription began, on a busy machine too."""
PONG = {"type": "pong"}


async def test_idle_websocket_is_closed_so_that_its_client_may_come_back(db, feed):
    limits = Limits(ping_seconds=SHORT, idle_seconds=3 * SHORT)
    async with running(an_app(db, feed, limits=limits)) as address, graphql_ws(address) as client:
        while True:
            async with asyncio.timeout(WAIT):
                text = await anext(aiter(client.connection), None)
            if text is None:
                break
            await client.send(**PONG)

    assert (client.connection.close_code, client.connection.close_reason) == (1001, "Idle")


async def test_websocket_with_an_operation_is_never_idle(db, feed):
    limits = Limits(ping_seconds=SHORT, idle_seconds=3 * SHORT)
    async with running(an_app(db, feed, limits=limits)) as address, graphql_ws(address) as client:
        await client.subscribe(CANDLES, snapshot=0)
        for _ in range(5):
            assert await client.receive() == {"type": "ping"}
            await client.send(**PONG)
        await db.market_data.upsert_candle(a_candle())

        assert (await client.event())["candles"]["kind"] == "CLOSED"


async def test_client_that_reads_nothing_is_cut_off(db, feed, monkeypatch):
    monkeypatch.setattr("gql.sockets._CLOSING", SHORT)
    app = an_app(db, feed, limits=Limits(ping_seconds=PATIENT))
    async with running(app) as address:
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_connect(deaf, ("127.0.0.1", int(address.rpartition(":")[2])))
            await loop.sock_sendall(deaf, HANDSHAKE % b"/graphql")
            await loop.sock_recv(deaf, 1)
            await loop.sock_sendall(deaf, masked({"type": "connection_init"}))
            await loop.sock_sendall(
                deaf,
                masked({"id": "1", "type": "subscribe", "payload": {"query": CANDLES, "variables": {"snapshot": 0}}}),
            )
            await until_followed(feed, by=1)
            ping = masked({"type": "ping", "payload": {"x": "x" * 60_000}})
            sending = asyncio.create_task(loop.sock_sendall(deaf, ping * 200))

            await until_followed(feed, by=0)
            sending.cancel()
            await asyncio.wait([sending])
        finally:
            deaf.close()


async def test_limit_of_operations_is_one_for_each_websocket(db, feed):
    app = an_app(db, feed, limits=Limits(operations=1))
    async with running(app) as address, graphql_ws(address) as first, graphql_ws(address) as second:
        for client in (first, second):
            await client.subscribe(CANDLES, snapshot=0)
        await until_followed(feed, by=2)
        await first.subscribe("{ __typename }", name="2")
        refused = await first.receive()
        await first.complete()
        await first.subscribe("{ __typename }", name="2")

        assert refused["payload"][0]["extensions"] == {"code": "RATE_LIMITED"}
        assert await first.event("2") == {"__typename": "Query"}


async def test_page_of_another_origin_may_not_open_a_websocket(db, feed):
    async with running(an_app(db, feed)) as address:
        with pytest.raises(Exception, match="403"):
            async with graphql_ws(address, origin="https://elsewhere.example"):
                pass
        async with graphql_ws(address, origin=f"http://{address}") as client:
            await client.subscribe("{ __typename }")
            assert await client.event() == {"__typename": "Query"}


async def test_silent_stream_has_comments_that_keep_proxies_from_cutting_it(db, feed, monkeypatch):
    monkeypatch.setattr(sse, "HEARTBEAT", SHORT)
    async with running(an_app(db, feed)) as address, following(address) as lines:
        comments = 0
        async for line in lines:
            comments += line == ":"
            if comments == 2:
                break
        await db.market_data.upsert_candle(a_candle())

        async for line in lines:
            if line.startswith("data: "):
                assert re.search('"kind":"CLOSED"', line)
                break


async def test_stream_of_a_server_that_goes_away_is_cut_and_not_completed(db, feed):
    async with AsyncExitStack() as server:
        address = await server.enter_async_context(running(an_app(db, feed), timeout_graceful_shutdown=0))
        async with following(address) as lines:
            await until_followed(feed, by=1)
            await db.market_data.upsert_candle(a_candle())
            assert await anext(lines) == "event: next"

            await server.aclose()
            heard = []
            with pytest.raises(httpx2.RemoteProtocolError):
                heard += [line async for line in lines]
    assert "event: complete" not in heard
    await until_followed(feed, by=0)


@asynccontextmanager
async def following(address):
    """The lines of a stream of candles."""
    async with (
        httpx2.AsyncClient(timeout=WAIT, headers={"accept": "text/event-stream"}) as http,
        http.stream(
            "POST", f"http://{address}/graphql", json={"query": CANDLES, "variables": {"snapshot": 0}}
        ) as answer,
    ):
        yield answer.aiter_lines()
