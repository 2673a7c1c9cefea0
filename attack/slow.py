"""Clients that take their time, all of them at once."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

from attack.sockets import INIT, Socket, frame, message
from attack.talk import Talker

_HEAD = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"
_UPGRADE = b"GET /graphql HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
_BIG = '{ candles(symbol: "BTC-USDT", timeframe: "5s", last: 10000) { nodes { startTime open high low close } } }'
_MANY = 20
_DEAF = 5
"""Few, because each asks for dear pages: it is not their number that is to hurt."""
_SLACK = 10.0
"""Seconds that a busy server may be late with what its patience says."""
_PINGS = 60.0
"""Seconds in which a websocket that answers no ping, because it is in the middle of a frame, is closed."""


async def half_sent(talker: Talker) -> tuple[list[str], int]:
    """Requests that begin and do not end, with a byte now and then or without."""
    said = {
        "nothing": b"",
        "half a head": _HEAD[:50],
        "a head without an end": _HEAD,
        "a body that stays away": _HEAD + b"\r\n",
        "half a body": _HEAD + b'\r\n{"query":',
        "half a handshake": _UPGRADE,
        "half a chunk": _HEAD.replace(b"Content-Length: 1000", b"Transfer-Encoding: chunked") + b"\r\nff\r\n{",
    }
    limit = talker.target.patience + _SLACK
    lives = [(name, drops, words) for name, words in said.items() for drops in (False, True) for _ in range(_MANY)]
    ends = await asyncio.gather(*(_lasts(talker, words, limit, drops=drops) for _, drops, words in lives))
    late = {name for (name, _, _), lasted in zip(lives, ends, strict=True) if lasted >= limit}
    return [f"{name}: still open after {limit:g} s" for name in sorted(late)], len(lives)


async def _lasts(talker: Talker, words: bytes, most: float, *, drops: bool) -> float:
    """Seconds until the server closes the connection, `most` at most."""
    begun = time.monotonic()
    reader, writer = await talker.connect()
    try:
        writer.write(words)
        async with asyncio.timeout(most):
            reading = asyncio.create_task(reader.read())
            try:
                while drops and not reading.done():
                    await asyncio.wait([reading], timeout=1)
                    writer.write(b"a")
                await reading
            finally:
                reading.cancel()
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.transport.abort()
    return time.monotonic() - begun


async def not_reading(talker: Talker) -> tuple[list[str], int]:
    """Ask for much and read none of it, over HTTP and a websocket."""
    post = json.dumps({"query": _BIG}).encode()
    head = _HEAD.replace(b"1000", b"%d" % len(post)) + b"\r\n"
    frames = [message({"id": str(n), "type": "subscribe", "payload": {"query": _BIG}}) for n in range(50)]
    patience = 3 * talker.target.patience + 20
    works: list[Awaitable[str | None]] = []
    for _ in range(_DEAF):
        works.append(_held(talker, "HTTP", lambda writer: writer.write((head + post) * 10), patience))
        works.append(_held_socket(talker, "a websocket", b"".join([message(INIT), *frames]), patience))
    return sorted({end for end in await asyncio.gather(*works) if end}), len(works)


async def half_frames(talker: Talker) -> tuple[list[str], int]:
    """Stop in the middle of a frame: then no ping can be answered."""
    words = message(INIT) + frame(b"x" * 900)[:400]
    ends = await asyncio.gather(*(_held_socket(talker, "half a frame", words, _PINGS) for _ in range(_MANY)))
    return sorted({end for end in ends if end}), _MANY


async def _held(talker: Talker, name: str, act: Callable[[asyncio.StreamWriter], None], most: float) -> str | None:
    _, writer = await talker.connect(deaf=True)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    try:
        act(writer)
        return await _until_gone(talker, writer, name, most)
    finally:
        writer.transport.abort()


async def _held_socket(talker: Talker, name: str, words: bytes, most: float) -> str | None:
    socket = await Socket.of(talker, deaf=True)
    if socket is None:
        return f"{name}: the handshake was refused"
    socket.writer.transport.pause_reading()  # type: ignore[attr-defined]
    try:
        socket.writer.write(words)
        return await _until_gone(talker, socket.writer, name, most)
    finally:
        socket.writer.transport.abort()


async def _until_gone(talker: Talker, writer: asyncio.StreamWriter, name: str, most: float) -> str | None:
    """Wait until the server's process has no such connection any more; what is wrong if that takes too long."""
    address = writer.get_extra_info("sockname")
    ends = time.monotonic() + most
    while time.monotonic() < ends:
        await asyncio.sleep(1)
        if address not in await asyncio.to_thread(_peers, talker):
            return None
    return f"{name}: not cut off within {most:g} s"


def _peers(talker: Talker) -> set[object]:
    return {connection.raddr for connection in talker.target.process.net_connections() if connection.raddr}
