"""The application under test, and clients for it: HTTP in process, and graphql-transport-ws over a real socket."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import httpx2
import uvicorn
from websockets.asyncio.client import connect

from gql.app import create_app
from gql.frames import Connection
from gql.guests import Guests
from gql.limits import Limits
from gql.listening import HTTPConnection
from gql.proxies import Proxies
from tests.builders import A_COLLECTOR, BTC_1M, a_report

WAIT = 30.0
"""Seconds after which a test gives up on a message."""


def an_app(db, feed, collected=(BTC_1M,), bot_heartbeat_timeout=timedelta(seconds=60), **more):
    """Beside a collector that follows `collected`."""
    feed.collectors.keep(A_COLLECTOR, a_report(*collected))
    return create_app(db, feed, bot_heartbeat_timeout=bot_heartbeat_timeout, **more)


@asynccontextmanager
async def running(app, ws=Connection, limits=Limits(), proxies=Proxies(()), **options: Any) -> AsyncIterator[str]:  # noqa: B008
    """`app` on a free port of a real server; yields host and port. Options are those of uvicorn's Config."""
    listener = socket.create_server(("127.0.0.1", 0))
    # Connections inherit it. asyncio, unlike uvloop, leaves it out for them, and an answer in two parts takes 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    http = partial(HTTPConnection, Guests(limits, proxies))
    options = {"lifespan": "off", "log_config": None, "proxy_headers": False, **options}
    server = uvicorn.Server(uvicorn.Config(app, http=http, ws=ws, **options))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        listener.close()


async def connected(address: str, **options):
    host, port = address.split(":")
    return await asyncio.open_connection(host, int(port), **options)


async def said_to(address: str, *pieces: bytes) -> bytes:
    """All that comes back until the server closes the connection."""
    reader, writer = await connected(address)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    async with asyncio.timeout(WAIT):
        answer = await reader.read()
    writer.close()
    return answer


class Client:
    """GraphQL by POST to an application in this process."""

    def __init__(self, app, **headers: str) -> None:
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        self.http = httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=WAIT, headers=headers)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_) -> None:
        await self.http.aclose()

    async def post(self, query: str, **variables):
        """The whole answer, as JSON."""
        response = await self.http.post("/graphql", json={"query": query, "variables": variables})
        return response.json()

    async def ask(self, query: str, **variables):
        """The data of an answer without errors."""
        answer = await self.post(query, **variables)
        assert "errors" not in answer, answer
        return answer["data"]

    async def refused(self, query: str, **variables):
        """The code and message of the only error."""
        [error] = (await self.post(query, **variables))["errors"]
        return error["extensions"]["code"], error["message"]


class Socket:
    """Operations over one websocket, told apart by their names."""

    def __init__(self, connection) -> None:
        self.connection = connection

    async def send(self, **message) -> None:
        await self.connection.send(json.dumps(message))

    async def receive(self):
        async with asyncio.timeout(WAIT):
            text = await self.connection.recv()
        assert isinstance(text, str)
        return json.loads(text)

    async def subscribe(self, query: str, name: str = "1", **variables) -> None:
        await self.send(id=name, type="subscribe", payload={"query": query, "variables": variables})

    async def event(self, name: str = "1"):
        """The data of the next event, which has no errors."""
        message = await self.receive()
        assert (message["id"], message["type"]) == (name, "next"), message
        assert "errors" not in message["payload"], message
        return message["payload"]["data"]

    async def complete(self, name: str = "1") -> None:
        await self.send(id=name, type="complete")

    async def closed(self) -> int:
        """The code that the connection was closed with."""
        async with asyncio.timeout(WAIT):
            await self.connection.wait_closed()
        return self.connection.close_code


@asynccontextmanager
async def graphql_ws(address: str, payload: Any = None, **options: Any) -> AsyncIterator[Socket]:
    """A websocket that was welcomed; `payload` is that of its connection_init, options are those of connect()."""
    async with connect(f"ws://{address}/graphql", subprotocols=["graphql-transport-ws"], **options) as connection:
        client = Socket(connection)
        await client.send(type="connection_init", payload=payload)
        assert await client.receive() == {"type": "connection_ack"}
        yield client
