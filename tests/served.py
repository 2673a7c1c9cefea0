"""`candleql serve` as a process that follows a simulated exchange, and readers of its streams."""

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from websockets.exceptions import ConnectionClosed

from collector.okx.simulator.server import Simulator
from tests.gql_server import Socket

BTC = "BTC-USDT"
CANDLES = 'subscription { candles(symbol: "BTC-USDT", timeframe: "1s", snapshot: 0) { kind cursor } }'
TRADES = 'subscription { trades(symbol: "BTC-USDT") { cursor trades { tradeId } } }'


class Served:
    """A running process, by its address: host and port."""

    def __init__(self, process: asyncio.subprocess.Process, address: str, log: Path) -> None:
        self.process = process
        self.address = address
        self._log = log

    def said(self) -> str:
        """Its log."""
        return self._log.read_text()

    async def ended(self, since: float) -> float:
        """Seconds from then (of the monotonic clock) to its end, which is a good one."""
        async with asyncio.timeout(15):
            code = await self.process.wait()
        took = time.monotonic() - since
        assert code == 0, self.said()
        assert "Traceback" not in self.said(), self.said()
        return took


@asynccontextmanager
async def serving(folder: Path, database_url: str, exchange: Simulator, before: str = "") -> AsyncIterator[Served]:
    """A server that follows trades and 1s candles; killed at the end, if it still runs. `before` is run in it first."""
    (folder / "okx_config.json").write_text(json.dumps({"trading_pairs": [{"symbol": BTC, "timeframes": ["1s"]}]}))
    variables = {"DATABASE_URL": database_url, "OKX_REST_URL": exchange.rest_url, "OKX_WS_URL": exchange.ws_url}
    log = folder / "log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", f"{before}\nfrom candleql.cli import main\nmain()", "serve", "--port", "0",
            cwd=folder, env=os.environ | variables, stdout=asyncio.subprocess.PIPE, stderr=output,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            line = (await process.stdout.readline()).decode()
        found = re.search(r"http://(\S+)/graphql", line)
        assert found, line + log.read_text()
        yield Served(process, found[1], log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def read_out(client: Socket) -> int | None:
    """Read on until the server closes the socket: the code that it gave."""
    try:
        while True:
            await client.receive()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None
