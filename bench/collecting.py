"""Trades a second that a collector stores, folds into six timeframes and announces, on the first core.

python -m bench.collecting URL PORT COUNT: the exchange is bench.flood on PORT, which sends COUNT trades.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal

import orjson
import psutil
import uvloop

from bench.cores import pin
from bench.flood import SYMBOL
from candleql.logs import configure_logs
from collector.okx.collector import OKXCollector
from repos.domain import Side, Trade, TradeRecord
from repos.feed.news import Tape
from repos.operations import DatabaseOperations

TIMEFRAMES = ("5s", "1m", "5m", "15m", "1h", "4h")


async def _main(url: str, port: str, count: str) -> None:
    async with DatabaseOperations(url) as db:
        # A symbol that was followed before: the exchange's history is not asked for.
        first = Trade("okx", SYMBOL, 0, datetime(2025, 1, 1, tzinfo=UTC), Decimal(60_000), Decimal(1), Side.BUY)
        raw = {"tradeId": "0", "px": "60000", "sz": "1", "side": "buy", "ts": "1735689600000"}
        await db.tape.insert([TradeRecord(first, orjson.dumps(raw).decode())])
        rest_url, ws_url = "http://127.0.0.1:9", f"ws://127.0.0.1:{port}"
        process = psutil.Process()
        before = await _rows(db)
        async with OKXCollector([SYMBOL], timeframes={SYMBOL: TIMEFRAMES}, db=db, rest_url=rest_url, ws_url=ws_url):
            begin, begun, cpu = await _reached(db, before + 1), time.perf_counter(), process.cpu_times()
            end = await _reached(db, before + int(count))
            took = time.perf_counter() - begun
            after = process.cpu_times()
        busy = after.user + after.system - cpu.user - cpu.system
        print(orjson.dumps({"rate": (end - begin) / took, "busy": busy / took}).decode())


async def _rows(db: DatabaseOperations) -> int:
    """The id of the tape's last row; every trade is new, so that these ids have no hole."""
    return (await db.tape.last_ids([Tape("okx", SYMBOL)]))[Tape("okx", SYMBOL)]


async def _reached(db: DatabaseOperations, row: int) -> int:
    async with asyncio.timeout(60):
        while True:
            last = await _rows(db)
            if last >= row:
                return last
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    pin(0)
    configure_logs("error", "console")
    uvloop.run(_main(*sys.argv[1:]))
