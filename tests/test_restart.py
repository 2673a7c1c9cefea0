"""A collector that is killed again and again ends with the trades and candles of one that never was."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.okx.simulator.faults import RestFault
from collector.okx.simulator.instruments import INSTRUMENTS
from collector.okx.simulator.rows import single
from collector.okx.simulator.server import Simulator
from repos.decode import decode_trade
from repos.domain import EPOCH, Series, Timeframe, Trade
from repos.events import CandleEventKind
from repos.feed.hub import Feed
from repos.operations import DatabaseOperations
from tests.trades import plain

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("unmeasured")]

BTC = "BTC-USDT"
TIMEFRAMES = ("1s", "5s")


class Collector:
    """Processes of `candleql collect`, one after the other, that follow `exchange` into one database."""

    def __init__(self, exchange: Simulator, url: str, folder: Path) -> None:
        pair = {"symbol": BTC, "timeframes": TIMEFRAMES}
        (folder / "okx_config.json").write_text(json.dumps({"trading_pairs": [pair]}))
        self._folder = folder
        self._environment = os.environ | {
            "DATABASE_URL": url,
            "OKX_REST_URL": exchange.rest_url,
            "OKX_WS_URL": exchange.ws_url,
        }

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Process]:
        """One process, which is ended before this is left."""
        with (self._folder / "log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "candleql", "collect", cwd=self._folder, env=self._environment, stderr=log
            )
        try:
            async with asyncio.timeout(30):
                yield process
                assert await process.wait() in (0, -signal.SIGKILL)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def a_candle(feed: Feed) -> None:
    """Return when a candle has closed: a run of trades is stored, and what came before it may be missing."""
    async with aclosing(feed.candles(Series("okx", BTC, Timeframe("1s")), None, 0)) as events:
        async for event in events:
            if event.kind is CandleEventKind.CLOSED:
                return


@asynccontextmanager
async def writing_waits(db: DatabaseOperations, table: str) -> AsyncIterator[None]:
    """Somebody is about to write to the table, and can't while this lasts."""
    waiting = (
        "SELECT count(*) FROM pg_locks JOIN pg_class ON relation = pg_class.oid WHERE NOT granted AND relname = $1"
    )
    async with db.engine.connect() as connection:
        await connection.exec_driver_sql(f"LOCK TABLE {table} IN SHARE MODE")
        while not (await connection.exec_driver_sql(waiting, (table,))).scalar_one():
            await asyncio.sleep(0.01)
        yield


def happened(exchange: Simulator, start: datetime, end: datetime) -> list[Trade]:
    ms = timedelta(milliseconds=1)
    matches = exchange.ledger(BTC, (start - EPOCH) // ms, (end - EPOCH) // ms)
    return [decode_trade("okx", BTC, single(INSTRUMENTS[BTC], match)) for match in matches]


async def same(exchange: Simulator, db: DatabaseOperations, since: datetime, until: datetime) -> bool:
    """Whether all that happened in [since, until) is stored, and nothing else."""
    for timeframe in TIMEFRAMES:
        start = Timeframe(timeframe).end(Timeframe(timeframe).floor(since))
        expected = plain(happened(exchange, start, until), timeframe)
        if await db.market_data.get_candles(BTC, timeframe, start, until) != expected:
            return False
    return await db.tape.between("okx", BTC, since, until) == happened(exchange, since, until)


async def test_killed_at_any_instant_and_started_again_it_loses_nothing(db, feed, database_url, tmp_path):
    since = datetime.now(UTC)
    async with Simulator(seed=5, rate=4, connections_per_second=100) as exchange:
        collector = Collector(exchange, database_url, tmp_path)
        for table in ("raw_trades", "market_data"):
            async with collector.running() as process:
                await a_candle(feed)
                async with writing_waits(db, table):
                    process.kill()
                    await process.wait()
        exchange.faults.rest.append(RestFault("history-trades", delay=30))
        async with collector.running() as process:
            await a_candle(feed)
            process.kill()
        async with collector.running() as process:
            await a_candle(feed)
            until = Timeframe("5s").floor(datetime.now(UTC))
            while not await same(exchange, db, since, until):
                await asyncio.sleep(0.1)
            process.terminate()
