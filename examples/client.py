"""Candles with exact numbers, in Python: what is stored, then each that is closed, with none left out after a break.

Where the server comes back with other data than before, such as those of a backup, it begins anew and says so.

    python -m venv venv && venv/bin/pip install 'gql[aiohttp,websockets]'
    venv/bin/python client.py http://127.0.0.1:8000/graphql BTC-USDT 5s

Set CANDLEQL_KEY where the server wants a key. Run it outside of candleql's folder, which has a package named gql too.
"""

import asyncio
import os
import sys
from decimal import Decimal
from typing import Any

from gql import Client, gql
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportClosed, TransportConnectionFailed, TransportQueryError
from gql.transport.websockets import WebsocketsTransport

STORED = """
query Stored($symbol: String!, $timeframe: Timeframe!) {
  candles(symbol: $symbol, timeframe: $timeframe, last: 100) {
    nodes { startTime open high low close volume }
    liveCursor
  }
}
"""
FOLLOWED = """
subscription Followed($symbol: String!, $timeframe: Timeframe!, $after: String!) {
  candles(symbol: $symbol, timeframe: $timeframe, after: $after) {
    kind
    cursor
    candle { startTime open high low close volume }
    gap { start end }
  }
}
"""


def show(kind: str, candle: dict[str, str]) -> None:
    """Decimals come as strings: Decimal(text) is the number itself, float(text) only near it."""
    values = " ".join(candle[name] for name in ("open", "high", "low", "close", "volume"))
    moved = Decimal(candle["close"]) - Decimal(candle["open"])
    print(f"{kind:<9} {candle['startTime']} {values}, moved {moved:+}", flush=True)


async def main(url: str, symbol: str, timeframe: str) -> None:
    key = os.environ.get("CANDLEQL_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    series: dict[str, Any] = {"symbol": symbol, "timeframe": timeframe}
    after: str | None = None
    while True:
        sockets = WebsocketsTransport("ws" + url.removeprefix("http"), headers=headers)
        try:
            if after is None:
                async with Client(transport=AIOHTTPTransport(url, headers=headers)) as session:
                    page = (await session.execute(gql(STORED), variable_values=series))["candles"]
                for candle in page["nodes"]:
                    show("STORED", candle)
                after = page["liveCursor"]
            async with Client(transport=sockets) as session:
                async for answer in session.subscribe(gql(FOLLOWED), variable_values=series | {"after": after}):
                    event = answer["candles"]
                    after = event["cursor"]  # from here it goes on, whatever happens to the connection
                    if event["kind"] == "DELETED":
                        print(f"DELETED   candles from {event['gap']['start']} to {event['gap']['end']}", flush=True)
                    elif event["gap"]:
                        print(f"GAP       trades are missing from {event['gap']['start']} to {event['gap']['end']}")
                    elif event["kind"] == "NOT_COLLECTED":
                        print("NOTHING   is stored, and nobody collects it: start “candleql collect”")
                    elif event["candle"] and event["kind"] != "FORMING":
                        show(event["kind"], event["candle"])
        except TransportQueryError as refused:
            if [error.get("extensions", {}).get("code") for error in refused.errors or []] != ["CURSOR_EXPIRED"]:
                raise
            after = None
            print("ANEW      the server's data are others than before, so all of it begins anew", flush=True)
        except (TransportClosed, TransportConnectionFailed, OSError) as broken:
            print(f"{broken}; again in a second", file=sys.stderr)
        await asyncio.sleep(1)


asyncio.run(main(*sys.argv[1:4]))
