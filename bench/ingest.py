"""The rows of the table that are writes: each is measured in a process of its own."""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import orjson

from bench.table import Row


async def measure(url: str, seconds: float, trades: int) -> AsyncIterator[Row]:
    """A row for candle upserts, raw trades and the collector, which takes `trades`."""
    for result in await _results("bench.writes", url, str(seconds)):
        best = max(result["unnest"], result["copy"])
        note = f"batches of 500; by hand: unnest {result['unnest']:,.0f}, COPY {result['copy']:,.0f}"
        yield Row(f"{result['name']} through the repositories", None, best, result["ours"], 0.85, note)
    exchange = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.flood", str(trades), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert exchange.stdout is not None
        port = int(await exchange.stdout.readline())
        [result] = await _results("bench.collecting", url, str(port), str(trades))
    finally:
        exchange.terminate()
        await exchange.wait()
    note = f"one trade a frame, from the socket to stored, folded and announced; CPU {result['busy']:.0%} of a core"
    yield Row("collector: trades", None, None, result["rate"], 20_000, note)


async def _results(module: str, *arguments: str) -> list[Any]:
    """The lines of JSON that `module` prints.

    Raises:
        RuntimeError: It failed.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{module} failed")
    return [orjson.loads(line) for line in said.splitlines()]
