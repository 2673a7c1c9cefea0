"""A thousand websockets in one process, cheap enough to keep up with a server: they count, and read times on demand."""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from typing import cast

import orjson

MARK = b'"volume":"'
"""In every event once; before the nanoseconds of the monotonic clock at which it was published."""
_TIME = re.compile(MARK + rb"(\d+)")
_AT_ONCE = 50
HANDSHAKE = (
    b"GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)


def masked(message: object) -> bytes:
    """The frame of a client, masked with zeros, which change nothing."""
    text = orjson.dumps(message)
    return bytes((0x81, 0x80 | 126)) + len(text).to_bytes(2) + bytes(4) + text


class Swarm:
    """All of a server's clients. `received` counts events; `delays` are theirs in ns, while it is a list."""

    def __init__(self, heard: Callable[[], None] = lambda: None) -> None:
        self.received = 0
        self.delays: list[int] | None = None
        self.heard = heard
        self._clients: list[_Client] = []

    @property
    def size(self) -> int:
        return len(self._clients)

    async def connect(self, port: int, path: bytes, subscriptions: Sequence[object]) -> None:
        """One connection for each payload of a subscribe message, many at a time.

        Raises:
            TimeoutError: That took more than a minute.
        """
        async with asyncio.timeout(60):
            for first in range(0, len(subscriptions), _AT_ONCE):
                many = subscriptions[first : first + _AT_ONCE]
                self._clients += await asyncio.gather(*(self._client(port, path, each) for each in many))

    async def _client(self, port: int, path: bytes, subscription: object) -> "_Client":
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(lambda: _Client(self, path), "127.0.0.1", port)
        await client.ready
        client.transport.write(masked({"id": "1", "type": "subscribe", "payload": subscription}))
        return client

    def close(self) -> None:
        for client in self._clients:
            client.transport.abort()
        self._clients.clear()


class _Client(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, swarm: Swarm, path: bytes) -> None:
        self._swarm = swarm
        self._path = path
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(HANDSHAKE % self._path)

    def data_received(self, data: bytes) -> None:
        swarm = self._swarm
        if swarm.delays is not None:
            now = time.monotonic_ns()
            swarm.delays += [now - int(sent) for sent in _TIME.findall(data)]
        swarm.received += data.count(MARK)
        swarm.heard()
        if data.startswith(b"HTTP/1.1 101"):
            self.transport.write(masked({"type": "connection_init"}))
        elif b"connection_ack" in data and not self.ready.done():
            self.ready.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None and not self.ready.done():
            self.ready.set_exception(error)
