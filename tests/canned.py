"""OKX's REST replies from a server that says what the test wants."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from collector.okx.rest import OKXRest
from repos.domain import EPOCH


def ms(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


def a_reply(*data: Any) -> str:
    return json.dumps({"code": "0", "msg": "", "data": data})


def a_row(start: datetime) -> list[str]:
    return [str(ms(start)), "1", "3", "0.5", "2", "10", "20", "30", "1"]


@asynccontextmanager
async def answering(*bodies: str) -> AsyncIterator[OKXRest]:
    """A client of a server that answers with these bodies, one a request."""
    left = iter(bodies)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = next(left).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with OKXRest(f"http://127.0.0.1:{port}") as client:
            yield client
