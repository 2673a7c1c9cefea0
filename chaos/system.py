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

from chaos import gaps
from chaos.check import Findings, Stored, check_candle_log, check_stored, check_trade_log, read
from chaos.database import Database
from chaos.ledger import TIMEFRAMES, Ledger
from chaos.processes import Exchange, Program, an_exchange
from chaos.proxy import Proxy
from chaos.subscribers import CandleLog, Log, TradeLog, subscribe

RATE = 4.0
"""Times the trades of the simulated market: ten a second of BTC-USDT."""
SYMBOLS = ("BTC-USDT", "ETH-USDT", "SHIB-USDT")
PATIENCE = 180.0
"""Seconds for all to be mended: a channel that fell silent is noticed after half a minute, and then opened anew."""
_POLL = 0.2
_STARTS_WITHIN = 30.0
_OTHER_DATABASES = ("DATABASE_", "POSTGRES_")
_ADOPTED = "Adopted the running database"


@dataclass
class System:
    """What faults are done to, and what is looked at afterwards."""

    folder: Path
    database: Database
    exchange: Exchange
    to_rest: Proxy
    to_websocket: Proxy
    to_api: Proxy
    collector: Program
    api: Program
    logs: list[Log]
    ledgers: dict[str, Ledger]

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path, seed: int) -> AsyncIterator[Self]:
        """Everything started, and following the exchange; ended at the end."""
        folder.mkdir()
        async with AsyncExitStack() as stack:
            database = Database(folder / "data")
            # The last one left to end it may have been killed.
            stack.push_async_callback(database.kill)
            exchange = await stack.enter_async_context(an_exchange(seed, RATE))
            port = _free_port()
            to_rest, to_websocket, to_api = _proxy(exchange.rest_url), _proxy(exchange.ws_url), Proxy("127.0.0.1", port)
            rest_port, ws_port, api_port = [
                await stack.enter_async_context(proxy.running()) for proxy in (to_rest, to_websocket, to_api)
            ]
            environment = {name: value for name, value in os.environ.items() if not name.startswith(_OTHER_DATABASES)}
            environment |= {
                "OKX_REST_URL": f"http://127.0.0.1:{rest_port}",
                "OKX_WS_URL": f"ws://127.0.0.1:{ws_port}",
                "RATE_LIMIT": "0",
            }
            config = folder / "okx_config.json"
            pairs = [{"symbol": symbol, "timeframes": list(TIMEFRAMES)} for symbol in SYMBOLS]
            config.write_text(json.dumps({"trading_pairs": pairs}))
            data = ["--data-dir", str(folder / "data")]
            collector = Program("collector", ["collect", "--config", str(config), *data], folder, environment)
            api = Program("api", ["serve", "--no-collect", "--port", str(port), *data], folder, environment)
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
            system = cls(
                folder, database, exchange, to_rest, to_websocket, to_api, collector, api, logs, ledgers
            )  # fmt: skip
            try:
                await system._begun()
                yield system
            finally:
                for task in background:
                    task.cancel()

    @property
    def complaints(self) -> list[str]:
        """What the programs did that nobody had them do."""
        return self.collector.complaints + self.api.complaints

    @property
    def adoptions(self) -> int:
        """How often a program took over the server of one that was killed."""
        return self.collector.said(_ADOPTED) + self.api.said(_ADOPTED)

    async def recovered(self, patience: float) -> None:
        """Wait, but not for ever, until the busiest trades come all the way again."""
        (log,) = (log for log in self.logs if isinstance(log, TradeLog) and log.symbol == SYMBOLS[0])
        heard = log.count
        await _become(lambda: log.count > heard, patience)

    async def told_of_gaps(self, patience: float) -> None:
        """Wait, but not for ever, until all subscribers of the busiest symbol hear of another gap."""
        heard = [(log, len(log.gaps)) for log in self.logs if log.symbol == SYMBOLS[0]]
        await _become(lambda: all(len(log.gaps) > count for log, count in heard), patience)

    async def quiet(self) -> Findings:
        """Wait until all that happened up to now is mended, stored and heard, or PATIENCE ends; what is wrong then.

        The programs are ended, and with them the database.
        """
        await self.exchange.tell("behave")
        until = _now()
        await self._mended(until)
        await self.collector.stop()
        # If the collector owned the database, the API has taken it over.
        stored = await self._stored()
        await _become(lambda: all(_is_abreast(log, stored) for log in self.logs), PATIENCE)
        await self.api.stop()
        if self.database.is_running:
            self.api.complaints.append("the database was left running")
        findings = Findings()
        check_stored(findings, self.ledgers, stored, until)
        for log in self.logs:
            if isinstance(log, CandleLog):
                check_candle_log(findings, log, stored)
            else:
                check_trade_log(findings, log, stored)
        return findings

    async def _begun(self) -> None:
        connection = await self.database.connect()
        try:
            async with asyncio.timeout(_STARTS_WITHIN):
                while not await gaps.are_stored(connection):
                    await asyncio.sleep(_POLL)
            await gaps.watch(connection)
        finally:
            await connection.close()
        await self.recovered(_STARTS_WITHIN)

    async def _mended(self, until: int) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            findings = Findings()
            check_stored(findings, self.ledgers, await self._stored(), until)
            if not findings.all:
                return
            await asyncio.sleep(_POLL)

    async def _stored(self) -> Stored:
        connection = await self.database.connect()
        try:
            return await read(connection)
        finally:
            await connection.close()


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
