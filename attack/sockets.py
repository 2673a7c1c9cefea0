"""Websockets that are no use to anybody."""

import asyncio
import json
import struct
from typing import Any

from attack.talk import Talker

_HANDSHAKE = (
    b"GET /graphql HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)
_TEXT, _BINARY, _CLOSE, PING, PONG = 1, 2, 8, 9, 10
INIT = {"type": "connection_init"}
IDLE = 1_000
_LASTS_AT_MOST = 30.0
"""Seconds that a socket without connection_init may stay."""


def frame(content: bytes, code: int = _TEXT, *, final: bool = True) -> bytes:
    """Masked with zeros."""
    size = len(content)
    head = bytes([code | 0x80 * final])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += b"\xfe" + size.to_bytes(2)
    else:
        head += b"\xff" + size.to_bytes(8)
    return head + bytes(4) + content


def message(content: Any) -> bytes:
    return frame(json.dumps(content).encode())


class Socket:
    """One that shook hands."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def of(cls, talker: Talker, *, deaf: bool = False) -> "Socket | None":
        """None when it is refused."""
        try:
            reader, writer = await talker.connect(deaf=deaf)
            writer.write(_HANDSHAKE)
            head = await reader.readuntil(b"\r\n\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            return None
        if head.startswith(b"HTTP/1.1 101"):
            return cls(reader, writer)
        writer.close()
        return None

    async def hear(self) -> tuple[int, bytes]:
        """The next frame's code and content. Raises IncompleteReadError or ConnectionError at the end."""
        first, size = await self.reader.readexactly(2)
        if size == 126:
            (size,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
        return first & 0x0F, await self.reader.readexactly(size)

    async def end(self, seconds: float) -> tuple[int, str]:
        """The code it is closed with, or 1006, and all text before; -1 when it is still open after that time."""
        heard: list[str] = []
        try:
            async with asyncio.timeout(seconds):
                while True:
                    code, content = await self.hear()
                    if code == _CLOSE:
                        return int.from_bytes(content[:2]), "".join(heard)
                    if code == _TEXT:
                        heard.append(content.decode())
        except (ConnectionError, asyncio.IncompleteReadError):
            return 1006, "".join(heard)
        except TimeoutError:
            return -1, "".join(heard)


async def wrong_frames(talker: Talker) -> tuple[list[str], int]:
    huge = b"x" * 20_000_000
    ask = {"id": "1", "type": "subscribe", "payload": {"query": "{a}"}}
    said = {
        "a frame of 2^62 bytes": (b"\x81\xff" + (1 << 62).to_bytes(8) + bytes(4), {1009, 1002, 1006}),
        "a message of 20 MB": (frame(huge), {1009, 1006}),
        "20 MB in pieces": (frame(huge[:1], final=False) + frame(huge[:100_000], 0, final=False) * 200, {1009, 1006}),
        "a frame that is not masked": (b"\x81\x02{}", {1002}),
        "an unknown kind of frame": (frame(b"", 5), {1002}),
        "a reserved bit": (b"\xc1\x80" + bytes(4), {1002}),
        "a ping of 200 bytes": (frame(b"x" * 200, PING), {1002}),
        "no UTF-8": (frame(b"\xff\xfe"), {1007, 4400}),
        "binary": (frame(json.dumps(INIT).encode(), _BINARY), {4400}),
        "no JSON": (frame(b"hello"), {4400}),
        "deep JSON": (frame(b"[" * 200_000), {4400, 1009}),
        "an array": (message([]), {4400}),
        "an unknown type": (message({"type": "start"}), {4400}),
        "two greetings": (message(INIT) + message(INIT), {4429}),
        "an operation before the greeting": (
            message({"id": "1", "type": "subscribe", "payload": {"query": "{a}"}}),
            {4401},
        ),
        "an id that is a number": (
            message(INIT) + message({"id": 1, "type": "subscribe", "payload": {"query": "{a}"}}),
            {4400},
        ),
        "no query": (message(INIT) + message(ask | {"payload": {}}), {4400}),
    }
    wrong = []
    for name, (words, codes) in said.items():
        socket = await Socket.of(talker)
        if socket is None:
            wrong.append(f"{name}: the handshake was refused")
            continue
        try:
            socket.writer.write(words)
            code, text = await socket.end(20)
            if code not in codes:
                wrong.append(f"{name}: closed with {code} after {text[:80]!r}")
        finally:
            socket.writer.transport.abort()
    return wrong, len(said)


async def many_operations(talker: Talker) -> tuple[list[str], int]:
    """More at once than one socket may have; those over it are refused one by one."""
    socket = await Socket.of(talker)
    if socket is None:
        return ["the handshake was refused"], 1
    query = "subscription { health { healthy } }"
    messages = (message({"id": str(n), "type": "subscribe", "payload": {"query": query}}) for n in range(1_000))
    try:
        socket.writer.writelines([message(INIT), *messages])
        _, text = await socket.end(10)
    finally:
        socket.writer.transport.abort()
    errors = text.count('"type":"error"') + text.count('"type": "error"')
    wrong = [] if errors >= 800 and "RATE_LIMITED" in text else [f"{errors} of 1,000 operations were refused"]
    return wrong, 1_000


async def idle_sockets(talker: Talker) -> tuple[list[str], int]:
    """As many as one address gets, none of which says anything: they end, and others have their room back."""
    sockets = await asyncio.gather(*(Socket.of(talker) for _ in range(IDLE)))
    mine = [socket for socket in sockets if socket is not None]
    try:
        ends = await asyncio.gather(*(socket.end(_LASTS_AT_MOST) for socket in mine))
    finally:
        for socket in mine:
            socket.writer.transport.abort()
    codes = {code for code, _ in ends}
    wrong = [] if codes <= {4408, 1006} else [f"idle sockets ended with {sorted(codes)}"]
    if len(mine) == IDLE:
        wrong.append(f"all {IDLE:,} were let in")
    return wrong, IDLE
