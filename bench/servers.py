"""Starting and stopping the servers."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Server:
    name: str
    port: int
    process: psutil.Process

    def cpu(self) -> float:
        """Seconds of processor time used so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@asynccontextmanager
async def a_server(name: str, url: str) -> AsyncIterator[Server]:
    """A running server of bench.server."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.server", name, url, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        line = await process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server {name} did not start")
        server = Server(name, int(line), psutil.Process(process.pid))
        await _listens(server.port)
        yield server
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _listens(port: int) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    await writer.wait_closed()
