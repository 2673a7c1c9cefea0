"""What is attacked: `candleql serve` in a process of its own, and a client that means well beside it.

It does not collect, and has what it tells from the start: what it uses while nobody attacks is to be little, and always
the same.
"""

import asyncio
import logging
import os
import re
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from statistics import quantiles

import psutil

from candleql.demo import BOTS
from repos.domain import EPOCH, Candle, Timeframe
from repos.embedded.server import EmbeddedPostgres
from repos.operations import DatabaseOperations

_STARTS_WITHIN = 60.0
_SETTLED = 0.05
"""Share of a core below which it has nothing left to do."""
_ROWS = 1_440
"""Candles of each timeframe, as many as a demo begins with."""
_PATIENCE = ("REQUEST_TIMEOUT", "CONNECTION_INIT_TIMEOUT", "PING_INTERVAL")
Span = tuple[float, float]
"""Of the monotonic clock."""
_NOT_OURS = ("DATABASE_URL", "DATABASE_LISTEN_URL", "POSTGRES_HOST")


@dataclass
class Target:
    """A running server. `calm_cpu` is the share of a core that it uses while nobody attacks."""

    host: str
    port: int
    process: psutil.Process
    patience: float
    """Its REQUEST_TIMEOUT, CONNECTION_INIT_TIMEOUT and PING_INTERVAL."""
    log: Path
    """Of errors."""
    calm_cpu: float = 0.0

    def cpu(self) -> float:
        """Seconds of processor time used so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def tracebacks(self) -> int:
        """How many it has logged: whatever a client says, it is nothing to be surprised at."""
        return self.log.read_text().count("Traceback (most recent call last)")

    def megabytes(self) -> float:
        """Of memory in use."""
        return float(self.process.memory_info().rss / 1e6)

    async def settle(self) -> None:
        """Wait until it is calm."""
        async with asyncio.timeout(_STARTS_WITHIN):
            await self.watch()
            while self.calm_cpu >= _SETTLED:
                await self.watch()

    async def watch(self) -> None:
        """Note what it uses in two seconds in which nobody attacks."""
        before, begun = self.cpu(), time.monotonic()
        await asyncio.sleep(2)
        self.calm_cpu = (self.cpu() - before) / (time.monotonic() - begun)


@asynccontextmanager
async def a_target(patience: float) -> AsyncIterator[Target]:
    folder = Path(tempfile.gettempdir()) / f"candleql-attack-{secrets.token_hex(4)}"
    environment = {name: text for name, text in os.environ.items() if name not in _NOT_OURS}
    log = folder.with_suffix(".log")
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "candleql", "serve", "--no-collect", "--port", "0", "--data-dir", str(folder),
            stdout=asyncio.subprocess.PIPE, stderr=errors,
            env=environment | dict.fromkeys(_PATIENCE, f"{patience:g}") | {"LOG_LEVEL": "error"},
        )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(_STARTS_WITHIN):
            line = (await process.stdout.readline()).decode()
        found = re.search(r"http://(.+):(\d+)/graphql", line)
        if found is None:
            raise RuntimeError(f"the server did not start: {line}{log.read_text()}")
        await _fill(folder)
        yield Target(found[1], int(found[2]), psutil.Process(process.pid), patience, log)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        shutil.rmtree(folder, ignore_errors=True)
        log.unlink()


async def _fill(data_dir: Path) -> None:
    # Of what it stores nothing is told here: python's own logger keeps to warnings.
    async with DatabaseOperations(EmbeddedPostgres(data_dir), logger=logging.getLogger(__name__)) as db:
        for timeframe in (Timeframe("5s"), Timeframe("1m")):
            await db.market_data.upsert_candles([_candle(timeframe, number) for number in range(_ROWS)])
        for bot in BOTS:
            await db.bots.add(bot)


def _candle(timeframe: Timeframe, number: int) -> Candle:
    start = EPOCH + timedelta(days=20_000) + number * timeframe.length
    low, high, volume = Decimal(60_000 + number), Decimal("60000.1") + number, Decimal("1.00000001")
    return Candle("okx", "BTC-USDT", timeframe, low, high, low, high, volume, 3, start, timeframe.end(start))


@dataclass
class Witness:
    """A client that means well, and how long its answers take."""

    samples: list[tuple[float, float]] = field(default_factory=list)
    """When it was asked, by the monotonic clock, and ms until the answer."""

    def p99(self, spans: list[Span]) -> float:
        """In ms, of what was asked in these times."""
        took = [ms for asked, ms in self.samples if any(since <= asked <= until for since, until in spans)]
        return quantiles(took, n=100)[98]

    @classmethod
    @asynccontextmanager
    async def beside(cls, target: Target) -> AsyncIterator["Witness"]:
        """In a process of its own, lest our own work count as the server's."""
        witness = cls()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "attack.witness", target.host, str(target.port), stdout=asyncio.subprocess.PIPE
        )

        async def listen() -> None:
            assert process.stdout is not None
            async for line in process.stdout:
                asked, ms = line.split()
                witness.samples.append((float(asked), float(ms)))

        listening = asyncio.create_task(listen())
        try:
            yield witness
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
            await listening
