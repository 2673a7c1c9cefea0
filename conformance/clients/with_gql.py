"""PyPI's client gql, over HTTP by aiohttp and over websockets."""

import asyncio
import os
import sys
from pathlib import Path

from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportQueryError
from gql.transport.websockets import WebsocketsTransport

from gql import Client, GraphQLRequest

url = sys.argv[1]
LOST = "mKFso29reKhCVEMtVVNEVKI1cwHAwKllbHNld2hlcmU"
"""A cursor of BTC-USDT 5s that another database gave."""
OPERATIONS = (Path(__file__).parent.parent / "operations.graphql").read_text()


def operation(name: str, **variables: object) -> GraphQLRequest:
    return GraphQLRequest(OPERATIONS, variable_values=variables, operation_name=name)


async def main() -> None:
    schema = (Path(__file__).parent.parent.parent / "schema.graphql").read_text()
    async with Client(transport=AIOHTTPTransport(url), schema=schema) as session:
        latest = await session.execute(operation("Latest", symbol="BTC-USDT"))
        assert latest["latestCandle"]["symbol"] == "BTC-USDT"
        bot = {"name": f"gql {os.getpid()}", "strategyName": "none", "symbol": "BTC-USDT", "timeframe": "5s"}
        bot["virtualBalance"] = "0.1"
        made = (await session.execute(operation("Create", input=bot)))["createBot"]["bot"]
        assert (await session.execute(operation("Delete", id=made["id"])))["deleteBot"] == {"deleted": True}
        refused = None
        try:
            await session.execute(operation("Latest", symbol=""))
        except TransportQueryError as error:
            refused = error
        assert refused is not None
        assert refused.errors[0]["extensions"] == {"code": "BAD_USER_INPUT"}

    sockets = WebsocketsTransport(url.replace("http", "ws"))
    async with Client(transport=sockets) as session:
        events = []
        async for event in session.subscribe(operation("Follow", symbol="BTC-USDT")):
            events.append(event["candles"])
            if len(events) == 2:
                break
        async with asyncio.timeout(10):
            await sockets.ping_received.wait()  # which the client answers by itself
            await sockets.send_ping()
            await sockets.pong_received.wait()
        expired = None
        try:
            async for _ in session.subscribe(operation("Resume", symbol="BTC-USDT", after=LOST)):
                break
        except TransportQueryError as error:
            expired = error
        assert expired is not None
        assert expired.errors[0]["extensions"] == {"code": "CURSOR_EXPIRED"}
        assert (await session.execute(operation("Latest", symbol="BTC-USDT")))["latestCandle"]
    assert all(event["candle"]["close"] for event in events if event["kind"] != "GAP")
    sys.stdout.write("query, mutations, subscription, error, pings both ways\n")


asyncio.run(main())
