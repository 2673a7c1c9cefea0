"""The load: requests over raw keep-alive sockets, whose answers are counted and thrown away."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import cast


@dataclass(frozen=True)
class Load:
    """What it came to; latencies in ms."""

    per_second: float
    seconds: float
    """What it took until the last answer."""
    p50: float
    p99: float


_PATIENCE = 30.0
"""Seconds that the last answers may take."""


class BadAnswer(Exception):
    """An answer that is not 200."""


class _Connection(asyncio.Protocol):
    """Asks again as soon as it was answered, until the time is over or there is nothing more to ask."""

    def __init__(self, requests: Iterator[bytes], ends: float, took: list[float], done: "asyncio.Future[None]") -> None:
        self._requests = requests
        self._ends = ends
        self._took = took
        self._done = done
        self._head = b""
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        if self._left:
            self._left -= len(data)
        else:
            self._head += data
            head, found, body = self._head.partition(b"\r\n\r\n")
            if not found:
                return
            self._head = b""
            if not head.startswith(b"HTTP/1.1 200"):
                self._fail(BadAnswer(head.decode()))
                return
            self._left = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]) - len(body)
        if not self._left:
            now = time.perf_counter()
            self._took.append(now - self._asked)
            if now < self._ends:
                self._ask()
            else:
                self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None or self._left:
            self._fail(error or BadAnswer("the connection broke in an answer"))
        elif not self._done.done():
            self._done.set_result(None)

    def _ask(self) -> None:
        self._asked = time.perf_counter()
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
        else:
            self._transport.write(request)

    def _fail(self, error: Exception) -> None:
        if not self._done.done():
            self._done.set_exception(error)


async def load(
    port: int, requests: Sequence[bytes], seconds: float, concurrency: int = 16, count: int | None = None
) -> Load:
    """Ask the server on `port` from `concurrency` connections for `seconds`; `requests` take turns, `count` at most.

    Raises:
        BadAnswer: One was not 200.
        OSError: A connection broke, or an answer did not come.
    """
    loop = asyncio.get_running_loop()
    took: list[float] = []
    turns = islice(cycle(requests), count)
    begun = time.perf_counter()
    all_done = []
    for _ in range(concurrency):
        done: asyncio.Future[None] = loop.create_future()
        all_done.append(done)
        await loop.create_connection(
            lambda done=done: _Connection(turns, begun + seconds, took, done),  # type: ignore[misc]
            "127.0.0.1",
            port,
        )
    async with asyncio.timeout(seconds + _PATIENCE):
        await asyncio.gather(*all_done)
    elapsed = time.perf_counter() - begun
    took.sort()
    return Load(len(took) / elapsed, elapsed, took[len(took) // 2] * 1000, took[len(took) * 99 // 100] * 1000)
