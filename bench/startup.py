"""From the start of `candleql serve` to its first answer, its embedded database made before."""

import asyncio
import secrets
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import httpx2

from bench.table import Row

_ROUNDS = 3
_SERVE = "from candleql.cli import main; main()"


async def measure() -> Row:
    """The median of some starts; the first of all, which makes the database, does not count."""
    folder = Path(tempfile.gettempdir()) / f"candleql-bench-{secrets.token_hex(4)}"
    try:
        took = [await _start(folder) for _ in range(1 + _ROUNDS)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    note = f"seconds; the very first start, which makes the database, {took[0]:.1f}"
    return Row("`serve` to its first answer", None, None, median(took[1:]), 1.5, note, unit=" s", at_most=True)


async def _start(folder: Path) -> float:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    begun = time.perf_counter()
    arguments = ("serve", "--no-collect", "--data-dir", str(folder), "--port", str(port))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _SERVE, *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(60), httpx2.AsyncClient() as client:
            while True:
                try:
                    answer = await client.post(
                        f"http://127.0.0.1:{port}/graphql", json={"query": "{ bots { nodes { id } } }"}
                    )
                    break
                except httpx2.TransportError:
                    await asyncio.sleep(0.01)
        if answer.json().get("data") != {"bots": {"nodes": []}}:
            raise RuntimeError(f"the server answers {answer.text}")
        return time.perf_counter() - begun
    finally:
        process.terminate()
        await process.wait()
