"""Raw HTTP, so that anything can be said; and what an answer must not have in it."""

import asyncio
import json
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from attack.target import Target

WAIT = 60.0
_LEAKS = re.compile(
    r"asyncpg|sqlalchemy|psycopg|Traceback|site-packages|\.py\b|syntax error at|relation \"|pg_catalog|/(?:tmp|root)/|"
    r"market_data|raw_trades|api_keys|INTERNAL_SERVER_ERROR",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Answer:
    """`status` is 0 where the connection was closed without one."""

    status: int
    text: str

    @property
    def codes(self) -> set[str]:
        """Of its errors."""
        try:
            errors = json.loads(self.text).get("errors", [])
        except (ValueError, AttributeError):
            return set()
        return {error.get("extensions", {}).get("code", "no code") for error in errors}

    def faults(self, asked: str = "") -> list[str]:
        """What no answer may have. A word of the operation that was `asked` may come back in it."""
        found = sorted({leak[0] for leak in _LEAKS.finditer(self.text) if leak[0] not in asked})
        return [f"status {self.status}"] * (self.status >= 500) + [f"leaks {leak}" for leak in found]

    def __str__(self) -> str:
        return f"{self.status} {', '.join(sorted(self.codes)) or self.text[:60]!r}"


class Talker:
    """An attacker, with an address of its own on loopback, so that what is counted by address is counted apart."""

    def __init__(self, target: Target, address: str) -> None:
        self.target = target
        self.address = address

    async def connect(self, *, deaf: bool = False) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Deaf, its system takes no more than a few kB that it has not read."""
        connection = socket.socket()
        if deaf:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.bind((self.address, 0))
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (self.target.host, self.target.port))
        return await asyncio.open_connection(sock=connection)

    async def say(self, *pieces: bytes) -> Answer:
        """Say it on a connection of its own and hear all, until the server closes it."""
        reader, writer = await self.connect()
        try:
            async with asyncio.timeout(WAIT):
                writer.writelines(pieces)
                heard = await reader.read()
        except ConnectionError:
            heard = b""
        finally:
            writer.close()
        head, _, body = heard.partition(b"\r\n\r\n")
        status = re.match(rb"HTTP/1\.1 (\d{3})", head)
        return Answer(int(status[1]) if status else 0, body.decode(errors="replace"))

    async def request(self, method: str, path: str, *headers: str, body: bytes = b"") -> Answer:
        lines = [f"{method} {path} HTTP/1.1", "Connection: close", *headers]
        if not any(header.startswith("Host:") for header in headers):
            lines.append("Host: localhost")
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return await self.say("\r\n".join(lines).encode() + b"\r\n\r\n", body)

    async def post(self, body: bytes, *headers: str) -> Answer:
        return await self.request("POST", "/graphql", "Content-Type: application/json", *headers, body=body)

    async def ask(self, query: str, variables: dict[str, Any] | None = None) -> Answer:
        return await self.post(json.dumps({"query": query, "variables": variables}).encode())


def expected(name: str, answer: Answer, statuses: Sequence[int], codes: Sequence[str] = ()) -> list[str]:
    """What is wrong with an answer that should have one of these statuses and, if there are any, only such codes."""
    wrong = answer.faults()
    if answer.status not in statuses or (codes and not (answer.codes and answer.codes <= set(codes))):
        wrong.append(f"answered {answer}")
    return [f"{name}: {fault}" for fault in wrong]
