"""From the exchange's trade to the subscribers' websockets, through all that lies between: python -m bench.latency.

`candleql serve` follows bench.clocked on the first core and stores in PostgreSQL, which tells it the news that it sends
to a thousand websockets. The clock is read where the exchange writes a frame and where a subscriber has read one.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import orjson
import psutil
import uvloop

from bench.bare import bare_writes
from bench.clocked import trade
from bench.cores import pin
from bench.database import a_database
from bench.roomy import SETTINGS
from bench.swarm import Swarm
from bench.table import Row, head, line
from repos.domain import Side, Trade, TradeRecord
from repos.operations import DatabaseOperations

SUBSCRIBERS = 1_000
RATE = 200
_SERVE = "from bench.cores import pin; pin(0); from candleql.cli import main; main()"
# The swarm looks for the time in a field called volume; a candle's close is the price of its newest trade.
_QUERIES = {
    "trades": "subscription ($symbol: String!) { trades(symbol: $symbol) { cursor trades { side volume: price } } }",
    "candles": 'subscription ($symbol: String!) { candles(symbol: $symbol, timeframe: "1m", snapshot: 0) '
    "{ kind cursor candle { startTime open high low volume: close tradeCount isFinal } } }",
}


async def measure(url: str, seconds: float) -> AsyncIterator[Row]:
    """p50 and p99 in ms, of all subscribers to one symbol and, for trades, of as many who share twenty."""
    bare = f"the system alone takes {await bare_writes(SUBSCRIBERS):.1f} ms to write to each of as many sockets once"
    for number, followed in ((1, ("trades", "candles")), (20, ("trades",))):
        symbols = [f"CLOCK{n}-{number}" for n in range(number)]
        await _follow_before(url, symbols)
        async with _exchange() as (ws_url, make), _server(url, ws_url, symbols) as (port, process):
            for name in followed:
                title = f"{name} from the exchange's frame to {SUBSCRIBERS:,} sockets"
                if number > 1:
                    title += f", of {number} symbols"
                asked = [{"query": _QUERIES[name], "variables": {"symbol": symbol}} for symbol in symbols]
                make(1)
                swarm = Swarm()
                try:
                    await swarm.connect(port, b"/graphql", asked * (SUBSCRIBERS // number))
                    make(RATE)
                    p50, p99, note = await _delays(swarm, process, seconds)
                finally:
                    swarm.close()
                if number == 1:
                    note += f"; {bare}"
                yield Row(f"{title}: p50", None, None, p50, 5, note, " ms", at_most=True)
                yield Row(f"{title}: p99", None, None, p99, 25, note, " ms", at_most=True)


async def _delays(swarm: Swarm, process: psutil.Process, seconds: float) -> tuple[float, float, str]:
    """p50 and p99 in ms, after a second that does not count, and what else there is to say."""
    await asyncio.sleep(1)
    swarm.received, swarm.delays, before = 0, [], process.cpu_times()
    await asyncio.sleep(seconds)
    delays, received, after = swarm.delays, swarm.received, process.cpu_times()
    cuts = statistics.quantiles(delays, n=100)
    busy = (after.user - before.user + after.system - before.system) / seconds
    note = f"{received / SUBSCRIBERS / seconds:.0f} a second reach each; CPU {busy:.0%} of a core"
    return cuts[49] / 1e6, cuts[98] / 1e6, note


async def _follow_before(url: str, symbols: list[str]) -> None:
    """Store a trade of the minute before: so no history is asked for, and this minute is known from its start."""
    moment = datetime.now(UTC) - timedelta(minutes=1)
    records = []
    for symbol in symbols:
        first = Trade("okx", symbol, 0, moment, Decimal(1), Decimal("0.1"), Side.BUY)
        records.append(TradeRecord(first, orjson.dumps(trade(symbol, 0, int(moment.timestamp() * 1000), 1)).decode()))
    async with DatabaseOperations(url) as db:
        await db.tape.insert(records)


@asynccontextmanager
async def _exchange() -> AsyncIterator[tuple[str, Callable[[int], None]]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.clocked", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    commands = process.stdin
    assert commands is not None
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        yield f"ws://127.0.0.1:{port}", lambda rate: commands.write(b"%d\n" % rate)
    finally:
        commands.close()
        await process.wait()


@asynccontextmanager
async def _server(url: str, ws_url: str, symbols: list[str]) -> AsyncIterator[tuple[int, psutil.Process]]:
    pairs = [{"symbol": symbol, "timeframes": ["5s", "1m", "5m", "15m", "1h"]} for symbol in symbols]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.json"
        config.write_text(json.dumps({"trading_pairs": pairs}))
        settings = {
            "DATABASE_URL": url,
            "OKX_WS_URL": ws_url,
            "OKX_REST_URL": "http://127.0.0.1:9",
            "LOG_LEVEL": "error",
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _SERVE,
            "serve",
            "--port",
            "0",
            "--config",
            str(config),
            env=os.environ | SETTINGS | settings,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            said = (await process.stdout.readline()).decode()
            yield int(said.rpartition(":")[2].split("/")[0]), psutil.Process(process.pid)
        finally:
            process.terminate()
            await process.wait()


async def _main(seconds: float) -> None:
    async with a_database(20) as url:
        print(head())
        async for row in measure(url, seconds):
            print(line(row), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.latency")
    parser.add_argument("--seconds", type=float, default=5.0)
    pin(1)
    uvloop.run(_main(parser.parse_args().seconds))
