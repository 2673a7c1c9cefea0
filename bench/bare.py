"""What it takes the system to write to many sockets, without a line of ours between: python -m bench.bare PORT COUNT.

Nobody can tell a thousand clients of one event in less; half of that passes before the median client is told.
"""

import asyncio
import socket
import sys
import time
from statistics import median

from bench.cores import pin

_SIZE = 250
"""Bytes, as an event has."""
_ROUNDS = 50


async def bare_writes(count: int) -> float:
    """Milliseconds for one write to each of `count` sockets, on the first core, read by this process."""
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.bare", str(port), str(count), stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
    return float(said)


def _write(port: int, count: int) -> float:
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    data, took = bytes(_SIZE), []
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        for each in sockets:
            each.send(data)
        took.append(time.perf_counter() - begun)
        time.sleep(0.02)  # the readers catch up
    for each in sockets:
        each.close()
    return median(took) * 1000


if __name__ == "__main__":
    pin(0)
    print(_write(*map(int, sys.argv[1:])))
