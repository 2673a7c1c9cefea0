"""Measure everything: python -m bench [--quick]. Prints a table of ratios; a missed target is marked."""

import argparse
import asyncio
import sys
import time
from importlib.util import find_spec

import uvloop

from bench import answers, ingest, startup
from bench.cores import pin
from bench.database import SYMBOLS, a_database
from bench.table import head, line, machine, unmeasured

_SOCKETS = "bench.sockets"
_UNMEASURED = [
    ("trade frame in to subscriber frame out, 1,000 subscribers, 200 trades/s", "p50 <= 5 ms, p99 <= 25 ms"),
    ("storm of 10,000 dashboards that reconnect", "shown"),
]


async def _measure(quick: bool) -> None:
    begun = time.monotonic()
    candles, seconds, rounds = (300_000, 0.5, 2) if quick else (1_000_000, 2.0, 3)
    print(f"{machine()}; {candles:,} candles of {len(SYMBOLS)} symbols\n\n{head()}", flush=True)
    async with a_database(candles) as url:
        async for row in answers.measure(url, seconds, rounds):
            print(line(row), flush=True)
        async for row in ingest.measure(url, 2.0 if quick else 10.0, 30_000 if quick else 100_000):
            print(line(row), flush=True)
    print(line(await startup.measure()), flush=True)
    for name, target in _UNMEASURED:
        print(unmeasured(name, target), flush=True)
    if find_spec(_SOCKETS) is None:
        print(unmeasured("subscriptions: 1,000 sockets", ">= 0.9 and >= 0.5 of raw"), flush=True)
    else:
        print(flush=True)
        lengths = ("--seconds", "1", "--rounds", "1") if quick else ("--seconds", "4", "--rounds", "3")
        await (await asyncio.create_subprocess_exec(sys.executable, "-m", _SOCKETS, *lengths)).wait()
    print(f"\n{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--quick", action="store_true", help="300,000 candles and short runs: in 2 minutes")
    arguments = parser.parse_args()
    pin(1)
    uvloop.run(_measure(arguments.quick))
