"""The simulated exchange: one object that runs its REST and websocket servers inside the caller's event loop."""

import asyncio
import http
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Self

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from collector.okx.simulator.candles import HISTORY, Candles
from collector.okx.simulator.clock import Clock, WallClock
from collector.okx.simulator.dice import key
from collector.okx.simulator.faults import SharedFaults
from collector.okx.simulator.hub import Topics
from collector.okx.simulator.instruments import INSTRUMENTS, LISTED
from collector.okx.simulator.limits import Window
from collector.okx.simulator.market import Market, Match
from collector.okx.simulator.rest import Rest
from collector.okx.simulator.sockets import Connection
from collector.okx.simulator.web import serving

SLICE = 60_000
"""ms of the market that are pushed at once when the clock has jumped."""
_LONGEST_REQUEST = 64 * 1024
_ENDPOINTS = {f"/ws/v5/{name}": name for name in ("public", "business", "private")}
"""Clients of the demo trading add a query to the path."""


class Simulator:
    """OKX on a loopback address.

    The market depends on `seed` and `rate` alone, so that another process with the same two tells the same trades
    with the same ids. `rate` multiplies the trades; 1.0 is two to three a second for BTC-USDT. With an `ssl_context`
    both servers speak TLS. `connections_per_second` is OKX's limit by IP, `idle` the seconds without a push
    or an answer after which it closes a connection; a reader that leaves `unread_limit` bytes unread is closed too
    (OKX does not say how many it grants).

    Raises:
        ValueError: The clock is before 2018-01-08, when the simulated markets have no week of history yet.
        OSError: A port is taken.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        clock: Clock | None = None,
        rate: float = 1.0,
        ssl_context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        rest_port: int = 0,
        ws_port: int = 0,
        connections_per_second: int = 3,
        idle: float = 30.0,
        unread_limit: int = 16 * 1024 * 1024,
    ) -> None:
        self.clock: Clock = clock or WallClock()
        if self.clock() < LISTED + HISTORY:
            raise ValueError(f"clock: {self.clock()} ms is before 2018-01-08, when the market's history begins")
        self.faults = SharedFaults()
        self.connections: dict[str, Connection] = {}
        """By the connId that its acknowledgements carry."""
        self._markets = {spec.inst_id: Candles(Market(spec, seed, rate)) for spec in INSTRUMENTS.values()}
        self._seed = seed
        self._ssl = ssl_context
        self._host = host
        self._ports = rest_port, ws_port
        self._topics = Topics(self._markets, self.clock)
        self._accepted = Window(connections_per_second, 1.0)
        self._unread_limit = unread_limit
        self._idle = idle
        self._count = 0
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Self:
        rest = self._listen(self._ports[0])
        try:
            ws = self._listen(self._ports[1])
        except OSError:
            rest.close()
            raise
        secure = "s" if self._ssl else ""
        self.rest_url = f"http{secure}://{self._host}:{rest.getsockname()[1]}"
        self.ws_url = f"ws{secure}://{self._host}:{ws.getsockname()[1]}"
        """Without a path: a client appends /ws/v5/public or /ws/v5/business."""
        # A task of its own holds the task group: around the caller's block it would wrap the caller's exceptions.
        self._life = asyncio.create_task(self._run(rest, ws))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        await self._life

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server((self._host, port))
        # Inherited by what it accepts; else an answer's body waits 40 ms for the acknowledgement of its headers.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener

    async def _run(self, rest: socket.socket, ws: socket.socket) -> None:
        app = Rest(self._markets, self.clock, self.faults).app
        async with asyncio.TaskGroup() as self._tasks, serving(app, rest, self._ssl), self._sockets(ws):
            running = [self._tasks.create_task(task) for task in (self._pump(), self._watch())]
            await self._stop.wait()
            for task in running:
                task.cancel()

    def ledger(self, inst_id: str, start: int, end: int) -> list[Match]:
        """What truly happened in [start, end) (ms), whatever clients were told. Raises KeyError for no instrument."""
        return self._markets[inst_id].market.between(start, end)

    def drop(self, *, code: int | None = None) -> None:
        """Cut all connections: with a close frame of `code`, or without any."""
        for connection in list(self.connections.values()):
            self._drop(connection, code)

    def forget(self, channel: str, inst_id: str) -> None:
        """Push a topic to nobody any more, until they subscribe again. Nobody is told."""
        for connection in self.connections.values():
            connection.forget(channel, inst_id)

    def announce_upgrade(self, delay: int = 60_000) -> None:
        """Notice 64008 to all connections, which are closed `delay` ms later."""
        for connection in self.connections.values():
            connection.announce_upgrade(self.clock() + delay)

    def _drop(self, connection: Connection, code: int | None, reason: str = "") -> None:
        self.connections.pop(connection.conn_id, None)
        connection.leave_all()
        if code is None:
            connection.socket.transport.abort()
        else:
            self._tasks.create_task(connection.socket.close(code, reason))

    async def _pump(self) -> None:
        reached = self.clock()
        while True:
            while reached < (now := self.clock()):
                reached = min(now, reached + SLICE)
                self._topics.step(reached)
                # A jump leaves room for others between its slices.
                await asyncio.sleep(0)
            await self.clock.tick()

    async def _watch(self) -> None:
        while True:
            for connection in list(self.connections.values()):
                if connection.silent:
                    connection.socket.transport.pause_reading()
                elif connection.unread > self._unread_limit:
                    self._drop(connection, 4005, "Buffer is full")
                elif connection.closes_at is not None and self.clock() >= connection.closes_at:
                    self._drop(connection, 1001, "Service upgrade")
                elif time.monotonic() - connection.active_at >= self._idle:
                    self._drop(connection, 4004, "No data received in 30s")
            await asyncio.sleep(0.05)

    @asynccontextmanager
    async def _sockets(self, listener: socket.socket) -> AsyncIterator[None]:
        server = await serve(
            self._serve, sock=listener, ssl=self._ssl, process_request=self._accept, ping_interval=None,
            close_timeout=1, max_size=_LONGEST_REQUEST, server_header=None,
        )  # fmt: skip
        try:
            yield
        finally:
            for connection in self.connections.values():
                if connection.silent:
                    connection.socket.transport.abort()
            server.close()
            await server.wait_closed()

    async def _accept(self, socket: ServerConnection, request: Request) -> Response | None:
        if self.faults.openings:
            await asyncio.sleep(self.faults.openings.pop(0))
        if self.faults.refused > 0:
            self.faults.refused -= 1
            return socket.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "Service unavailable\n")
        if not _endpoint(request):
            return socket.respond(http.HTTPStatus.NOT_FOUND, "Not found\n")
        if not self._accepted.admit(time.monotonic()):
            return socket.respond(http.HTTPStatus.TOO_MANY_REQUESTS, "Too many connections\n")
        return None

    async def _serve(self, socket: ServerConnection) -> None:
        self._count += 1
        identity = key(self._seed, self._count)
        connection = Connection(
            socket, _endpoint(socket.request), f"{identity & 0xFFFFFFFF:08x}",
            self._topics, self.faults, identity,
        )  # fmt: skip
        self.connections[connection.conn_id] = connection
        with suppress(ConnectionClosed):
            async for message in socket:
                await connection.receive(message)
        connection.leave_all()
        self.connections.pop(connection.conn_id, None)


def _endpoint(request: Request | None) -> str:
    return _ENDPOINTS.get(request.path.partition("?")[0], "") if request else ""
