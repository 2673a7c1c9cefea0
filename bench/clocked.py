"""An exchange whose prices are the time: python -m bench.clocked. It prints its port.

A line on stdin is how many trades a second it makes from then on, in turn of all symbols that are followed. Each comes
in a frame of its own, as in OKX's channel trades-all; the price is the monotonic clock, in ns, as that is written.
"""

import asyncio
import sys
import time
from contextlib import suppress

import orjson
import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bench.cores import pin


def trade(symbol: str, trade_id: int, milliseconds: int, price: int) -> dict[str, str]:
    """A trade as OKX writes it."""
    return {
        "instId": symbol, "tradeId": str(trade_id), "px": str(price), "sz": "0.1", "side": "buy",
        "ts": str(milliseconds), "source": "0",
    }  # fmt: skip


class Exchange:
    """Trades for those who ask; of each symbol the ids are 1, 2, 3 and so on."""

    def __init__(self) -> None:
        self._followers: dict[str, ServerConnection] = {}
        self._made: dict[str, int] = {}

    async def answer(self, connection: ServerConnection) -> None:
        async for text in connection:
            if text == "ping":
                await connection.send("pong")
                continue
            for arg in orjson.loads(text)["args"]:
                await connection.send(orjson.dumps({"event": "subscribe", "arg": arg, "connId": "1"}).decode())
                if arg["channel"] == "trades-all":
                    self._followers[arg["instId"]] = connection

    async def make(self, rate: int) -> None:
        """Make so many a second, until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not self._followers:
                continue
            symbol = min(self._followers, key=lambda symbol: self._made.get(symbol, 0))
            number = self._made[symbol] = self._made.get(symbol, 0) + 1
            arg = {"channel": "trades-all", "instId": symbol}
            made = trade(symbol, number, time.time_ns() // 1_000_000, time.monotonic_ns())
            with suppress(ConnectionClosed):
                await self._followers[symbol].send(orjson.dumps({"arg": arg, "data": [made]}), text=True)


async def _main() -> None:
    exchange = Exchange()
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with serve(exchange.answer, "127.0.0.1", 0, ping_interval=None) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        making: asyncio.Task[None] | None = None
        while line := await commands.readline():
            if making is not None:
                making.cancel()
            making = asyncio.create_task(exchange.make(int(line)))
        if making is not None:
            making.cancel()


if __name__ == "__main__":
    pin(1)
    uvloop.run(_main())
