"""A simulated exchange whose clock the test holds, and a client that reads its frames one by one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from collector.okx.simulator.clock import ManualClock
from collector.okx.simulator.server import Simulator

NOON = 1_795_521_600_000
"""2026-11-24T12:00Z"""
PATIENCE = 60.0
"""Seconds after which what a test waits for will not come, however busy the machine is."""


def an_exchange(now: int = NOON, **changes: Any) -> Simulator:
    return Simulator(**{"seed": 7, "clock": ManualClock(now), "connections_per_second": 100} | changes)


class Client:
    """A websocket connection to the exchange."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def subscribe(self, *args: tuple[str, str], **more: Any) -> None:
        await self.request("subscribe", *args, **more)

    async def request(self, op: str, *args: tuple[str, str], **more: Any) -> None:
        named = [{"channel": channel, "instId": inst_id} for channel, inst_id in args]
        await self.socket.send(json.dumps(more | {"op": op, "args": named}))

    async def text(self, patience: float = PATIENCE) -> str:
        async with asyncio.timeout(patience):
            text = await self.socket.recv()
        assert isinstance(text, str)
        return text

    async def frame(self) -> Any:
        return json.loads(await self.text())

    async def frames(self, count: int) -> list[Any]:
        return [await self.frame() for _ in range(count)]

    async def until(self, trade_id: int) -> list[Any]:
        """The frames up to and with the one that ends with this trade."""
        frames = [await self.frame()]
        while trade_ids(frames[-1])[-1:] != [trade_id]:
            frames.append(await self.frame())
        return frames

    async def closing(self) -> int | None:
        """Read on until the connection ends: the code of the close frame, None when there was none."""
        try:
            while True:
                await self.text()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None

    async def is_quiet(self) -> bool:
        """Whether nothing was sent: an answer to a ping is the next that comes."""
        await self.socket.send("ping")
        return await self.text() == "pong"


def trade_ids(frame: Any) -> list[int]:
    """The ids that a frame of trades covers; none for any other frame."""
    ids: list[int] = []
    for row in frame.get("data", []):
        if isinstance(row, dict) and "tradeId" in row:
            last = int(row["tradeId"])
            ids += range(last - int(row.get("count", "1")) + 1, last + 1)
    return ids


@asynccontextmanager
async def connected(exchange: Simulator, endpoint: str = "business", **options: Any) -> AsyncIterator[Client]:
    url = f"{exchange.ws_url}/ws/v5/{endpoint}"
    async with websockets.connect(
        url, **{"compression": None, "max_queue": None, "close_timeout": 1} | options
    ) as socket:
        yield Client(socket)


@asynccontextmanager
async def rest(exchange: Simulator) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=f"{exchange.rest_url}/api/v5/") as client:
        yield client


async def data(client: httpx2.AsyncClient, path: str, **params: object) -> list[Any]:
    """What a request that succeeds answers."""
    response = await client.get(path, params={name: str(value) for name, value in params.items()})
    body = response.json()
    assert (response.status_code, body["code"], body["msg"]) == (200, "0", "")
    rows: list[Any] = body["data"]
    return rows
