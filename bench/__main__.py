"""Measure everything: python -m bench [--quick]. Prints a table of ratios; a missed target is marked."""

import argparse
import time

import uvloop

from bench import answers, ingest, latency, layers, sleepers, sockets, startup, storm
from bench.cores import pin
from bench.database import SYMBOLS, a_database
from bench.table import head, line, machine
from candleql.logs import configure_logs


async def _measure(quick: bool) -> None:
    begun = time.monotonic()
    candles, seconds, rounds = (300_000, 0.5, 2) if quick else (1_000_000, 2.0, 3)
    print(f"{machine()}; {candles:,} candles of {len(SYMBOLS)} symbols\n\n{head()}", flush=True)
    async with a_database(candles) as url:
        async for row in answers.measure(url, seconds, rounds):
            print(line(row), flush=True)
        async for row in ingest.measure(url, 2.0 if quick else 10.0, 30_000 if quick else 100_000):
            print(line(row), flush=True)
        async for row in sockets.measure(url, 1.0 if quick else 4.0, 1 if quick else 3):
            print(line(row), flush=True)
        async for row in sleepers.measure(url, 5.0 if quick else 30.0, 500):
            print(line(row), flush=True)
        async for row in latency.measure(url, 2.0 if quick else 10.0):
            print(line(row), flush=True)
        async for row in storm.measure(url, 2_000 if quick else 10_000):
            print(line(row), flush=True)
        print(line(await startup.measure()), "\n", flush=True)
        await layers.show(url)
    print(f"\n{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--quick", action="store_true", help="300,000 candles and short runs: in 2 and a half minutes")
    arguments = parser.parse_args()
    pin(1)
    configure_logs("error", "console")
    uvloop.run(_measure(arguments.quick))
