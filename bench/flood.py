"""An exchange that sends trades as fast as they are taken: python -m bench.flood COUNT. Prints its port.

One trade a frame, as OKX's channel trades-all; frames are made before and written many at once.
"""

import asyncio
import struct
import sys

import orjson
import uvloop
from websockets.asyncio.server import ServerConnection, serve

from bench.cores import pin

SYMBOL = "BTC-USDT"
_BEGIN_MS = 1_735_689_600_000
_PER_MS = 5
_CHUNK = 200


def _frame(trade_id: int) -> bytes:
    arg = {"channel": "trades-all", "instId": SYMBOL}
    trade = {
        "instId": SYMBOL, "tradeId": str(trade_id), "px": f"{60_000 + trade_id % 977 / 10:.1f}",
        "sz": f"0.{trade_id % 997 + 1:05d}", "side": "buy" if trade_id % 3 else "sell",
        "ts": str(_BEGIN_MS + trade_id // _PER_MS), "source": "0",
    }  # fmt: skip
    text = orjson.dumps({"arg": arg, "data": [trade]})
    # RFC 6455: a final text frame, unmasked, of 126 to 65,535 bytes.
    return struct.pack("!BBH", 0x81, 126, len(text)) + text


async def _main(count: str) -> None:
    chunks = [
        b"".join(_frame(n) for n in range(first, min(first + _CHUNK, int(count) + 1)))
        for first in range(1, int(count) + 1, _CHUNK)
    ]

    async def answer(connection: ServerConnection) -> None:
        async for text in connection:
            if text == "ping":
                await connection.send("pong")
                continue
            asked = orjson.loads(text)
            for arg in asked["args"]:
                await connection.send(orjson.dumps({"event": "subscribe", "arg": arg, "connId": "1"}).decode())
            if any(arg["channel"] == "trades-all" for arg in asked["args"]):
                for chunk in chunks:
                    connection.transport.write(chunk)
                    await connection.drain()

    async with serve(answer, "127.0.0.1", 0, ping_interval=None) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    pin(1)
    uvloop.run(_main(*sys.argv[1:]))
