"""The rows of the table that are subscriptions: a thousand websockets on one process of bench.broadcasting."""

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import psutil

from bench.broadcasting import subscription
from bench.swarm import Swarm
from bench.table import Row

SOCKETS = 1_000
RATE = 20
"""Events a second when delays are taken."""
KINDS = ("raw", "stock", "ours")


@dataclass
class Load:
    """One server with its sockets."""

    commands: asyncio.StreamWriter
    process: psutil.Process
    swarm: Swarm = field(default_factory=Swarm)
    idle: float = 0.0
    """kB of memory that a socket took when it had subscribed."""
    _acknowledged: int = 0

    @property
    def memory(self) -> float:
        """In kB."""
        return float(self.process.memory_info().rss) / 1024

    async def connect(self, port: int, sockets: int, topics: int) -> None:
        before = self.memory
        await self.swarm.connect(port, b"/graphql", [subscription(n % topics) for n in range(sockets)])
        await asyncio.sleep(0.5)
        self.idle = (self.memory - before) / sockets

    async def flood(self, seconds: float) -> float:
        """Events delivered a second, while as many are published as are acknowledged."""
        self.swarm.received = self._acknowledged = 0
        self.swarm.heard = self._acknowledge
        self.commands.write(b"flood\n")
        started = time.perf_counter()
        await asyncio.sleep(seconds)
        rate = self.swarm.received / (time.perf_counter() - started)
        await self._stop()
        return rate

    async def kept(self, seconds: float) -> float:
        """kB of memory for each event that a flood of so long delivered, after another that does not count."""
        await self.flood(seconds)
        before = self.memory
        await self.flood(seconds)
        return (self.memory - before) / self.swarm.received

    async def steady(self, seconds: float, rate: int) -> tuple[float, float]:
        """Events delivered a second at so many published, and p99 of their delays in ms."""
        self.swarm.received, self.swarm.delays = 0, []
        self.commands.write(b"%d\n" % rate)
        await asyncio.sleep(seconds)
        await self._stop()
        delays, self.swarm.delays = self.swarm.delays, None
        return self.swarm.received / seconds, statistics.quantiles(delays, n=100)[98] / 1e6

    async def _stop(self) -> None:
        self.commands.write(b"stop\n")
        await asyncio.sleep(0.3)
        self.swarm.heard = lambda: None

    def _acknowledge(self) -> None:
        while self.swarm.received >= (self._acknowledged + 1) * self.swarm.size:
            self._acknowledged += 1
            self.commands.write(b"+\n")


async def measure(url: str, seconds: float, rounds: int) -> AsyncIterator[Row]:
    """What a thousand sockets get of one series, then each of its own, and what they cost."""
    async with _a_load("ours", url, 1, 1) as load:
        # Tens of thousands of events, after as many that fill what is remembered of instants.
        kept = await load.kept(max(3.0, 2 * seconds))
    for topics in (1, SOCKETS):
        async with AsyncExitStack() as stack:
            loads = {kind: await stack.enter_async_context(_a_load(kind, url, SOCKETS, topics)) for kind in KINDS}
            floods: dict[str, list[float]] = {kind: [] for kind in KINDS}
            steady: dict[str, list[tuple[float, float]]] = {kind: [] for kind in KINDS}
            for _ in range(rounds):
                for kind, load in loads.items():
                    floods[kind].append(await load.flood(seconds))
                for kind, load in loads.items():
                    steady[kind].append(await load.steady(seconds, RATE if topics == 1 else 1))
        flood = {kind: statistics.median(rates) for kind, rates in floods.items()}
        rate, p99 = ({kind: statistics.median(c[n] for c in steady[kind]) for kind in KINDS} for n in range(2))
        stock, ours = loads["stock"].idle, loads["ours"].idle
        bare = f"{loads['raw'].idle:.3g} kB where it is a socket and nothing else"
        if topics == 1:
            name = f"{SOCKETS:,} sockets on one series"
            yield _row(f"{name}, as fast as they read", flood, 0.9, "base: ready frames on bare sockets")
            yield _row(f"{name}, {RATE} events a second: p99", p99, 1.5, unit=" ms", at_most=True)
            yield Row(f"{name}: memory of each, idle", stock, None, ours, 36, bare, " kB", at_most=True)
            yield Row("memory kept of each event", None, None, kept, 0.05, "", " kB", at_most=True)
        else:
            name = f"{SOCKETS:,} sockets, each its own series"
            yield _row(f"{name}, an event a second", rate, 0.5)
            yield _row(f"{name}, as fast as they read", flood, None)
            yield Row(f"{name}: memory of each, idle", stock, None, ours, 36, bare, " kB", at_most=True)


def _row(
    name: str, of: dict[str, float], target: float | None, note: str = "", unit: str = "/s", *, at_most: bool = False
) -> Row:
    return Row(name, of["stock"], of["raw"], of["ours"], target, note, unit, at_most)


@asynccontextmanager
async def _a_load(kind: str, url: str, sockets: int, topics: int) -> AsyncIterator[Load]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.broadcasting", kind, str(topics), url,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    load = Load(process.stdin, psutil.Process(process.pid))
    try:
        await load.connect(int(await process.stdout.readline()), sockets, topics)
        yield load
    finally:
        load.swarm.close()
        process.kill()
        await process.wait()
