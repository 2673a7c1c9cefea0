"""The whole system as processes, with proxies in between and subscribers at its end."""

import asyncio
import json
import os
import secrets
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import asyncpg

from chaos.check import Findings, Stored, check_candle_log, check_candles, check_trade_log, check_trades, read
from chaos.ledger import TIMEFRAMES, Ledger
from chaos.processes import Database, Exchange, Program, an_exchange
from chaos.proxy import Proxy
from chaos.subscribers import CandleLog, Log, TradeLog, subscribe
from repos.migrations.upgrade import migrate

RATE = 4.0
"""Times the trades of the simulated market: ten a second of BTC-USDT."""
SYMBOLS = ("BTC-USDT", "ETH-USDT", "SHIB-USDT")
PATIENCE = 180.0
"""Seconds for all to be mended: a reconnect after many failures waits for up to a minute."""
_POLL = 0.2


@dataclass
class System:
    """What faults are done to, and what is looked at afterwards."""

    folder: Path
    database: Database
    database_url: str
    exchange: Exchange
    to_rest: Proxy
    to_websocket: Proxy
    to_api: Proxy
    collector: Program
    api: Program
    logs: list[Log]
    ledgers: dict[str, Ledger]
    begun: int
    """When the collector was started first, in ms."""

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path, seed: int) -> AsyncIterator[Self]:
        """Everything started; ended at the end."""
        async with AsyncExitStack() as stack:
            database = Database(folder)
            stack.push_async_callback(database.stop)
            url = await database.start()
            await migrate(url)
            exchange = await stack.enter_async_context(an_exchange(seed, RATE))
            port = _free_port()
            to_rest, to_websocket, to_api = _proxy(exchange.rest_url), _proxy(exchange.ws_url), Proxy("127.0.0.1", port)
            rest_port, ws_port, api_port = [
                await stack.enter_async_context(proxy.running()) for proxy in (to_rest, to_websocket, to_api)
            ]
            environment = os.environ | {
                "DATABASE_URL": url,
                "OKX_REST_URL": f"http://127.0.0.1:{rest_port}",
                "OKX_WS_URL": f"ws://127.0.0.1:{ws_port}",
                "RATE_LIMIT": "0",
            }
            config = folder / "okx_config.json"
            pairs = [{"symbol": symbol, "timeframes": list(TIMEFRAMES)} for symbol in SYMBOLS]
            config.write_text(json.dumps({"trading_pairs": pairs}))
            collector = Program("collector", ["collect", "--config", str(config)], folder, environment)
            api = Program("api", ["serve", "--no-collect", "--port", str(port)], folder, environment)
            logs: list[Log] = [
                CandleLog("BTC-USDT", "5s"),
                CandleLog("BTC-USDT", "5s"),
                CandleLog("BTC-USDT", "1m"),
                CandleLog("ETH-USDT", "5s"),
                CandleLog("SHIB-USDT", "5s"),
                TradeLog("BTC-USDT"),
                TradeLog("SHIB-USDT"),
            ]
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            background = [
                tasks.create_task(work)
                for work in (
                    collector.run(),
                    api.run(),
                    *(subscribe(log, f"ws://127.0.0.1:{api_port}/graphql") for log in logs),
                )
            ]
            ledgers = {symbol: Ledger(symbol, seed, RATE) for symbol in SYMBOLS}
            try:
                yield cls(
                    folder,
                    database,
                    url,
                    exchange,
                    to_rest,
                    to_websocket,
                    to_api,
                    collector,
                    api,
                    logs,
                    ledgers,
                    _now(),
                )
            finally:
                for task in background:
                    task.cancel()

    async def recovered(self, patience: float) -> None:
        """Wait, but not for ever, until the busiest trades come all the way again."""
        (log,) = (log for log in self.logs if isinstance(log, TradeLog) and log.symbol == SYMBOLS[0])
        reached = log.row
        await _become(lambda: log.row > reached, patience)

    async def quiet(self) -> Findings:
        """Wait until all that happened up to now is mended, stored and heard, or PATIENCE ends; what is wrong then."""
        await self.exchange.tell("forget")
        until = _now()
        connection = await asyncpg.connect(self.database_url)
        try:
            await self._mended(connection, until)
            await self.collector.stop()
            stored = await read(connection)
            await _become(lambda: all(_is_abreast(log, stored) for log in self.logs), PATIENCE)
        finally:
            await connection.close()
        await self.api.stop()
        findings = self._stored_wrongly(stored, until)
        for log in self.logs:
            if isinstance(log, CandleLog):
                check_candle_log(findings, log, stored)
            else:
                check_trade_log(findings, log, stored)
        return findings

    async def _mended(self, connection: asyncpg.Connection, until: int) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self._stored_wrongly(await read(connection), until).all:
            await asyncio.sleep(_POLL)

    def _stored_wrongly(self, stored: Stored, until: int) -> Findings:
        findings = Findings()
        for symbol, ledger in self.ledgers.items():
            check_trades(findings, symbol, ledger, stored, self.begun, until)
            for timeframe in TIMEFRAMES:
                check_candles(findings, symbol, timeframe, ledger, stored, self.begun, until)
        return findings


def a_folder() -> Path:
    """The path of a folder for everything, not there yet."""
    return Path(tempfile.gettempdir()) / f"candleql-chaos-{secrets.token_hex(4)}"


async def _become(true: Callable[[], bool], patience: float) -> None:
    """Wait until it is true, or until patience ends: what is wrong then is found by the checks."""
    end = time.monotonic() + patience
    while time.monotonic() < end and not true():
        await asyncio.sleep(_POLL)


def _is_abreast(log: Log, stored: Stored) -> bool:
    """Whether the subscriber has heard of the last write."""
    if isinstance(log, TradeLog):
        return log.row >= max((trade.row for trade in stored.trades_of(log.symbol)), default=0)
    candles = stored.candles.get((log.symbol, log.timeframe), {})
    return log.revision >= max((candle.revision for candle in candles.values()), default=-1)


def _proxy(url: str) -> Proxy:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return Proxy(parts.hostname, parts.port)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _now() -> int:
    return time.time_ns() // 1_000_000
